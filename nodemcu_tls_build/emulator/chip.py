"""What an ESP8266 and its flash chip say of themselves."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from nodemcu_tls_build.memmap import KIB

ESP8266_MAGIC = 0xFFF0C101
ESP32_MAGIC = 0x00F01D83

FLASH_SIZES = {
    "256KB": 256 * KIB,
    "512KB": 512 * KIB,
    "1MB": 1024 * KIB,
    "2MB": 2048 * KIB,
    "4MB": 4096 * KIB,
    "8MB": 8192 * KIB,
    "16MB": 16384 * KIB,
}
_WINBOND_NOR = b"\xef\x40"  # the W25Q family, of which NodeMCU boards and their clones have one

# The basic flash parameters (JESD216) of that family; the second word is the size, put in below.
_SFDP_HEADER = b"SFDP\x00\x01\x00\xff" + b"\x00\x00\x01\x09\x80\x00\x00\xff"
_SFDP_WORDS = (
    *(0xFFF920E5, 0, 0x6B08EB44, 0xBB423B08, 0xFFFFFFFE),
    *(0x0000FFFF, 0xEB40FFFF, 0x520F200C, 0x0000D810),
)
_SFDP_TABLE = 0x80  # its offset


@dataclass(frozen=True)
class Chip:
    """An ESP8266EX: its magic number in ROM, its MAC address and its crystal in Hz."""

    name: str = "ESP8266EX"
    magic: int = ESP8266_MAGIC
    mac: bytes = b"\x5c\xcf\x7f\x00\x82\x66"
    crystal: int = 26_000_000

    @property
    def efuses(self) -> tuple[int, int, int, int]:
        """Return the four words at 0x3ff00050: the MAC, and that this is no ESP8285.

        Bit 15 of the third word says that the manufacturer's part of the MAC is in the fourth.
        """
        oui = int.from_bytes(self.mac[:3], "big")
        middle = int.from_bytes(self.mac[3:5], "big")
        return self.mac[5] << 24, 0x00020000 | middle, 0x0000B000, oui

    def count_uart_divider(self, baud: int) -> int:
        """Return UART_CLKDIV at that rate: the bus runs at twice the crystal's."""
        return round(2 * self.crystal / baud)


def make_jedec_id(flash_size: int) -> bytes:
    """Return the three bytes that a flash chip of that size, a power of two, answers to RDID."""
    return _WINBOND_NOR + bytes([flash_size.bit_length() - 1])


def make_sfdp(flash_size: int) -> bytes:
    """Return what a flash chip of that size answers to RDSFDP, from address 0 on."""
    words = list(_SFDP_WORDS)
    words[1] = flash_size * 8 - 1
    return _SFDP_HEADER.ljust(_SFDP_TABLE, b"\xff") + struct.pack("<9I", *words)
