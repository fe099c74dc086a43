"""The monitor on a terminal: lines are edited there, and it is left as it was."""

from __future__ import annotations

import signal
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from screens import Terminal
from serial_ports import FakeDevice, boot_on_port, make_flash, open_device, plug
from test_crash_report import ID, OURS
from virtual_device import run_device

from nodemcu_tls_build.build_output import load_build_output
from nodemcu_tls_build.monitor.typist import LONGEST_LINE


@pytest.fixture
def device() -> Iterator[FakeDevice]:
    with open_device() as device:
        yield device


@pytest.fixture
def socket_name(tmp_path: Path) -> str:
    """Return the name of a port into which devices can be plugged."""
    return str(tmp_path / "ttyUSB0")


class Screen(Terminal):
    """A terminal with a monitor on it."""

    def check_end(self, code: int) -> None:
        """Check that it ends with this code, and leaves the terminal as it was."""
        self.wait_end(code)
        assert termios.tcgetattr(self.line) == self.modes
        assert self.raw.rfind("\x1b[?2004l") > self.raw.rfind("\x1b[?2004h")
        assert self.raw.rfind("\x1b[?25h") >= self.raw.rfind("\x1b[?25l")


@pytest.fixture
def open_screen() -> Iterator[Callable[..., Screen]]:
    screens: list[Screen] = []

    def start(*args: str, **environment: str) -> Screen:
        screens.append(Screen("monitor", *args, **environment))
        return screens[-1]

    yield start
    for screen in screens:
        screen.close()


def test_terminal(firmware: Path, open_screen: Callable[..., Screen], tmp_path: Path) -> None:
    with boot_on_port(firmware) as port:
        screen = open_screen(port, "--build", str(firmware), "--log", str(tmp_path / "log"))
        screen.wait_for("Ctrl-] leaves, Ctrl-T Ctrl-R resets the device.\n")
        screen.type("\r")
        screen.wait_for("\n> ")
        screen.type("print('he' .. 'llo')\r")
        screen.wait_for("\nhello\n> ")
        screen.type("for i = 1, 2 do\r")
        screen.wait_for("\n>> ")
        screen.type("print(i * 11) end\r")
        screen.wait_for("\n11\n22\n> ")
        screen.type("\x1b[200~=1000 + 1\n=1000 + 2\n=1000 + 3\n\x1b[201~")
        screen.wait_for("=1000 + 3")
        screen.type("\r")
        screen.wait_for("\n1001\n1002\n1003\n> ")
        screen.type("rubbish\x03=2000 + 1\r")
        screen.wait_for("\n2001\n> ")
        screen.type("\x1b[A\x1b[A")  # the one before the last: history
        screen.wait_for("> =1000 + 1\n=1000 + 2\n=1000 + 3", 2)
        screen.type("\r")
        screen.wait_for("\n1001\n1002\n1003\n> ", 2)
        screen.type("x" * (LONGEST_LINE + 1) + "\r")
        screen.wait_for("This line has 256 bytes, the firmware's prompt takes 255.")
        screen.type("\x03print('\\27[31m')\r")
        shown = screen.wait_for("\n\\x1b[31m\n> ")
        assert shown[shown.index("print('he'") :].split("\n") == [  # the prompt may still come
            *("print('he' .. 'llo')", "hello", "> for i = 1, 2 do", ">> print(i * 11) end"),
            *("11", "22", "> =1000 + 1", "=1000 + 2", "=1000 + 3", "1001", "1002", "1003"),
            *("> =2000 + 1", "2001", "> =1000 + 1", "=1000 + 2", "=1000 + 3"),
            *("1001", "1002", "1003", "> print('\\27[31m')", "\\x1b[31m", "> "),
        ]
        screen.type("\x04")
        screen.check_end(0)
        assert b"print('he' .. 'llo')\nhello\n> " in (tmp_path / "log").read_bytes()


def test_output_while_a_line_is_typed(
    device: FakeDevice, open_screen: Callable[..., Screen]
) -> None:
    screen = open_screen(device.port)
    screen.wait_for("resets the device.\n")
    device.say(b"> ")
    screen.wait_for("\n> ")
    screen.type("pri")
    screen.wait_for("\n> pri")
    device.say(b"tick\n")
    screen.wait_for("\ntick\n> pri")
    screen.type("nt(1)\r")
    device.wait_for(b"print(1)\r")
    device.say(b"print(1)\n1\n10%\r20%")
    screen.wait_for("\ntick\n> print(1)\n1\n20%")
    device.say(b"\n> ")
    screen.wait_for("\ntick\n> print(1)\n1\n20%\n> ")
    device.say(f"{OURS}> ".encode())
    screen.wait_for("\n--- Crash: exception 29, StoreProhibited\n")
    screen.type("\x14\x12")
    screen.wait_for("\n--- This port cannot reset the device: it has no RTS.\n")
    screen.type("\x1d")
    screen.check_end(0)


@pytest.mark.parametrize("event", [OURS, f"nodemcu-tls build {ID}\n"])
def test_lines_that_wait_when_the_device_starts_anew(
    device: FakeDevice, open_screen: Callable[..., Screen], event: str
) -> None:
    """They were meant for the device as it was."""
    screen = open_screen(device.port)
    screen.wait_for("resets the device.\n")
    device.say(b"> ")
    screen.wait_for("\n> ")
    screen.type("\x1b[200~=1\n=2\n=3\x1b[201~")
    screen.wait_for("=3")
    screen.type("\r")
    device.wait_for(b"=1\r")
    device.say(f"=1\n{event}".encode())
    screen.wait_for("\n--- 2 lines were not sent: the device has started anew.\n")
    device.say(b"> ")
    screen.wait_for("\n> ", 2)
    screen.type("=4\r")
    device.wait_for(b"=4\r")
    assert device.heard == b""
    assert b"=2" not in device.heard_all


def test_device_that_hangs_and_unfinished_chunk(
    device: FakeDevice, open_screen: Callable[..., Screen]
) -> None:
    screen = open_screen(device.port)
    screen.wait_for("resets the device.\n")
    device.say(b"> ")
    screen.wait_for("\n> ")
    screen.type("for\r")
    device.wait_for(b"for\r")
    device.say(b"for\n>> ")
    screen.wait_for("\n>> ")
    screen.type("half\x03")
    device.wait_for(b"\x03")
    device.say(b"\n> ")
    screen.wait_for("\n> ", 2)
    screen.type("while true do end\r")
    screen.wait_for("--- No prompt since the last line: the device is busy, or hangs.")


def test_suspension_where_no_shell_is(
    device: FakeDevice, open_screen: Callable[..., Screen]
) -> None:
    """Ctrl-Z is no letter; the line is as it was when nobody can stop and go on with it."""
    screen = open_screen(device.port)
    screen.wait_for("resets the device.\n")
    device.say(b"> ")
    screen.wait_for("\n> ")
    screen.type("half\x1a a line\r")
    device.wait_for(b"half a line\r")


def test_keys_while_the_device_talks(
    device: FakeDevice, open_screen: Callable[..., Screen]
) -> None:
    """Whenever it comes, Ctrl-C is a key and nothing else, and no key is lost."""
    screen = open_screen(device.port)
    screen.wait_for("resets the device.\n")
    device.say(b"> ")
    screen.wait_for("\n> ")
    for number in range(100):
        screen.type(f"{number}")
        device.say(b"tick\n")
        screen.type("\x03")
    screen.type("=1\r")
    device.wait_for(b"=1\r")
    assert device.heard == b""
    screen.wait_for("> =1\n")
    assert screen.process.poll() is None
    screen.type("\x04")
    screen.check_end(0)


def test_colours(device: FakeDevice, open_screen: Callable[..., Screen]) -> None:
    for environment, has_colours in (({}, True), ({"NO_COLOR": "1"}, False)):
        screen = open_screen(device.port, **environment)
        screen.wait_for("resets the device.\n")
        device.say(OURS.encode())
        while "StoreProhibited" not in screen.raw:
            screen._drain()
        assert ("\x1b[31m\x1b[1m--- Crash" in screen.raw) is has_colours
        screen.type("\x1d")
        screen.check_end(0)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGUSR1, 138)],
)
def test_signals_leave_the_terminal_as_it_was(
    device: FakeDevice, open_screen: Callable[..., Screen], number: int, code: int
) -> None:
    screen = open_screen(device.port)
    screen.wait_for("resets the device.\n")
    device.say(b"> ")
    screen.wait_for("\n> ")
    screen.type("half a line")
    screen.wait_for("half a line")
    screen.raw = "\x1b[?2004h"
    screen.process.send_signal(number)
    screen.check_end(code)


def test_terminal_of_a_device_that_is_unplugged(
    socket_name: str, open_screen: Callable[..., Screen]
) -> None:
    with open_device() as first, open_device() as second:
        plug(first, socket_name)
        screen = open_screen(socket_name)
        screen.wait_for("resets the device.\n")
        first.say(b"> ")
        screen.wait_for("\n> ")
        Path(socket_name).unlink()
        first.unplug()
        screen.wait_for(f"--- Disconnected, waiting for {socket_name}.\n")
        plug(second, socket_name)
        screen.wait_for("--- Connected again.\n")
        screen.type("=1\r")
        second.wait_for(b"=1\r")
        screen.raw = "\x1b[?2004h"
        screen.type("\x1d")
        screen.check_end(0)


def test_virtual_device_on_a_terminal(
    firmware: Path, tmp_path: Path, open_screen: Callable[..., Screen]
) -> None:
    build_id = load_build_output(firmware).build_id
    flash_path = make_flash(firmware, tmp_path / "flash")
    with run_device(firmware, flash_path) as device:
        screen = open_screen(device.url, "--reset", "--build", str(firmware))
        screen.wait_for(f"nodemcu-tls build {build_id}\n")
        screen.type("x = 5\r=x * 11\r")
        screen.wait_for("55\n")
        screen.type("\x14\x12")
        screen.wait_for(f"nodemcu-tls build {build_id}\n", 2)
        screen.type("=x\r")
        screen.wait_for("nil\n")
        device.stop()
        screen.wait_for(f"--- Disconnected, waiting for {device.url}.\n")
        screen.raw = "\x1b[?2004h"
        screen.process.terminate()
        screen.check_end(143)
