"""The Lua prompt on the chip's console: piped input, and a person at a terminal."""

from __future__ import annotations

import os
import pty
import select
import socket
import subprocess
import termios
from pathlib import Path

import pytest
from builds import load_report
from emulated import NODEMCU_TLS, Console, World, run_prompt
from peers import read_to_end, run_peer


def type_lines(build_dir: Path, *lines: str) -> list[str]:
    """Type the lines; return what the console shows after its first line, to its last prompt."""
    result = run_prompt(build_dir, "".join(f"{line}\n" for line in lines))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith("\n> \n")
    return strip_banner(build_dir, result.stdout).splitlines()[:-1]


def strip_banner(build_dir: Path, shown: str) -> str:
    """Return what the console shows after the line that says which build it is."""
    banner = f"nodemcu-tls build {load_report(build_dir)['build_id']}\n"
    assert shown.startswith(banner)
    return shown.removeprefix(banner)


def test_statements_expressions_and_chunks_of_several_lines(firmware: Path) -> None:
    shown = type_lines(
        firmware,
        "print('hello')",
        "=1 + 1, 'x', nil",
        "for i = 1, 2 do",
        "  print(i)",
        "end",
        "x = {",
        "  7 }",
        "",
        "=x[1]",
        "return 5, 6",
        "=[[a",
        "b]]",
        "local y = 1",
        "=y",
        "=",
    )
    assert shown == [
        *("> print('hello')", "hello"),
        *("> =1 + 1, 'x', nil", "2\tx\tnil"),
        *("> for i = 1, 2 do", ">>   print(i)", ">> end", "1", "2"),
        *("> x = {", ">>   7 }", "> ", "> =x[1]", "7"),
        *("> return 5, 6", "5\t6"),
        *("> =[[a", ">> b]]", "a", "b"),
        *("> local y = 1", "> =y", "nil"),
        "> =",
    ]


def test_errors_leave_the_prompt_as_it_was(firmware: Path) -> None:
    shown = type_lines(
        firmware,
        "error('no good')",
        "x x",
        "=1 1",
        "for",
        "]",
        "error({})",
        "error()",
        "nothing.at.all = 1",
        "print = nil",
        "=1",
        "y = 2",
    )
    traceback = ["stack traceback:", "\t[C]: in function 'error'", "\tstdin:1: in main chunk"]
    assert shown == [
        *("> error('no good')", "stdin:1: no good", *traceback, "\t[C]: in function"),
        *("> x x", "stdin:1: '=' expected near 'x'"),
        *("> =1 1", "stdin:1: '<eof>' expected near '1'"),
        *("> for", ">> ]", "stdin:2: '<name>' expected near ']'"),
        *("> error({})", "(error object is a table value)", *traceback, "\t[C]: in function"),
        *("> error()", "(error object is a nil value)", *traceback, "\t[C]: in function"),
        "> nothing.at.all = 1",
        "stdin:1: attempt to index global 'nothing' (a nil value)",
        *("stack traceback:", "\tstdin:1: in main chunk", "\t[C]: in function"),
        "> print = nil",
        *("> =1", "attempt to call a nil value", "stack traceback:", "\t[C]: in function"),
        "> y = 2",
    ]


def test_keys(firmware: Path) -> None:
    keys = "\b\x7fprimt\b\x7f\x7fint(1)\r\nprint(2)\rprint(3)\x04\n\x04print(4)"
    result = run_prompt(firmware, keys)
    erase = "\b \b"
    shown = strip_banner(firmware, result.stdout)
    assert shown == f"> primt{erase * 3}int(1)\n1\n> print(2)\n2\n> print(3)\n3\n> \n"
    assert result.returncode == 0


def test_input_without_its_last_line_end(firmware: Path) -> None:
    for text, expected in (
        ("print(1)", "> print(1)\n1\n> \n"),
        ("", "> \n"),
        ("for i = 1, 2 do", "> for i = 1, 2 do\n>> \n"),
    ):
        assert strip_banner(firmware, run_prompt(firmware, text).stdout) == expected


def test_line_that_is_too_long(firmware: Path) -> None:
    fits = f"x = '{'a' * 249}'"
    assert len(fits) == 255
    shown = type_lines(firmware, fits, f"{fits} ", "=#x")
    assert shown == [
        f"> {fits}",
        f"> {fits}",
        "line longer than 255 characters: ignored",
        "> =#x",
        "249",
    ]


def test_chunk_that_is_too_large(firmware: Path) -> None:
    shown = type_lines(firmware, "x = {", *(["1, 2, 3, 4, 5, 6, 7, 8, 9, " * 9] * 99), "}", "=1")
    assert "not enough memory" in shown
    assert shown[-2:] == ["> =1", "1"]


def test_input_faster_than_the_chip_reads_it(firmware: Path) -> None:
    lines = [f"={number}" for number in range(1000)]
    shown = type_lines(firmware, "for i = 1, 100000 do end", *lines)
    assert shown[1::2] == [f"> {line}" for line in lines]
    assert shown[2::2] == [str(number) for number in range(1000)]


def test_exit_code(firmware: Path) -> None:
    result = run_prompt(firmware, "os.exit(42)\nprint('never')\n")
    assert result.returncode == 42
    assert strip_banner(firmware, result.stdout) == "> os.exit(42)\n"


def test_restart(firmware: Path) -> None:
    result = run_prompt(firmware, "x = 1\nnode.restart()\n=x\n=node.heap() > 20000\n")
    first, shown = result.stdout.split("node.restart()\n")
    assert strip_banner(firmware, first) == "> x = 1\n> "
    assert strip_banner(firmware, shown).splitlines() == [
        "> =x",
        "nil",
        "> =node.heap() > 20000",
        "true",
        "> ",
    ]
    assert result.returncode == 0


def test_restart_with_everything_in_use(world: World) -> None:
    with Console(world.build_dir) as console:
        for _ in range(3):
            console.wait_for("> ")
            console.type(
                "s = tls.createConnection() s:on('connection', function() print('open') end)\n"
                f"tls.cert.verify(true) s:connect({world.good_port}, 'server.test')\n"
            )
            console.wait_for("open\n")
            console.type("node.restart()\n")
            console.wait_for("node.restart()\n")
        console.wait_for("> ")
        assert console.end() == 0


def test_events_come_while_the_prompt_waits(world: World) -> None:
    with Console(world.build_dir) as console:
        console.wait_for("> ")
        console.type(
            "t = tmr.create() t:alarm(1, tmr.ALARM_SINGLE, function() print('tick') end)\n"
        )
        console.wait_for("tick\n")
        console.type("t:alarm(1, tmr.ALARM_SINGLE, function() error('tock') end)\n")
        console.wait_for("stdin:1: tock\nstack traceback:\n")
        console.type("=1 + 1\n")
        console.wait_for("\n2\n> ")
        assert console.end() == 0


def test_prompt_survives_when_there_is_no_room_for_what_comes_in(world: World) -> None:
    def serve(connection: socket.socket) -> bytes:
        connection.recv(1)
        connection.sendall(b"x" * 1400)
        return read_to_end(connection)

    with run_peer(serve) as peer, Console(world.build_dir) as console:
        console.wait_for("> ")
        console.type(
            "s = net.createConnection()\n"
            "s:on('receive', function(s, data) print('received', #data) end)\n"
            "s:on('reconnection', function(s, reason) print('failed', reason) end)\n"
            "s:on('connection', function() print('open') end)\n"
            f"s:connect({peer.port}, 'server.test')\n"
        )
        console.wait_for("open\n")
        console.type("while node.heap() > 1500 do x = { x } end s:send('x')\n")
        console.wait_for("failed\tout of memory\n")  # a stream with a hole in it must not go on
        console.type("x = nil\n=1 + 1\n")
        console.wait_for("\n2\n> ")
        assert console.end() == 0


@pytest.mark.parametrize(("keys", "code"), [(b"\x04", 0), (b"os.exit(5)\r", 5), (b"\x03", 130)])
def test_terminal(firmware: Path, keys: bytes, code: int) -> None:
    screen, line = pty.openpty()
    modes = termios.tcgetattr(line)
    claim = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    claim += "os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [NODEMCU_TLS[0], "-c", claim, *NODEMCU_TLS, "run", str(firmware), "--timeout", "60"],
        stdin=line,
        stdout=line,
        stderr=line,
        start_new_session=True,
    )
    try:
        shown = wait_for(screen, b"> ")
        os.write(screen, b"print(1 +\r")
        shown += wait_for(screen, b">> ")
        os.write(screen, b"1)\r")
        shown += wait_for(screen, b"\n> ")
        typed = shown.replace(b"\r", b"").decode()
        assert strip_banner(firmware, typed) == "> print(1 +\n>> 1)\n2\n> "
        os.write(screen, keys)
        assert process.wait(60) == code
        assert termios.tcgetattr(line) == modes
    finally:
        process.kill()
        process.wait(60)
        os.close(line)
        os.close(screen)


def wait_for(screen: int, text: bytes) -> bytes:
    shown = b""
    while text not in shown:
        ready, _, _ = select.select([screen], [], [], 60)
        assert ready, shown
        shown += os.read(screen, 4096)
    return shown


def test_interrupt_drops_what_was_typed(firmware: Path) -> None:
    with Console(firmware) as console:
        console.wait_for("\n> ")
        console.type("for i = 1, 2 do\rprint(i)\r")
        console.wait_for(">> print(i)\n>> ")
        console.type("x = \x03=1 + 1\r")
        assert console.wait_for("\n2\n> ") == "x = \n> =1 + 1"
        console.type("rubbish\x03=3\r")
        assert console.wait_for("\n3\n> ") == "rubbish\n> =3"
