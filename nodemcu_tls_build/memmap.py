"""Say where things are on the ESP8266: its memory, its flash, what of both a program may use.

`app/include/lx106.h` and `app/ld/esp8266.ld` say the same to the compiler and the linker.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
BOARDS = ("virtual",)  # the names of the boards on which things are where this file says


@dataclass(frozen=True)
class Region:
    """A range of addresses, in bytes."""

    name: str
    start: int
    size: int

    @property
    def end(self) -> int:
        """Return the first address after the region."""
        return self.start + self.size

    def covers(self, address: int, length: int = 1) -> bool:
        """Tell whether `length` bytes at `address` lie inside the region."""
        return self.start <= address and address + length <= self.end


DRAM = Region("DRAM", 0x3FFE8000, 80 * KIB)
APP_DRAM = Region("DRAM, application", 0x3FFE8000, 50 * KIB)
SDK_DRAM = Region("DRAM, SDK", 0x3FFF4800, 30 * KIB)  # what the vendor SDK takes, its lwIP included
STACK = Region("stack", 0x3FFFE000, 8 * KIB)
IRAM = Region("IRAM", 0x40100000, 32 * KIB)
FLASH_WINDOW = Region("flash window", 0x40200000, 1024 * KIB)  # flash offset 0 as the CPU sees it
IROM = Region("flash, mapped", 0x40210000, 924 * KIB)  # up to the credentials of 1 MiB
EMULATOR = Region("emulator only", 0x3FFC0000, 160 * KIB)  # memory the chip does not have

BOOT_OFFSET = 0x0  # in flash: the boot image, which the boot ROM copies into IRAM and DRAM
IROM_OFFSET = 0x10000  # in flash: the code that runs where it lies
SECTOR = 4096  # the least that flash can erase
SDK_SECTORS = 5  # the last ones: the vendor SDK keeps its parameters there
CREDENTIALS_SECTORS = 4  # below them: two for the CAs, two for the client's certificate and key


def find_credentials(flash_size: int) -> int:
    """Return the flash offset of the first sector of the credentials, where images must end."""
    return flash_size - (SDK_SECTORS + CREDENTIALS_SECTORS) * SECTOR
