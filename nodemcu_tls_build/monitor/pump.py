"""Move bytes between a device and who talks to it: the one place that uses the port."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nodemcu_tls_build.monitor.console import Console, Shown
from nodemcu_tls_build.monitor.link import Link
from nodemcu_tls_build.monitor.log import Log
from nodemcu_tls_build.monitor.report import Note
from nodemcu_tls_build.monitor.typist import Typist


@dataclass
class Pump:
    """A link with its typist, console and log.

    `hides_echo` keeps what was typed out of the console; with `drops_lines` those that wait are
    not for a device that crashed or started anew; `on_heard` gets what the device said beyond
    its echo.
    """

    link: Link
    console: Console
    typist: Typist
    log: Log | None = None
    hides_echo: bool = False
    drops_lines: bool = False
    on_heard: Callable[[bytes], None] = lambda heard: None
    _losses: int = 0

    def step(self) -> Sequence[Shown]:
        """Listen for a moment, send what may be sent; return what is to be shown."""
        data = self.link.read()
        now = time.monotonic()
        before = self.console.crashes, self.console.starts if self.typist.knows_prompt else None
        heard = self.typist.hear(data, now)
        self.on_heard(heard)
        shown = self.console.feed(heard if self.hides_echo else data, now)
        if self.drops_lines:
            shown += self._drop_lines(*before)
        if self.link.losses != self._losses:
            self._losses = self.link.losses
            self.typist.forget(now)
            shown += self.console.finish()
        elif self.link.is_connected:
            self._type(now)
        self._keep(shown, data)
        return shown

    def _drop_lines(self, crashes: int, starts: int | None) -> list[Shown]:
        """Drop the lines that wait when there are more crashes, or starts, than before."""
        is_new = starts is not None and self.console.starts > starts
        if self.console.crashes == crashes and not is_new:
            return []
        count = self.typist.drop_lines()
        if count == 0:
            return []
        lines = "1 line was" if count == 1 else f"{count} lines were"
        return [Shown("", notes=[Note(f"{lines} not sent: the device has started anew.")])]

    def _type(self, now: float) -> None:
        data = self.typist.next_bytes(now)
        if data and self.hides_echo:
            self.console.drop_unfinished()  # the person has typed behind it: it was seen
        self.send(data)

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        if data:
            self.link.write(data)

    def reset(self) -> Sequence[Shown]:
        """Reset the device; return what is to be shown of before, nothing known after."""
        if not self.link.reset():
            return [Shown("", notes=[Note("This port cannot reset the device: it has no RTS.")])]
        self.typist.forget(time.monotonic())
        shown = self.console.finish()
        self.console.start_over()
        self._keep(shown)
        return shown

    def finish(self) -> Sequence[Shown]:
        """Return what is to be shown at the end."""
        shown = self.console.finish()
        self._keep(shown)
        return shown

    def _keep(self, shown: Sequence[Shown], data: bytes = b"") -> None:
        """Log what was heard, and the notes behind its last whole line."""
        if self.log is None:
            return
        notes = "".join(f"--- {note.text}\n" for part in shown for note in part.notes)
        if notes:
            end = data.rfind(b"\n") + 1
            self.log.write(data[:end])
            self.log.write_line(notes)
            data = data[end:]
        self.log.write(data)
