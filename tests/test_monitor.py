"""The monitor: what reaches the terminal, what is typed when, and how it ends for a script."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import stat
import struct
import subprocess
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from emulated import NODEMCU_TLS
from serial_ports import LIMIT, FakeDevice, boot_on_port, open_device
from test_crash_report import OURS
from virtual_device import run_device

from nodemcu_tls_build.errors import DeviceError, OutputError
from nodemcu_tls_build.image import load_build_output
from nodemcu_tls_build.monitor.console import Console
from nodemcu_tls_build.monitor.link import Link
from nodemcu_tls_build.monitor.log import Log
from nodemcu_tls_build.monitor.report import Decoder
from nodemcu_tls_build.monitor.text import Cleaner, LineBuilder
from nodemcu_tls_build.monitor.typist import LONGEST_LINE, Typist

NO_BUILD = Path("/nonexistent")


def show(data: bytes) -> str:
    """Return what of a device's words reaches the terminal."""
    console = Console(Decoder(NO_BUILD), 0)
    return "".join(shown.text for shown in [*console.feed(data, 0), *console.finish()])


def test_control_sequences_do_not_reach_the_terminal() -> None:
    assert show(b"\x1b[31mred\x1b]0;title\x07") == "\\x1b[31mred\\x1b]0;title\\x07"
    assert show("\x9b31m\u202e\u2028é€😀".encode()) == (
        "\\xc2\\x9b31m\\xe2\\x80\\xae\\xe2\\x80\\xa8é€😀"
    )
    assert show(b"a\tb\b \b\r\nc\r") == "a\tb\b \b\r\nc\r"
    assert show(b"\xff\xc3(\xe2\x82 \x00\x7f") == "\\xff\\xc3(\\xe2\\x82 \\x00\\x7f"


def test_letters_that_arrive_in_pieces() -> None:
    cleaner = Cleaner()
    assert [cleaner.clean(bytes([byte])) for byte in "€!".encode()] == ["", "", "€", "!"]
    assert cleaner.clean(b"\xe2") == ""
    assert cleaner.clean(b"", final=True) == "\\xe2"


def build_lines(text: str) -> list[str]:
    builder = LineBuilder()
    lines = [builder.take(letter) for letter in text]
    return [*(line for line in lines if line is not None), builder.unfinished]


def test_lines_are_as_a_terminal_shows_them() -> None:
    assert build_lines("one\ntwo\r\nthree") == ["one", "two", "three"]
    assert build_lines("10%\r50%\r100%\n> prinr\b \bt") == ["100%", "> print"]
    assert build_lines("a\b\b\bb\n") == ["b", ""]
    assert [len(line) for line in build_lines("x" * 10000)] == [4096, 4096, 1808]


def type_to(typist: Typist, now: float = 0.0) -> bytes:
    sent = b""
    while part := typist.next_bytes(now):
        sent += part
    return sent


def test_lines_wait_for_the_prompt() -> None:
    typist = Typist(10, 10, 0)
    typist.put(b"x = 1")
    typist.put(b"=x")
    assert type_to(typist) == b""
    assert typist.hear(b"boot\n> ", 1) == b"boot\n> "
    assert type_to(typist, 1) == b"x = 1\r"
    assert not typist.at_prompt
    assert typist.hear(b"x = 1\n", 1) == b""
    assert type_to(typist, 2) == b""
    assert typist.hear(b">", 2) == b">"
    assert type_to(typist, 2) == b""
    assert typist.hear(b"> ", 2) == b"> "
    assert type_to(typist, 2) == b"=x\r"
    assert typist.hear(b"=x\n1\n> ", 3) == b"1\n> "
    assert typist.at_prompt
    assert not typist.gave_up


def test_lines_without_a_prompt_are_sent_in_the_end() -> None:
    typist = Typist(10, 2, 0)
    typist.put(b"AT")
    typist.put(b"ATZ")
    assert type_to(typist, 1) == b""
    assert type_to(typist, 2) == b"AT\r"
    assert typist.gave_up
    assert typist.hear(b"OK\r\n", 3) == b"OK\r\n"
    assert type_to(typist, 4) == b""
    assert type_to(typist, 5) == b"ATZ\r"


def test_long_lines_wait_for_their_echo() -> None:
    """More than the chip's UART holds is never on its way."""
    typist = Typist(10, 10, 0)
    typist.hear(b"> ", 0)
    line = bytes(range(0x20, 0x7F)) * 2
    typist.put(line)
    sent = echoed = b""
    while len(echoed) <= len(line):
        part = typist.next_bytes(0)
        sent += part
        assert len(sent) - len(echoed) <= 64
        echo = sent[len(echoed) : len(echoed) + 10]
        assert typist.hear(echo.replace(b"\r", b"\n"), 0) == b""
        echoed += echo
    assert sent == line + b"\r"
    typist.hear(b"> ", 0)
    typist.put(line)
    sent = type_to(typist, 0)
    assert len(sent) == 64
    assert len(sent + type_to(typist, 1)) == 128  # no echo for a second: it goes on


def test_what_is_no_echo_is_shown() -> None:
    typist = Typist(10, 10, 0)
    typist.hear(b"> ", 0)
    typist.put(b"print(1)")
    type_to(typist)
    assert typist.hear(b"print", 0) == b""
    assert typist.hear(b"tick\n", 0) == b"tick\n"  # a timer's, in the middle of the echo
    assert typist.hear(b"(1)\n1\n> ", 0) == b"1\n> "
    typist.put(b"x\x1b\ty")
    type_to(typist)
    assert typist.hear(b"x\ty\r\n> ", 0) == b"> "
    typist.put(b"AT")
    type_to(typist)
    assert typist.hear(b"OK\nATA\n> ", 0) == b"OK\nATA\n> "  # this device does not echo


def test_a_reset_device_is_new() -> None:
    typist = Typist(10, 10, 0)
    typist.hear(b"> ", 0)
    typist.put(b"a" * 200)
    typist.put(b"b")
    typist.next_bytes(0)
    typist.forget(1)
    assert not typist.at_prompt
    assert type_to(typist, 1) == b""
    assert typist.hear(b"aaa\n> ", 2) == b"aaa\n> "
    assert type_to(typist, 2) == b"b\r"


def test_hint_at_the_baud_rate() -> None:
    def listen(*parts: tuple[bytes, float]) -> list[str]:
        console = Console(Decoder(NO_BUILD), 0)
        notes = [note for data, now in parts for s in console.feed(data, now) for note in s.notes]
        return [note.text for note in notes]

    noise = bytes(range(0x80, 0xA0)) * 2
    assert listen((noise, 0), (b"", 1)) == []
    assert len(listen((noise, 0), (b"", 6), (noise, 7), (b"", 20))) == 1
    assert "--baud" in listen((noise * 20, 0))[0]
    assert listen((noise, 0), (b"\nnodemcu-tls build\n> ", 1), (noise * 20, 2), (b"", 20)) == []
    assert listen((b"hello world\n", 0), (noise * 20, 2), (b"", 20)) == []
    assert listen((b"", 20)) == []


def test_log(tmp_path: Path) -> None:
    path = tmp_path / "device.log"
    warnings: list[str] = []
    with contextlib.closing(Log(path, warnings.append)) as log:
        log.write(b"one\x1b\xff")
        log.write_line("--- note\n")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.unlink()
        log.write(b"two\n")
        log.write_line("--- note\n")
    assert path.read_bytes() == b"two\n--- note\n"
    assert warnings == [f"Warning: {path} was removed, the log goes on in a new file."]
    with contextlib.closing(Log(path, warnings.append)) as log:
        log.write(b"three\n")
    assert path.read_bytes() == b"two\n--- note\nthree\n"


def test_log_that_cannot_be_written(tmp_path: Path) -> None:
    warnings: list[str] = []
    with contextlib.closing(Log(Path("/dev/full"), warnings.append)) as log:
        log.write(b"one")
        log.write(b"two")
    assert len(warnings) == 1
    assert "No space left on device" in warnings[0]
    for path in (tmp_path, tmp_path / "missing" / "log"):
        with pytest.raises(OutputError, match="cannot write"):
            Log(path, warnings.append)


@pytest.fixture
def device() -> Iterator[FakeDevice]:
    with open_device() as device:
        yield device


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


def test_no_prompt(device: FakeDevice) -> None:
    result = run_monitor(device.port, "--timeout", "1")
    assert (result.returncode, result.stdout) == (124, "")
    result = run_monitor(device.port, text="=1\n")
    assert result.returncode == 1
    assert f"Error: {device.port} gave no prompt for 10 seconds\n" in result.stderr
    assert "the device shows no prompt, lines are sent all the same" in result.stderr
    result = run_monitor(device.port, text=f"{'x' * (LONGEST_LINE + 1)}\n")
    assert result.returncode == 1
    assert "line 1 of the input has 256 bytes" in result.stderr


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


@pytest.fixture
def socket_name(tmp_path: Path) -> str:
    """Return the name of a port into which devices can be plugged."""
    return str(tmp_path / "ttyUSB0")


def plug(device: FakeDevice, name: str) -> None:
    Path(name).unlink(missing_ok=True)
    Path(name).symlink_to(device.port)


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


class Screen:
    """A terminal with a monitor on it."""

    def __init__(self, *args: str, **environment: str) -> None:
        self._screen, self.line = pty.openpty()
        fcntl.ioctl(self.line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.modes = termios.tcgetattr(self.line)
        claim = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        claim += "os.execv(sys.argv[1], sys.argv[1:])"
        self.process = subprocess.Popen(
            [NODEMCU_TLS[0], "-c", claim, *NODEMCU_TLS, "monitor", *args],
            stdin=self.line,
            stdout=self.line,
            stderr=self.line,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm"} | environment,
        )
        self.raw = ""

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def wait_for(self, text: str) -> str:
        """Wait until this is shown, colours and cursor moves apart; return all up to it."""
        while text not in (plain := make_plain(self.raw)):
            ready, _, _ = select.select([self._screen], [], [], LIMIT)
            assert ready, plain
            self.raw += os.read(self._screen, 4096).decode(errors="replace")
        self.raw = ""
        return plain

    def check_end(self, code: int) -> None:
        """Check that it ends with this code, and leaves the terminal as it was."""
        deadline = time.monotonic() + LIMIT
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self._drain()
        assert self.process.returncode == code, make_plain(self.raw)
        self._drain()
        assert termios.tcgetattr(self.line) == self.modes
        assert self.raw.rfind("\x1b[?2004l") > self.raw.rfind("\x1b[?2004h")
        assert self.raw.rfind("\x1b[?25h") >= self.raw.rfind("\x1b[?25l")

    def _drain(self) -> None:
        while select.select([self._screen], [], [], 0.05)[0]:
            self.raw += os.read(self._screen, 4096).decode(errors="replace")

    def close(self) -> None:
        self.process.kill()
        self.process.wait(LIMIT)
        os.close(self.line)
        os.close(self._screen)


def make_plain(raw: str) -> str:
    """Leave out what only moves the cursor or sets colours; moved over is a space."""
    raw = raw.replace("\b\x1b[2C", " ").replace("\x1b[C", " ")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw).replace("\r", "")


@pytest.fixture
def open_screen() -> Iterator[Callable[..., Screen]]:
    screens: list[Screen] = []

    def start(*args: str, **environment: str) -> Screen:
        screens.append(Screen(*args, **environment))
        return screens[-1]

    yield start
    for screen in screens:
        screen.close()


def test_terminal(firmware: Path, open_screen: Callable[..., Screen], tmp_path: Path) -> None:
    with boot_on_port(firmware) as port:
        screen = open_screen(port, "--build", str(firmware), "--log", str(tmp_path / "log"))
        screen.wait_for("Ctrl-] leaves, Ctrl-T Ctrl-R resets the device.\n")
        screen.type("\r")
        screen.wait_for("> ")
        screen.type("print('he' .. 'llo')\r")
        shown = screen.wait_for("hello\n")
        assert shown.count("print('he' .. 'llo')\n") == 1  # and no echo after it
        screen.type("for i = 1, 2 do\r")
        screen.wait_for(">> ")
        screen.type("print(i * 11) end\r")
        screen.wait_for("11\n22\n")
        screen.type("\x1b[200~=1000 + 1\n=1000 + 2\n=1000 + 3\n\x1b[201~")
        screen.wait_for("=1000 + 3")
        screen.type("\r")
        screen.wait_for("1001\n1002\n1003\n")
        screen.type("rubbish\x03=2000 + 1\r")
        screen.wait_for("2001\n")
        screen.type("\x1b[A\x1b[A\r")  # the one before the last: history
        screen.wait_for("1001\n1002\n1003\n")
        screen.type("x" * (LONGEST_LINE + 1) + "\r")
        screen.wait_for("This line has 256 bytes, the firmware's prompt takes 255.")
        screen.type("\x03print('\\27[31m')\r")
        screen.wait_for("\\x1b[31m\n")
        screen.type("\x04")
        screen.check_end(0)
        assert b"print('he' .. 'llo')\nhello\n> " in (tmp_path / "log").read_bytes()


def test_output_while_a_line_is_typed(
    device: FakeDevice, open_screen: Callable[..., Screen]
) -> None:
    screen = open_screen(device.port)
    screen.wait_for("resets the device.\n")
    device.say(b"> ")
    screen.wait_for("> ")
    screen.type("pri")
    screen.wait_for("pri")
    device.say(b"tick\n")
    assert screen.wait_for("> pri").count("tick\n") == 1
    screen.type("nt(1)\r")
    device.wait_for(b"print(1)\r")
    device.say(b"print(1)\n1\n> ")
    screen.wait_for("1\n> ")
    device.say(f"{OURS}> ".encode())
    screen.wait_for("--- Crash: exception 29, StoreProhibited\n")
    screen.type("\x14\x12")
    screen.wait_for("--- This port cannot reset the device: it has no RTS.\n")
    screen.type("\x1d")
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
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_signals_leave_the_terminal_as_it_was(
    device: FakeDevice, open_screen: Callable[..., Screen], number: int, code: int
) -> None:
    screen = open_screen(device.port)
    screen.wait_for("resets the device.\n")
    device.say(b"> ")
    screen.wait_for("> ")
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
        screen.wait_for("> ")
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


@pytest.fixture
def flash_path(firmware: Path, tmp_path: Path) -> Path:
    """Return a flash file with the build in it."""
    size = load_build_output(firmware).flash_size
    path = tmp_path / "flash"
    path.write_bytes((firmware / "flash.bin").read_bytes().ljust(size, b"\xff"))
    return path


def test_virtual_device_for_a_script(firmware: Path, flash_path: Path) -> None:
    build_id = load_build_output(firmware).build_id
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


def test_virtual_device_on_a_terminal(
    firmware: Path, flash_path: Path, open_screen: Callable[..., Screen]
) -> None:
    build_id = load_build_output(firmware).build_id
    with run_device(firmware, flash_path) as device:
        screen = open_screen(device.url, "--reset", "--build", str(firmware))
        screen.wait_for(f"nodemcu-tls build {build_id}\n")
        screen.type("x = 5\r=x * 11\r")
        screen.wait_for("55\n")
        screen.type("\x14\x12")
        screen.wait_for(f"nodemcu-tls build {build_id}\n")
        screen.type("=x\r")
        screen.wait_for("nil\n")
        device.stop()
        screen.wait_for(f"--- Disconnected, waiting for {device.url}.\n")
        screen.raw = "\x1b[?2004h"
        screen.process.terminate()
        screen.check_end(143)


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
