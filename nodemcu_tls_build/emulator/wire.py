"""The serial line between host and chip: what is heard of what was sent, and its faults."""

from __future__ import annotations

import re
from collections import deque

from nodemcu_tls_build.emulator.faults import Faults

_TOLERANCE = 0.05  # of the rate: half a bit in ten
_FRAME = re.compile(rb"\xc0[^\xc0]+\xc0|\xc0|[^\xc0]+")  # SLIP


def hear(data: bytes, *, sent_at: int, heard_at: int) -> bytes:
    """Return what a receiver at one rate makes of 8N1 bytes sent at another, in bits a second."""
    if abs(sent_at / heard_at - 1) <= _TOLERANCE:
        return data
    levels = [bit for byte in data for bit in (0, *((byte >> n) & 1 for n in range(8)), 1)]
    step = sent_at / heard_at  # the receiver's bit, in bits of the sender
    heard = bytearray()
    at = 0.0

    def sample(time: float) -> int:
        return levels[int(time)] if time < len(levels) else 1

    while at < len(levels):
        if sample(at):  # idle: on to the next edge
            at = int(at) + 1.0
            continue
        heard.append(sum(sample(at + step * (n + 1.5)) << n for n in range(8)))
        at += step * 9.5
        while at < len(levels) and not sample(at):  # no stop bit: wait for the line to be idle
            at = int(at) + 1.0
    return bytes(heard)


class Wire:
    """Carry bytes to the host, spoilt as the faults ask, and count those from it."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._received = 0
        self._unplugged = False
        self._sent = 0
        self._frames = 0
        self._queue: deque[tuple[float, bytes]] = deque()

    @property
    def deadline(self) -> float | None:
        """Return when the next bytes arrive at the host; None when there are none."""
        return self._queue[0][0] if self._queue else None

    def count(self, data: bytes) -> tuple[bytes, bool]:
        """Return what of the host's bytes gets through, and whether the plug comes out after it."""
        limit = self._faults.unplug
        if limit is None or self._unplugged or self._received + len(data) < limit:
            self._received += len(data)
            return data, False
        self._unplugged = True
        return data[: limit - self._received], True

    def send(self, data: bytes, now: float, *, sent_at: int, heard_at: int) -> None:
        """Put bytes of the chip on the line."""
        if self._faults.deaf or not data:
            return
        data = hear(self._spoil(data), sent_at=sent_at, heard_at=heard_at)
        self._queue.append((now + (self._faults.delay or 0) / 1000, data))

    def cut(self, answers: bytes) -> bytes:
        """Return the loader's answers, one of them cut in half when that is asked for."""
        if not self._faults.cut_frame:
            return answers
        kept = bytearray()
        for part in _FRAME.findall(answers):
            if len(part) > 1 and part[0] == 0xC0:
                self._frames += 1
                if self._frames == self._faults.cut_frame:
                    part = part[: len(part) // 2]  # noqa: PLW2901 -- the half is all there is of it
            kept += part
        return bytes(kept)

    def take(self, now: float) -> bytes:
        """Return what has arrived at the host."""
        arrived = bytearray()
        while self._queue and self._queue[0][0] <= now:
            arrived += self._queue.popleft()[1]
        return bytes(arrived)

    def clear(self) -> None:
        """Forget what is still under way: the host has gone."""
        self._queue.clear()

    def _spoil(self, data: bytes) -> bytes:
        spoilt = bytearray()
        for byte in data:
            self._sent += 1
            if self._faults.lose and self._sent % self._faults.lose == 0:
                continue
            flip = self._faults.corrupt and self._sent % self._faults.corrupt == 0
            spoilt.append(byte ^ 0x10 if flip else byte)
        return bytes(spoilt)
