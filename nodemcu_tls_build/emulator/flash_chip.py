"""A NOR flash chip in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from nodemcu_tls_build.emulator.chip import FLASH_SIZES
from nodemcu_tls_build.emulator.faults import REFUSAL, Faults
from nodemcu_tls_build.emulator.flash_file import FlashFile
from nodemcu_tls_build.errors import ConfigError, ImageError
from nodemcu_tls_build.image import ERASED
from nodemcu_tls_build.memmap import KIB, SECTOR

PAGE = 256
BLOCK = 64 * KIB


class PowerCut(Exception):  # noqa: N818 -- no error: what a fault asked for
    """Say that the power failed: what was being written is half written, nothing is answered."""


class FlashChip:
    """NOR flash: programming clears bits only, erasing sets whole sectors.

    Every change is in the file when the method returns. Addresses wrap at the chip's size, as a
    chip ignores the address lines that it does not have. The file is locked until `close`.
    """

    def __init__(self, file: FlashFile, size: int, faults: Faults) -> None:
        self.size = size
        self.status = bytearray(3)  # status registers, which outlive a reset of the ESP8266
        self._file = file
        self._stuck_sectors = {offset // SECTOR for offset in faults.stuck_sector}
        self._stuck_bytes = frozenset(faults.stuck_bit)
        self._budget = faults.power_cut  # bytes until the power fails, None: it does not

    @classmethod
    def open(cls, path: Path, size: int, *, faults: Faults | None = None) -> FlashChip:
        """Open the flash in `path`; make an erased one when there is none.

        Raises ImageError for a file that is no flash of that size, DeviceError for one in use,
        OutputError for one that cannot be written and ConfigError for faults beyond the flash.
        """
        faults = faults or Faults()
        _check_offsets(faults, size)
        if size not in FLASH_SIZES.values():
            raise ImageError(f"no flash has {size} bytes", f"Sizes: {', '.join(FLASH_SIZES)}.")
        return cls(FlashFile(path, ERASED * size), size, faults)

    def close(self) -> None:
        """Unlock and close the file; doing it twice does no harm."""
        self._file.close()

    def __enter__(self) -> FlashChip:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes, at most the whole chip, from `offset` on."""
        parts = self._split(offset, length, self.size)
        return b"".join(self._file.read(start, size) for start, size in parts)

    def md5(self, offset: int, length: int) -> bytes:
        """Return the MD5 digest of a range."""
        return hashlib.md5(self.read(offset, length), usedforsecurity=False).digest()

    def program(self, offset: int, data: bytes) -> None:
        """Clear the bits that are 0 in `data`, page by page; raise PowerCut in the midst of it."""
        done = 0
        for start, length in self._split(offset, len(data), PAGE):
            room = self._spend(length)
            self._program_page(start, data[done : done + room])
            if room < length:
                self._fail_power()
            done += length

    def erase_sector(self, offset: int) -> None:
        """Set every bit of the sector that `offset` lies in; raise PowerCut in the midst of it."""
        start = offset % self.size // SECTOR * SECTOR
        room = self._spend(SECTOR)
        if start // SECTOR not in self._stuck_sectors:
            self._file.write(start, b"\xff" * room)
        if room < SECTOR:
            self._fail_power()

    def erase_block(self, offset: int) -> None:
        """Erase the 64 KiB that `offset` lies in."""
        start = offset // BLOCK * BLOCK
        for sector in range(start, start + BLOCK, SECTOR):
            self.erase_sector(sector)

    def erase(self) -> None:
        """Erase the whole chip."""
        for sector in range(0, self.size, SECTOR):
            self.erase_sector(sector)

    def _program_page(self, start: int, data: bytes) -> None:
        old = self._file.read(start, len(data))
        new = bytearray(before & after for before, after in zip(old, data, strict=True))
        for position in self._stuck_bytes.intersection(range(start, start + len(data))):
            new[position - start] = data[position - start] ^ 1
        self._file.write(start, bytes(new))

    def _split(self, offset: int, length: int, unit: int) -> Iterator[tuple[int, int]]:
        """Yield start and length of the parts of a range that no multiple of `unit` divides."""
        while length > 0:
            start = offset % self.size
            part = min(length, unit - start % unit)
            yield start, part
            offset += part
            length -= part

    def _spend(self, length: int) -> int:
        """Return how many of `length` bytes the power lasts for."""
        if self._budget is None:
            return length
        room = min(self._budget, length)
        self._budget -= room
        return room

    def _fail_power(self) -> NoReturn:
        self._budget = None  # the next time the power is there
        raise PowerCut


def _check_offsets(faults: Faults, size: int) -> None:
    named = {"stuck-sector": faults.stuck_sector, "stuck-bit": faults.stuck_bit}
    problems = [
        f"'{name}={offset:#x}': the flash ends at {size:#x}"
        for name, offsets in named.items()
        for offset in offsets
        if offset >= size
    ]
    if problems:
        raise ConfigError(REFUSAL, "Name an offset inside the flash.", problems)
