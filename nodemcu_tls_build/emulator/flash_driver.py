"""The ROM's functions for the flash chip, which its loader and the stubs call."""

from __future__ import annotations

from nodemcu_tls_build.emulator.flash_chip import BLOCK, FlashChip
from nodemcu_tls_build.memmap import KIB, SECTOR

ADDRESS_SPACE = 16 * 1024 * KIB  # of the 24 address bits that the controller sends


class FlashRefused(Exception):  # noqa: N818 -- reads as the sentence it is
    """Say that a range is beyond what the ROM believes the flash to be, or not aligned."""


class FlashDriver:
    """Read and write a flash chip of the size that the ROM was told, which may be a wrong one.

    Within that size a smaller chip is written all the same: there the addresses wrap.
    """

    def __init__(self, flash: FlashChip) -> None:
        self._flash = flash
        self._size = 4096 * KIB  # what the ROM starts with

    def configure(self, size: int | None) -> None:
        """Believe the flash to have `size` bytes, None: what the chip says."""
        self._size = min(self._flash.size if size is None else size, ADDRESS_SPACE)

    def unlock(self) -> None:
        """Clear the protection of blocks."""
        self._flash.status[0] = 0

    def read(self, offset: int, length: int) -> bytes:
        """Return a range of the flash."""
        self._check(offset, length)
        return self._flash.read(offset, length)

    def md5(self, offset: int, length: int) -> bytes:
        """Return the MD5 digest of a range of the flash."""
        self._check(offset, length)
        return self._flash.md5(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Program a range of the flash, erased or not."""
        self._check(offset, len(data))
        self._flash.program(offset, data)

    def erase_chip(self) -> None:
        """Erase the chip, whatever its size."""
        self._flash.erase()

    def erase_region(self, offset: int, length: int) -> None:
        """Erase sectors, checked, by blocks where the range has whole ones."""
        if offset % SECTOR or length % SECTOR:
            raise FlashRefused
        self._check(offset, length)
        end = offset + length
        while offset < end:
            offset += self.erase_next(offset, end - offset)

    def erase_next(self, offset: int, left: int) -> int:
        """Erase a block if one starts here and `left` covers it, else a sector; return its size.

        Nothing is checked: the stubs write the controller's registers for it.
        """
        if left >= BLOCK and offset % BLOCK == 0:
            self._flash.erase_block(offset % ADDRESS_SPACE)
            return BLOCK
        self._flash.erase_sector(offset % ADDRESS_SPACE)
        return SECTOR

    def erase_area(self, offset: int, length: int) -> None:
        """Erase as the ROM's loader does, which is too much (esptool's `get_erase_size`).

        The sectors up to the end of the first block are erased and then counted once more.
        """
        if offset % SECTOR:
            raise FlashRefused
        self._check(offset, length)
        sectors = -(-length // SECTOR)
        head = BLOCK // SECTOR - offset // SECTOR % (BLOCK // SECTOR)
        end = offset + (sectors + min(head, sectors)) * SECTOR
        while offset < end:
            offset += self.erase_next(offset, end - offset)

    def _check(self, offset: int, length: int) -> None:
        if offset + length > self._size:
            raise FlashRefused
