"""A terminal for tests: what its screen shows, from what is written to it."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path

from emulated import NODEMCU_TLS
from serial_ports import LIMIT

_PIECE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(.)", re.DOTALL)


class ScreenText:
    """The lines of a screen without an end, and where the cursor is."""

    def __init__(self) -> None:
        self._lines: list[list[str]] = [[]]
        self._row = self._column = 0

    @property
    def text(self) -> str:
        """Return all lines, with spaces behind them only up to the cursor."""
        lines = ["".join(line).rstrip() for line in self._lines]
        lines += [""] * (self._row + 1 - len(lines))
        lines[self._row] = lines[self._row].ljust(self._column)
        return "\n".join(lines)

    def feed(self, data: str) -> None:
        """Take what is written; what else a sequence may ask for is not minded."""
        for match in _PIECE.finditer(data):
            parameters, command, letter = match.groups()
            if letter is None:
                self._obey(command, int(parameters) if parameters.isdigit() else 1)
            elif letter == "\n":
                self._row += 1
            elif letter == "\r":
                self._column = 0
            elif letter == "\b":
                self._column = max(0, self._column - 1)
            else:
                self._put(letter)

    def _put(self, letter: str) -> None:
        self._lines += [[] for _ in range(self._row + 1 - len(self._lines))]
        line = self._lines[self._row]
        line += " " * (self._column + 1 - len(line))
        line[self._column] = letter
        self._column += 1

    def _obey(self, command: str, count: int) -> None:
        if command == "A":
            self._row = max(0, self._row - count)
        elif command == "B":
            self._row += count
        elif command == "C":
            self._column += count
        elif command == "D":
            self._column = max(0, self._column - count)
        elif command in "JK" and self._row < len(self._lines):
            del self._lines[self._row][self._column :]
            if command == "J":
                del self._lines[self._row + 1 :]


class Terminal:
    """A terminal of 24 lines and 80 columns with a nodemcu-tls on it."""

    def __init__(self, *args: str | Path, cwd: Path | None = None, **environment: str) -> None:
        self._screen, self.line = pty.openpty()
        fcntl.ioctl(self.line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.modes = termios.tcgetattr(self.line)
        claim = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        claim += "os.execv(sys.argv[1], sys.argv[1:])"
        self.process = subprocess.Popen(
            [NODEMCU_TLS[0], "-c", claim, *NODEMCU_TLS, *args],
            cwd=cwd,
            stdin=self.line,
            stdout=self.line,
            stderr=self.line,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm"} | environment,
        )
        self.raw = ""
        self.shown = ScreenText()
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def type(self, keys: str | bytes) -> None:
        os.write(self._screen, keys.encode() if isinstance(keys, str) else keys)

    def wait_for(self, text: str, count: int = 1) -> str:
        """Wait until the screen has this text so many times; return all that it shows."""
        while self.shown.text.count(text) < count:
            ready, _, _ = select.select([self._screen], [], [], LIMIT)
            assert ready, self.shown.text
            self._read()
        return self.shown.text

    def wait_end(self, code: int) -> str:
        """Wait until the command ends, with this code; return all that the screen shows."""
        deadline = time.monotonic() + LIMIT
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self._drain()
        assert self.process.returncode == code, self.shown.text
        self._drain()
        return self.shown.text

    def _drain(self) -> None:
        while select.select([self._screen], [], [], 0.05)[0]:
            self._read()

    def _read(self) -> None:
        text = self._decoder.decode(os.read(self._screen, 4096))
        self.raw += text
        self.shown.feed(text)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(LIMIT)
        os.close(self.line)
        os.close(self._screen)
