"""The same commands on a remote port (RFC 2217): the virtual device, and servers that refuse."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest
import serial
from loader_port import make_build
from test_device_flash import run_cli
from virtual_device import SerialConsole, run_device

from nodemcu_tls_build.device.bridge import Bridge, open_bridge
from nodemcu_tls_build.device.flash import FlashRequest, flash_device, verify_device
from nodemcu_tls_build.device.plan import load_plan
from nodemcu_tls_build.device.tool import Line
from nodemcu_tls_build.device.use import use_device
from nodemcu_tls_build.errors import DeviceError


@pytest.fixture(autouse=True)
def few_attempts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ESPTOOL_CONNECT_ATTEMPTS", "1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_flash_verify_and_boot(firmware: Path) -> None:
    plan = load_plan(firmware)
    with run_device(firmware) as device:
        flashed = flash_device(Line(device.url), FlashRequest(plan))
        assert flashed.comparison
        device.wait_for_log("boots from flash")
        with SerialConsole(device.url) as console:
            console.reset()
            console.wait_for(plan.output.build_id)
        result = run_cli("verify", device.url, "--build", str(firmware), "--baud", "460800")
        assert result.returncode == 0, result.stderr
        assert result.stdout.endswith(f"{device.url} holds the build in {firmware}.\n")


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("corrupt=700", r"its answers are garbled|stopped answering|make no sense"),
        ("lose=700", r"its answers are garbled|stopped answering|make no sense"),
        ("delay=5000", r"does not answer"),
        ("cut-frame=60", r"its answers are garbled|stopped answering"),
    ],
)
def test_lines_that_are_bad(firmware: Path, fault: str, what: str) -> None:
    """A bad line is never a verdict, neither that the device holds the build nor the other one."""
    plan = load_plan(firmware)
    device = run_device(firmware, None, "--fault", fault)
    with device as running, pytest.raises(DeviceError, match=what):
        verify_device(Line(running.url), plan)


def test_a_device_that_is_too_slow_for_esptool_alone(firmware: Path) -> None:
    """It gives up on each first answer after a tenth of a second."""
    with (
        run_device(firmware, None, "--fault", "delay=120") as device,
        use_device(Line(device.url)) as (_, chip),
    ):
        assert chip.mac == "5c:cf:7f:00:82:66"


def test_unplugged_in_the_middle_and_again(firmware: Path, tmp_path: Path) -> None:
    request = FlashRequest(load_plan(make_build(tmp_path / "build")))
    with run_device(firmware, None, "--fault", "unplug=40000") as device:
        with pytest.raises(DeviceError, match="failed: the port was gone in the middle of it"):
            flash_device(Line(device.url), request)
        result = flash_device(Line(device.url), request)
    assert result.comparison
    assert result.comparison.same


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"rfc2217://127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(DeviceError, match=f"nothing listens at {url}"),
            open_bridge(url, on_lost=lambda: None),
        ):
            pass


def test_a_server_that_takes_nobody_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rfc2217://127.0.0.1:{server.getsockname()[1]}"

        def refuse() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=refuse)
        thread.start()
        with (
            pytest.raises(DeviceError, match=f"the server at {url} does not give its serial port"),
            open_bridge(url, on_lost=lambda: None),
        ):
            pass
        thread.join()


def test_an_unknown_option() -> None:
    with (
        pytest.raises(DeviceError, match="the URL has an unknown option"),
        open_bridge("rfc2217://127.0.0.1:1?nonsense", on_lost=lambda: None),
    ):
        pass


class Remote:
    """A serial port that gives back what it is sent, as long as it is there."""

    def __init__(self) -> None:
        self.baudrate = 115200
        self.bauds: list[tuple[bytes, int]] = []
        self._data = b""
        self._ready = threading.Condition()
        self.is_there = True

    @property
    def in_waiting(self) -> int:
        return len(self._data)

    def write(self, data: bytes) -> None:
        with self._ready:
            self.bauds.append((data, self.baudrate))
            self._data += data
            self._ready.notify()

    def read(self, count: int) -> bytes:
        with self._ready:
            if not self._data:
                self._ready.wait(0.01)
            if not self.is_there:
                raise OSError("connection failed")
            data, self._data = self._data[:count], self._data[count:]
        return data


def read_some(descriptor: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += os.read(descriptor, count - len(data))
    return data


def test_a_bridge_passes_bytes_and_rates() -> None:
    remote = Remote()
    bridge = Bridge(remote, on_lost=lambda: None)
    with serial.Serial(bridge.path, 115200, timeout=50) as port:
        sent = bytes(range(256)) * 64
        port.write(sent[:100])
        assert port.read(100) == sent[:100]
        port.baudrate = 460800
        writer = threading.Thread(target=port.write, args=(sent,))
        writer.start()
        assert port.read(len(sent)) == sent
        writer.join()
        port.baudrate = 74880  # a rate that has no constant of its own
        port.write(b"x")
        assert port.read(1) == b"x"
    bridge.close()
    assert remote.bauds[0][1] == 115200
    assert {baud for data, baud in remote.bauds[1:-1]} == {460800}
    assert remote.bauds[-1] == (b"x", 74880)
    assert not bridge.lost


def test_a_lost_connection_is_told() -> None:
    remote = Remote()
    lost = threading.Event()
    bridge = Bridge(remote, on_lost=lost.set)
    remote.is_there = False
    assert lost.wait(50)
    assert bridge.lost
    bridge.close()
