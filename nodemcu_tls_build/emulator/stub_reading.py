"""How esptool's stubs send the flash: packets, each acknowledged, then the digest of all."""

from __future__ import annotations

import hashlib

from nodemcu_tls_build.emulator.flash_driver import FlashDriver, FlashRefused
from nodemcu_tls_build.emulator.slip import encode_frame
from nodemcu_tls_build.memmap import KIB

MAX_PACKET = 4096
_MAX_WINDOW = 64 * KIB  # so that no answer grows without end


class FlashReading:
    """Send a range of the flash in packets.

    Version 1 sends while fewer than `window` bytes are not acknowledged. Version 2 sends one
    packet for each acknowledgement. An acknowledgement is the number of bytes that arrived so far,
    four bytes; any other frame ends the reading early. `is_done` when the digest was sent. What
    cannot be read raises FlashRefused in version 2; version 1 sends nothing and waits on.
    """

    def __init__(self, driver: FlashDriver, *, span: range, window: int, version: int) -> None:
        self.is_done = False
        self._driver = driver
        self._span = span  # from, to, size of a packet
        self._window = min(window, _MAX_WINDOW) if version == 1 else 1
        self._version = version
        self._sent = 0
        self._acknowledged = 0
        self._digest = hashlib.md5(usedforsecurity=False)

    def advance(self, frame: bytes | None) -> bytes:
        """Return the first packets, or what follows an acknowledgement."""
        if frame is not None:
            if len(frame) != 4:
                return self._finish()
            self._acknowledged = int.from_bytes(frame, "little")
            if self._version == 1 and self._acknowledged > self._sent:
                return self._finish()
        return self._continue()

    def _continue(self) -> bytes:
        length = self._span.stop - self._span.start
        answer = b""
        floor = self._acknowledged if self._version == 1 else self._sent
        while self._sent < length and self._sent - floor < self._window:
            packet = self._read(min(self._span.step, length - self._sent))
            if packet is None:
                return answer
            self._digest.update(packet)
            self._sent += len(packet)
            answer += encode_frame(packet)
        if self._sent >= length and self._acknowledged >= length:
            answer += self._finish()
        return answer

    def _read(self, length: int) -> bytes | None:
        try:
            return self._driver.read(self._span.start + self._sent, length)
        except FlashRefused:
            if self._version == 2:
                raise
            return None

    def _finish(self) -> bytes:
        self.is_done = True
        return encode_frame(self._digest.digest())
