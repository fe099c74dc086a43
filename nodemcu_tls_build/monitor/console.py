"""Follow what a device says: its lines, the crashes in it, and what it says of its build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nodemcu_tls_build.monitor.crash import Crash, CrashReader, find_banner
from nodemcu_tls_build.monitor.report import Decoder, Note
from nodemcu_tls_build.monitor.text import Cleaner, LineBuilder

_SILENCE = 2.0  # seconds after which a dump that stopped is over
_GARBAGE_SILENCE = 5.0
# Bytes: a banner of 60 at 115200 baud is about six to who listens at 9600.
_SOME_GARBAGE, _MUCH_GARBAGE = 4, 1024
_READABLE = 8  # letters in a row that noise hardly makes
_BAUD_HINT = (
    "This is no text: does the device speak at another baud rate? Try --baud 74880, "
    "the chip's boot ROM's, or the rate that the program on it sets."
)


@dataclass(frozen=True)
class Shown:
    """Text to show, `line` in whole when it ends with that, and what is to be said below it."""

    text: str
    line: str | None = None
    notes: list[Note] = field(default_factory=list)


class Console:
    """Turn the bytes of a device into what is to be shown."""

    def __init__(self, decoder: Decoder, now: float) -> None:
        self.crashes = 0
        self.starts = 0  # banners
        self._decoder = decoder
        self._cleaner = Cleaner()
        self._line = LineBuilder()
        self._reader = CrashReader()
        self._garbage = _Garbage()
        self._last_heard = now

    @property
    def unfinished(self) -> str:
        """Return the line that has not ended yet: a prompt, usually."""
        return self._line.unfinished

    def drop_unfinished(self) -> None:
        """Forget the unfinished line: it has been dealt with."""
        self._line.clear()

    def start_over(self) -> None:
        """Expect a device that starts: nothing of before belongs to what it says."""
        self.drop_unfinished()
        self._garbage.forget()

    def feed(self, data: bytes, now: float) -> list[Shown]:
        """Take what the device said, or nothing to let time pass."""
        shown = list(self._split(self._cleaner.clean(data)))
        if data:
            self._last_heard = now
            self._garbage.take(data)
        notes = []
        silence = now - self._last_heard
        if silence >= _SILENCE and self._reader.is_reading:
            notes += self._report(self._reader.finish())
        if self._garbage.is_hint_due(silence):
            notes.append(Note(_BAUD_HINT))
        return [*shown, Shown("", notes=notes)] if notes else shown

    def finish(self) -> list[Shown]:
        """Return what is left when the device is gone or was reset."""
        shown = list(self._split(self._cleaner.clean(b"", final=True)))
        if self.unfinished and self._reader.is_reading:
            shown += self._split("\n")
        return [*shown, Shown("", notes=self._report(self._reader.finish()))]

    def _split(self, text: str) -> Iterator[Shown]:
        """Yield the text in pieces that end where a line does."""
        start = 0
        for index, letter in enumerate(text):
            line = self._line.take(letter)
            if line is not None:
                notes = self._explain(line)
                yield Shown(text[start : index + 1], line, notes)
                start = index + 1
        if start < len(text):
            yield Shown(text[start:])

    def _explain(self, line: str) -> list[Note]:
        was_reading = self._reader.is_reading
        notes = self._report(self._reader.take_line(line))
        banner = find_banner(line)
        if banner:
            self.starts += 1
            notes += self._decoder.explain_banner(banner)
        elif not was_reading and not self._reader.is_reading:
            notes += self._decoder.explain_line(line)
        return notes

    def _report(self, crash: Crash | None) -> list[Note]:
        if crash is None:
            return []
        self.crashes += 1
        return self._decoder.explain_crash(crash)


class _Garbage:
    """Notice that nothing readable has come yet; say so once."""

    def __init__(self) -> None:
        self._bad = 0
        self._run = 0
        self._is_settled = False

    def take(self, data: bytes) -> None:
        for byte in data:
            if 0x20 <= byte < 0x7F:
                self._run += 1
            else:
                self._run = 0
                self._bad += byte not in b"\t\r\n\b"
            self._is_settled |= self._run >= _READABLE

    def forget(self) -> None:
        """Count anew: the boot ROM's words at each reset are no text, and no mistake."""
        self._bad = self._run = 0

    def is_hint_due(self, silence: float) -> bool:
        due = self._bad >= _MUCH_GARBAGE or (
            self._bad >= _SOME_GARBAGE and silence >= _GARBAGE_SILENCE
        )
        if self._is_settled or not due:
            return False
        self._is_settled = True
        return True
