"""What of a device reaches the screen and the log, and what is typed to it when."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import pytest

from nodemcu_tls_build.errors import OutputError
from nodemcu_tls_build.monitor.console import Console
from nodemcu_tls_build.monitor.log import Log
from nodemcu_tls_build.monitor.report import Decoder
from nodemcu_tls_build.monitor.text import Cleaner, LineBuilder
from nodemcu_tls_build.monitor.typist import Typist

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
    assert len(listen((b"\xfe\x00\x80\xf8\x00", 0), (b"", 6))) == 1  # a banner at a twelfth
    assert listen((b"\xfe\x00", 0), (b"", 6)) == []


def test_garbage_of_each_start_is_counted_anew() -> None:
    console = Console(Decoder(NO_BUILD), 0)
    for start in range(4):
        assert not any(shown.notes for shown in console.feed(b"\xfe\x00\x80", start))
        console.start_over()
    assert not any(shown.notes for shown in console.feed(b"", 20))


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
    os.mkfifo(tmp_path / "pipe")
    for path, hint in (
        (tmp_path, "A directory stands there"),
        (tmp_path / "missing" / "log", "Make the directory"),
        (tmp_path / "pipe", "Start its reader"),
    ):
        with pytest.raises(OutputError, match="cannot write") as caught:
            Log(path, warnings.append)
        assert caught.value.hint
        assert hint in caught.value.hint
