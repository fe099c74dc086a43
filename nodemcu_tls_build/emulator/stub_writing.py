"""How esptool's stubs write the flash: they erase as they go, before each piece."""

from __future__ import annotations

import zlib

from nodemcu_tls_build.emulator.bootloader_wire import Refused, StubError
from nodemcu_tls_build.emulator.flash_driver import FlashDriver, FlashRefused
from nodemcu_tls_build.memmap import KIB, SECTOR

_WINDOW = 32 * KIB  # deflated data goes to the flash when so much of it is there
_ADLER = 4  # bytes that may follow when all data is there


class FlashWriting:
    """Write `size` bytes from `offset` on, plain or deflated.

    `left` are the bytes still missing. What is wrong raises Refused.
    """

    def __init__(self, driver: FlashDriver, offset: int, size: int, *, version: int) -> None:
        self.left = size
        self._driver = driver
        self._offset = offset
        self._version = version
        self._next_erase = offset // SECTOR * SECTOR
        self._end = offset + size
        self._inflater = zlib.decompressobj()
        self._window = bytearray()
        if version == 2:
            self._erase_next()

    def write(self, data: bytes) -> None:
        """Write the next bytes; what the last block has too much is padding."""
        data = data[: self.left]
        if not data:
            return
        # Version 1 erases the sector after an end on a boundary too, if it is to be written.
        until = self._offset + len(data) + (self._version == 1)
        while self._next_erase < min(until, self._end):
            self._erase_next()
        try:
            self._driver.write(self._offset, data)
        except FlashRefused as error:
            raise Refused(StubError.FAILED_SPI_OP) from error
        finally:
            self._offset += len(data)
            self.left -= len(data)

    def takes(self, data: bytes) -> bool:
        """Tell whether deflated data may follow: at the end only the stream's checksum."""
        return self.left > 0 or len(data) <= _ADLER

    def inflate(self, data: bytes) -> None:
        """Write what the next bytes of a zlib stream make."""
        if not self.takes(data):
            raise Refused(StubError.TOO_MUCH_DATA)
        if self.left == 0:
            return
        self._erase_next()  # the chip is busy with that while the data is inflated
        while self.left:
            room = _WINDOW - len(self._window)
            try:
                output = self._inflater.decompress(data, room)
            except zlib.error as error:
                raise Refused(StubError.INFLATE_ERROR) from error
            self._window += output
            data = self._inflater.unconsumed_tail
            if self._inflater.eof or len(output) == room:
                self._flush()
            elif not data:
                return
            if self._inflater.eof:
                break
        if self.left and self._version == 1:
            raise Refused(StubError.NOT_ENOUGH_DATA)

    def _flush(self) -> None:
        too_much = len(self._window) > self.left
        self.write(bytes(self._window))
        self._window.clear()
        if too_much and self._version == 2:
            raise Refused(StubError.TOO_MUCH_DATA)

    def _erase_next(self) -> None:
        if self._next_erase < self._end:
            sectors = -(-(self._end - self._next_erase) // SECTOR)
            self._next_erase += self._driver.erase_next(self._next_erase, sectors * SECTOR)
