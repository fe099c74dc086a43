"""Serial ports: which one, who may use it, and one process at a time."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest

from nodemcu_tls_build.device import lock, ports
from nodemcu_tls_build.device.ports import check_port, choose_port, hold_port, list_ports
from nodemcu_tls_build.errors import DeviceError

URL = "rfc2217://127.0.0.1:4000"


@pytest.fixture(autouse=True)
def lock_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the locks of this test to itself."""
    path = tmp_path / "runtime"
    path.mkdir()
    monkeypatch.setattr(lock, "_DIRECTORY", path)
    return path


@pytest.fixture
def port() -> Iterator[str]:
    """Give the name of a serial port behind which nobody answers."""
    device, terminal = pty.openpty()
    yield os.ttyname(terminal)
    os.close(terminal)
    os.close(device)


def test_free_port(port: str) -> None:
    check_port(port)


def test_port_by_another_name(port: str, tmp_path: Path) -> None:
    (tmp_path / "usb-Silicon_Labs").symlink_to(port)
    check_port(str(tmp_path / "usb-Silicon_Labs"))


def test_missing_port() -> None:
    with pytest.raises(DeviceError, match="cannot find /dev/ttyNONE: No such file") as caught:
        check_port("/dev/ttyNONE")
    assert caught.value.hint
    assert "plugged in" in caught.value.hint


def test_what_is_no_serial_port(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (str(tmp_path / "file"), str(tmp_path), "/dev/null"):
        with pytest.raises(DeviceError, match="is not a serial port"):
            check_port(path)


def test_busy_port(port: str) -> None:
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import fcntl, sys\n"
            "file = open(sys.argv[1], 'rb', buffering=0)\n"
            "fcntl.flock(file, fcntl.LOCK_EX)\n"
            "print('locked', flush=True)\n"
            "sys.stdin.read()\n",
            port,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(DeviceError, match="is in use by another program"):
            check_port(port)
    check_port(port)


def test_port_that_another_program_has_to_itself(
    port: str, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    tiocexcl = 0x540C
    Path(port).chmod(0o666)
    with Path(port).open("rb", buffering=0) as terminal:
        fcntl.ioctl(terminal, tiocexcl)
        with unprivileged(), pytest.raises(DeviceError, match="is in use by another program"):
            check_port(port)


def test_forbidden_port(
    port: str, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    Path(port).chmod(0)
    with unprivileged(), pytest.raises(DeviceError, match="no permission to use") as caught:
        check_port(port)
    group = Path(port).group()
    assert caught.value.hint
    assert f"sudo usermod -aG {group} $USER" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("socket://127.0.0.1:1", "serial ports of the kind socket:// are not known"),
        ("RFC2217S://127.0.0.1:1", "of the kind rfc2217s:// are not known"),
        ("rfc2217://127.0.0.1", "is not a URL of a serial port"),
        ("rfc2217://127.0.0.1:0", "is not a URL of a serial port"),
        ("rfc2217://127.0.0.1:65536", "is not a URL of a serial port"),
        ("rfc2217://127.0.0.1:many", "is not a URL of a serial port"),
        ("rfc2217://:4000", "is not a URL of a serial port"),
        ("rfc2217://me@host:4000", "is not a URL of a serial port"),
        ("rfc2217://[::1:4000", "is not a URL of a serial port"),
        ("rfc2217://host:4000/tty", "is not a URL of a serial port"),
    ],
)
def test_urls_that_are_no_port(url: str, message: str) -> None:
    for use in (check_port, lambda url: hold_port(url).__enter__()):
        with pytest.raises(DeviceError, match=message) as caught:
            use(url)
        assert "rfc2217://HOST:PORT" in str(caught.value.hint)


def test_a_url_is_not_opened_to_check_it() -> None:
    check_port("rfc2217://127.0.0.1:1")
    check_port("RFC2217://[::1]:4000?ign_set_control")


_HOLDER = """
import sys
from nodemcu_tls_build.device.ports import hold_port
with hold_port(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_a_port(port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the other process has the lock where everybody has it
    (tmp_path / "by-id").symlink_to(port)
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path / "by-id")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DeviceError, match=f"{port} is in use by another nodemcu-tls"):
            hold_port(port).__enter__()
    with hold_port(port):
        pass


def test_one_thread_a_port() -> None:
    refused = []

    def try_it() -> None:
        for url in ("rfc2217://LOCALHOST:4000/", "rfc2217://127.0.0.1:4000?logging=debug"):
            try:
                with hold_port(url):
                    pass
            except DeviceError as error:
                refused.append(error.message)

    with hold_port("rfc2217://127.0.0.1:4000"), hold_port("rfc2217://127.0.0.1:4001"):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert len(refused) == 2
    assert all(message.endswith("is in use by another nodemcu-tls") for message in refused)


def test_a_lock_goes_away_with_its_holder(lock_dir: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold_port(URL):
        assert len(list(lock_dir.iterdir())) == 1
        raise ZeroDivisionError
    assert list(lock_dir.iterdir()) == []


def test_a_lock_that_was_removed_after_it_was_opened(
    lock_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one who waits for its holder must not hold a file that nobody else will find."""
    open_lock = lock._open_lock
    opened: list[int] = []

    def open_late(path: Path) -> int:
        descriptor = open_lock(path)
        if not opened:
            path.unlink()
        opened.append(descriptor)
        return descriptor

    monkeypatch.setattr(lock, "_open_lock", open_late)
    with hold_port(URL):
        assert len(opened) == 2
        with pytest.raises(DeviceError, match="in use by another nodemcu-tls"):
            hold_port(URL).__enter__()


def test_a_lock_that_belongs_to_another(
    unprivileged: Callable[[], AbstractContextManager[None]],
) -> None:
    """As in a directory of all users: it can be read and locked, but not be removed."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "port.lock")
        path.touch(0o444)
        Path(name).chmod(0o555)
        with unprivileged(), lock.take_lock(path, URL):
            pass
        assert path.exists()
        Path(name).chmod(0o755)


def test_a_lock_is_no_link(lock_dir: Path) -> None:
    with hold_port(URL):
        (path,) = lock_dir.iterdir()
    path.symlink_to(lock_dir / "elsewhere")
    with pytest.raises(DeviceError, match="cannot lock the port"):
        hold_port(URL).__enter__()
    assert not (lock_dir / "elsewhere").exists()


def test_the_lock_is_the_same_in_any_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    path = lock.find_lock(URL)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    monkeypatch.setenv("TMPDIR", "/nowhere")
    assert lock.find_lock(URL) == path


def plug_in(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, int | None, str]) -> None:
    devices = [SimpleNamespace(device=d, vid=v, description=text) for d, v, text in found]
    monkeypatch.setattr(ports.serial_ports, "comports", lambda: devices)


BUILT_IN = ("/dev/ttyS0", None, "n/a")
CH340 = ("/dev/ttyUSB1", 0x1A86, "USB Serial")
CP2102 = ("/dev/ttyUSB0", 0x10C4, "CP2102 USB to UART Bridge Controller")
OTHER_USB = ("/dev/ttyACM0", 0x2341, "Arduino Uno")


def test_likely_ports_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, BUILT_IN, OTHER_USB, CH340, CP2102)
    assert [(port.name, port.description) for port in list_ports()] == [
        ("/dev/ttyUSB0", "CP210x: CP2102 USB to UART Bridge Controller"),
        ("/dev/ttyUSB1", "CH340: USB Serial"),
        ("/dev/ttyACM0", "Arduino Uno"),
        ("/dev/ttyS0", ""),
    ]


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ([BUILT_IN, OTHER_USB, CH340], "/dev/ttyUSB1"),
        ([BUILT_IN, OTHER_USB], "/dev/ttyACM0"),
    ],
)
def test_the_one_likely_port(
    monkeypatch: pytest.MonkeyPatch, found: list[tuple[str, int | None, str]], chosen: str
) -> None:
    plug_in(monkeypatch, *found)
    assert choose_port(None) == chosen
    assert choose_port("/dev/ttyS0") == "/dev/ttyS0"


def test_several_ports_to_choose_from(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, BUILT_IN, OTHER_USB, CH340, CP2102)
    with pytest.raises(DeviceError) as caught:
        choose_port(None)
    assert caught.value.message == (
        "which port is the device's? There are: /dev/ttyUSB0 (CP210x: CP2102 USB to UART Bridge "
        "Controller), /dev/ttyUSB1 (CH340: USB Serial)"
    )
    assert choose_port(None, ask=lambda choice: choice[1].name) == "/dev/ttyUSB1"


def test_a_built_in_port_is_not_taken_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, BUILT_IN)
    with pytest.raises(DeviceError, match=r"There are: /dev/ttyS0 \(no description\)"):
        choose_port(None)


def test_no_port_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch)
    with pytest.raises(DeviceError, match="no serial port was found") as caught:
        choose_port(None)
    assert "plugged in" in str(caught.value.hint)
