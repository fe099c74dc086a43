"""A terminal for tests: what its screen shows, from what is written to it."""

from __future__ import annotations

import re

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
