"""The monitor: what reaches the terminal, what is typed when, and how it ends for a script."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated import NODEMCU_TLS
from serial_ports import LIMIT, FakeDevice, boot_on_port, make_flash, open_device, plug
from test_crash_report import OURS
from virtual_device import run_device

from nodemcu_tls_build.build_output import load_build_output
from nodemcu_tls_build.errors import DeviceError
from nodemcu_tls_build.monitor.batch import Batch, BatchRequest
from nodemcu_tls_build.monitor.console import Console
from nodemcu_tls_build.monitor.link import Link
from nodemcu_tls_build.monitor.pump import Pump
from nodemcu_tls_build.monitor.report import Decoder
from nodemcu_tls_build.monitor.typist import LONGEST_LINE, Typist


@pytest.fixture
def device() -> Iterator[FakeDevice]:
    with open_device() as device:
        yield device


@pytest.fixture
def socket_name(tmp_path: Path) -> str:
    """Return the name of a port into which devices can be plugged."""
    return str(tmp_path / "ttyUSB0")


def run_monitor(
    port: str, *args: str, text: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NODEMCU_TLS, "monitor", port, *args],
        check=False,
        capture_output=True,
        text=True,
        input=text,
        timeout=LIMIT,
        env=os.environ | environment,
    )


@contextlib.contextmanager
def start_monitor(port: str, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a monitor for a script whose input stays open."""
    command = [*NODEMCU_TLS, "monitor", port, *args]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def listen_to(device: FakeDevice, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a monitor; wait until it has opened the port, which drops what came before."""
    with start_monitor(device.port, *args) as monitor:
        assert monitor.stdin
        monitor.stdin.write(b"=0\n")
        device.wait_for(b"\r")  # it asks for a prompt
        device.say(b"\n> ")
        device.wait_for(b"=0\r")
        device.say(b"=0\n0\n> ")
        yield monitor


def wait_for_line(stream: object, text: bytes) -> None:
    """Wait until a line with this text comes."""
    descriptor = stream.fileno()  # type: ignore[attr-defined]
    heard = b""
    while text not in heard:
        ready, _, _ = select.select([descriptor], [], [], LIMIT)
        assert ready, heard
        part = os.read(descriptor, 4096)
        assert part, heard
        heard += part


def test_lines_from_a_script_to_the_firmware(firmware: Path, tmp_path: Path) -> None:
    log_path = tmp_path / "log"
    lines = "print('hello')\n=1+1\r\nfor i = 1, 2 do\n  print(i)\nend\n"
    lines += f"x = '{'a' * 249}'\n=#x\nprint('\\27[31m\\128')\n=print, 0x40220000"
    with boot_on_port(firmware) as port:
        result = run_monitor(port, "--build", str(firmware), "--log", str(log_path), text=lines)
        assert (result.returncode, result.stderr) == (0, "")
        shown = result.stdout[result.stdout.index("> print('hello')\n") :]
        assert [line for line in shown.splitlines() if not line.startswith("--- ")] == [
            *("> print('hello')", "hello", "> =1+1", "2", "> for i = 1, 2 do", ">>   print(i)"),
            *(">> end", "1", "2", f"> x = '{'a' * 249}'", "> =#x", "249"),
            *(r"> print('\27[31m\128')", r"\x1b[31m\x80", "> =print, 0x40220000"),
            *(shown.splitlines()[-2], "> "),
        ]
        assert re.search(r"> =print, 0x40220000\n--- 0x40220000: \w+ at \S+:\d+\n", shown)
        assert b"\n\x1b[31m\x80\n" in log_path.read_bytes()
        assert b"\n--- 0x40220000: " in log_path.read_bytes()
        echo = run_monitor(port, "--until", "42", text="=1, 42\n")
        assert echo.returncode == 0
        assert "\n1\t42\n" in echo.stdout
        late = "t = tmr.create() t:alarm(300, tmr.ALARM_SINGLE, function() print('ti' .. 'ck') end)"
        result = run_monitor(port, "--until", "tick", "--timeout", "60", text=late)
        assert result.returncode == 0
        assert "\n> tick\n" in result.stdout
        result = run_monitor(port, "--until", "never", "--timeout", "0.5", text="=1\n")
        assert result.returncode == 124


def test_echo_of_the_input_is_not_what_is_waited_for(device: FakeDevice) -> None:
    with listen_to(device, "--until", "done") as monitor:
        assert monitor.stdin
        monitor.stdin.write(b"print('done')\n")
        device.wait_for(b"print('done')\r")
        device.say(b"print('done')\nfine\n> ")
        monitor.stdin.write(b"=1\n")
        device.wait_for(b"=1\r")  # so it has not ended
        device.say(b"=1\nand do")
        device.say(b"ne")
        assert monitor.wait(LIMIT) == 0


def test_all_of_the_input_is_typed_though_the_text_was_seen(device: FakeDevice) -> None:
    with start_monitor(device.port, "--until", "done") as monitor:
        assert monitor.stdin
        monitor.stdin.write(b"=1\n=2\n")
        device.wait_for(b"\r")
        device.say(b"\n> ")
        device.wait_for(b"=1\r")
        device.say(b"=1\ndone\n")
        device.say(b"> ")
        device.wait_for(b"=2\r")
        assert monitor.wait(LIMIT) == 0


def test_closed_input(device: FakeDevice) -> None:
    command = [*NODEMCU_TLS, "monitor", device.port, "--timeout", "0.5"]
    shell = ["sh", "-c", '"$@" <&-', "sh", *command]
    result = subprocess.run(shell, check=False, capture_output=True, timeout=LIMIT)
    assert (result.returncode, result.stderr) == (124, b"")


def test_text_that_does_not_come_and_line_that_is_too_long(device: FakeDevice) -> None:
    result = run_monitor(device.port, "--timeout", "1")
    assert (result.returncode, result.stdout) == (124, "")
    result = run_monitor(device.port, text=f"{'x' * (LONGEST_LINE + 1)}\n")
    assert result.returncode == 1
    assert "line 1 of the input has 256 bytes" in result.stderr


@pytest.mark.parametrize("says", [b"", b"tick\n"])
def test_prompt_that_does_not_come(device: FakeDevice, says: bytes) -> None:
    """The lines are sent all the same, and the end is an error: it may say things all the time."""
    notices: list[str] = []
    reader, writer = os.pipe()
    os.write(writer, b"=1\n=2\n")
    os.close(writer)
    over = threading.Event()
    speaker = threading.Thread(target=lambda: [device.say(says) for _ in _ticks(over)])
    with contextlib.closing(Link(device.port, 115200, notices.append)) as link:
        speaker.start()
        try:
            batch = Batch(BatchRequest(patience=0.5), reader, lambda shown: None, notices.append)
            now = time.monotonic()
            console, typist = Console(Decoder(Path("/nonexistent")), now), Typist(0.5, 0.5, now)
            with pytest.raises(DeviceError, match="gave no prompt") as caught:
                batch.run(Pump(link, console, typist, on_heard=batch.listen))
        finally:
            over.set()
            speaker.join()
            os.close(reader)
    assert caught.value.hint
    device.wait_for(b"\r=1\r=2\r" if not says else b"=1\r=2\r")
    assert notices == ["Warning: the device shows no prompt, lines are sent all the same."]


def _ticks(over: threading.Event) -> Iterator[None]:
    while not over.wait(0.05):
        yield


def test_crash_ends_a_script(device: FakeDevice, firmware: Path) -> None:
    build = ("--build", str(firmware))
    with listen_to(device, *build, "--until", "never") as monitor:
        device.say(OURS.encode())
        output, _ = monitor.communicate(timeout=LIMIT)
        assert monitor.returncode == 1
        lines = output.decode().splitlines()
        report = lines.index("--- Crash: exception 29, StoreProhibited")
        assert lines[report - 1] in {"<<<stack<<<", ""}
        assert "Memory was written through a null pointer" in lines[report + 1]
    with listen_to(device, *build, "--until", "and on", "--keep-going") as monitor:
        device.say(f"{OURS}and on\n".encode())
        output, _ = monitor.communicate(timeout=LIMIT)
        assert monitor.returncode == 0
        assert b"--- Crash: exception 29" in output


def test_output_that_is_full(device: FakeDevice) -> None:
    device.say(b"a word\n")
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [*NODEMCU_TLS, "monitor", device.port, "--timeout", "60"],
            stdin=subprocess.PIPE,
            stdout=full,
            stderr=subprocess.PIPE,
        )
        try:
            assert process.stdin
            process.stdin.write(b"=0\n")  # it asks for a prompt, so it listens
            process.stdin.flush()
            device.wait_for(b"\r")
            device.say(b"a word\n")
            _, errors = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    assert process.returncode == 1
    first, second = errors.decode().splitlines()
    assert first == "Error: cannot write standard output: No space left on device"
    assert second.startswith("Hint: ")


def test_build_that_is_not_there(device: FakeDevice, tmp_path: Path) -> None:
    result = run_monitor(device.port, "--build", str(tmp_path / "none"))
    assert result.returncode == 1
    assert "Error: cannot read" in result.stderr
    result = subprocess.run(
        [*NODEMCU_TLS, "monitor", device.port, "--timeout", "0.1"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert (result.returncode, result.stderr) == (124, "")


@pytest.mark.parametrize("args", [("--until", ""), ("--timeout", "nan"), ("--baud", "9")])
def test_wrong_usage(args: tuple[str, ...]) -> None:
    assert run_monitor("/dev/null", *args).returncode == 2


def test_ports_that_cannot_be_opened(device: FakeDevice) -> None:
    result = run_monitor("/dev/ttyNONE")
    assert (result.returncode, result.stderr.splitlines()[0]) == (
        1,
        "Error: cannot find /dev/ttyNONE: No such file or directory",
    )
    with listen_to(device, "--timeout", "60"):
        result = run_monitor(device.port)
        assert result.returncode == 1
        assert "in use" in result.stderr
    with pytest.raises(DeviceError, match=r"cannot open rfc2217://127.0.0.1:1: "):
        Link("rfc2217://127.0.0.1:1", 115200, print)


def test_device_that_is_unplugged(socket_name: str) -> None:
    with open_device() as first, open_device() as second:
        plug(first, socket_name)
        first.port = socket_name
        with listen_to(first, "--until", "end") as monitor:
            wait_for_line(monitor.stdout, b"0\n> ")
            Path(socket_name).unlink()
            first.unplug()
            wait_for_line(monitor.stderr, f"Disconnected, waiting for {socket_name}.".encode())
            plug(second, socket_name)
            wait_for_line(monitor.stderr, b"Connected again.")
            second.say(b"two and end\n")
            assert monitor.wait(LIMIT) == 0
            assert monitor.stdout
            assert monitor.stdout.read().endswith(b"two and end\n")
            assert monitor.stderr
            assert monitor.stderr.read() == b""


def test_virtual_device_for_a_script(firmware: Path, tmp_path: Path) -> None:
    build_id = load_build_output(firmware).build_id
    flash_path = make_flash(firmware, tmp_path / "flash")
    with run_device(firmware, flash_path) as device:
        result = run_monitor(device.url, "--reset", text="x = 5\n")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == f"nodemcu-tls build {build_id}\n> x = 5\n> \n"
        result = run_monitor(device.url, text="=x\n")  # it was not reset
        assert (result.returncode, result.stdout) == (0, "\n> =x\n5\n> \n")
        with start_monitor(device.url) as monitor:
            assert monitor.stdin
            monitor.stdin.write(b"=x\n")
            wait_for_line(monitor.stdout, b"=x\n5\n")
            device.stop()
            wait_for_line(monitor.stderr, b"Disconnected, waiting for rfc2217://")
            with run_device(firmware, flash_path, "--port", str(device.port)):
                wait_for_line(monitor.stderr, b"Connected again.")
                output, _ = monitor.communicate(b"=x\n", timeout=LIMIT)
            assert (monitor.returncode, output.splitlines()[-3:]) == (0, [b"> =x", b"nil", b"> "])


def test_input_that_is_a_terminal_and_output_that_is_none(device: FakeDevice) -> None:
    master, line = pty.openpty()
    tty.setraw(line)
    try:
        with subprocess.Popen(
            [*NODEMCU_TLS, "monitor", device.port, "--until", "2\n"],
            stdin=line,
            stdout=subprocess.PIPE,
        ) as monitor:
            os.write(master, b"=1+1\n")
            device.wait_for(b"\r")
            device.say(b"\n> ")
            device.wait_for(b"=1+1\r")
            device.say(b"=1+1\n2\n> ")
            assert monitor.wait(LIMIT) == 0
    finally:
        os.close(line)
        os.close(master)
