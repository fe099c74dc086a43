"""Make what a device says safe to show, and put its lines together."""

from __future__ import annotations

import codecs

_KEPT = "\n\t\b\r"  # what may reach a terminal besides letters
_LONGEST = 4096  # a longer line is broken


class Cleaner:
    """Turn bytes into text without control sequences: other bytes are shown in hexadecimal."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")

    def clean(self, data: bytes, *, final: bool = False) -> str:
        """Return the text; the first bytes of a letter wait for the rest unless `final`."""
        text = self._decoder.decode(data, final)
        if text.isprintable():
            return text
        return "".join(c if c.isprintable() or c in _KEPT else _escape(c) for c in text)


def _escape(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode(errors="surrogatepass"))


class LineBuilder:
    """Put lines together as a terminal would, which goes back with backspace and return."""

    def __init__(self) -> None:
        self._letters: list[str] = []
        self._cursor = 0

    @property
    def unfinished(self) -> str:
        """Return the line that has not ended yet."""
        return "".join(self._letters)

    def clear(self) -> None:
        """Forget the unfinished line."""
        self._letters, self._cursor = [], 0

    def take(self, letter: str) -> str | None:
        """Add a letter; return the line that ends with it."""
        if letter == "\n":
            line = self.unfinished
            self.clear()
            return line
        if letter == "\b":
            self._cursor = max(0, self._cursor - 1)
        elif letter == "\r":
            self._cursor = 0
        else:
            self._letters[self._cursor : self._cursor + 1] = [letter]
            self._cursor += 1
        return self.take("\n") if len(self._letters) >= _LONGEST else None
