"""DTR and RTS, through the two transistors of a NodeMCU board, to reset and to GPIO0."""

from __future__ import annotations

from enum import Enum

_RISE = 0.02  # seconds: reset rises slowly, there is a capacitor at it
_SLOW_RISE = 1.0  # the same with both lines asserted: who changes them one by one is not done yet


class Start(Enum):
    """What the chip does next."""

    RESET = "held in reset"
    LOADER = "GPIO0 is low: the serial loader"
    FLASH = "GPIO0 is high: boots from flash"


class Pins:
    """The lines as the host has them, and the chip's reset that follows from them.

    RTS alone is reset, DTR alone is GPIO0 low; both together are neither. GPIO0 counts at the
    end of a reset. A host on a network changes one line at a time, with a pause between: both
    asserted after a reset is half a change, so the chip waits for the other half.
    """

    def __init__(self) -> None:
        self.deadline: float | None = None
        self._dtr = False
        self._rts = False
        self._in_reset = False

    def set_lines(self, now: float, *, dtr: bool, rts: bool) -> Start | None:
        """Take what the host sets; return what the chip does at once, if anything."""
        if (dtr, rts) == (self._dtr, self._rts):
            return None
        self._dtr, self._rts = dtr, rts
        self.deadline = None
        if rts and not dtr:
            was, self._in_reset = self._in_reset, True
            return None if was else Start.RESET
        if not self._in_reset:
            return None
        if dtr and not rts:
            self._in_reset = False
            return Start.LOADER
        self.deadline = now + (_SLOW_RISE if dtr else _RISE)
        return None

    def check(self, now: float) -> Start | None:
        """Return what the chip does because the deadline has passed, if it has."""
        if self.deadline is None or now < self.deadline:
            return None
        self.deadline = None
        self._in_reset = False
        return Start.FLASH
