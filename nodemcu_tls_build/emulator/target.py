"""What a loader works on: the chip's memory, registers and flash."""

from __future__ import annotations

from collections.abc import Iterator

from nodemcu_tls_build.emulator.chip import Chip
from nodemcu_tls_build.emulator.flash_chip import FlashChip
from nodemcu_tls_build.emulator.flash_driver import FlashDriver
from nodemcu_tls_build.emulator.spi_controller import SPI_REGISTERS, SpiController
from nodemcu_tls_build.memmap import KIB, Region

# While no program runs from flash the cache's half of IRAM is memory too, and all of DRAM is free.
RAM = (Region("DRAM", 0x3FFE8000, 96 * KIB), Region("IRAM", 0x40100000, 64 * KIB))
_ROM = Region("ROM", 0x40000000, 64 * KIB)  # its contents are not ours: all zero but the magic
_PERIPHERALS = (
    Region("peripherals", 0x3FF00000, 512 * KIB),
    Region("peripherals", 0x60000000, 8 * KIB),
)

_MAGIC = 0x40001000
_EFUSES = Region("efuses", 0x3FF00050, 16)
_UART_DIVIDER = 0x60000014

_GREETING = b"OHAI"  # what esptool's stubs say when they start
_SOFTWARE_RESET = (0x4000264C).to_bytes(4, "little")  # in the ROM; only stub version 1 calls it


class BadAddress(Exception):  # noqa: N818 -- reads as the sentence it is
    """Say that there is nothing at an address; the chip would end in an exception."""


class Target:
    """An ESP8266 without a program: memory, registers, flash."""

    def __init__(self, chip: Chip, flash: FlashChip) -> None:
        self.spi = SpiController(flash)
        self.driver = FlashDriver(flash)
        self.host_baud = 115200
        self._chip = chip
        self._memories = [(region, bytearray(region.size)) for region in RAM]
        self._registers: dict[int, int] = {}
        self._uploads: dict[int, int] = {}  # start and length

    def read_word(self, address: int) -> int:
        """Return the word at a multiple of four; raise BadAddress where nothing is."""
        if address % 4:
            raise BadAddress
        for region, memory in self._memories:
            if region.covers(address, 4):
                start = address - region.start
                return int.from_bytes(memory[start : start + 4], "little")
        if SPI_REGISTERS.covers(address):
            return self.spi.read(address)
        if _EFUSES.covers(address):
            return self._chip.efuses[(address - _EFUSES.start) // 4]
        if address == _UART_DIVIDER:
            return self._chip.count_uart_divider(self.host_baud)
        if _ROM.covers(address):
            return self._chip.magic if address == _MAGIC else 0
        if any(region.covers(address) for region in _PERIPHERALS):
            return self._registers.get(address, 0)
        raise BadAddress

    def write_word(self, address: int, word: int, mask: int) -> None:
        """Set the bits of `mask` in the word at a multiple of four; raise BadAddress."""
        word = word & mask | self.read_word(address) & ~mask
        if any(region.covers(address, 4) for region in RAM):
            self.store(address, word.to_bytes(4, "little"))
        elif SPI_REGISTERS.covers(address):
            self.spi.write(address, word)
        elif any(region.covers(address) for region in _PERIPHERALS):
            self._registers[address] = word
        else:
            raise BadAddress

    def start_upload(self, address: int, length: int) -> None:
        """Note that a program is going to be stored there; raise BadAddress where no RAM is."""
        if not any(region.covers(address, length) for region in RAM):
            raise BadAddress
        self._uploads[address] = length

    def store(self, address: int, data: bytes) -> None:
        """Put `data` into RAM; raise BadAddress where none is."""
        for region, memory in self._memories:
            if region.covers(address, len(data)):
                start = address - region.start
                memory[start : start + len(data)] = data
                return
        raise BadAddress

    def find_stub(self, entry: int) -> int | None:
        """Return the version, 1 or 2, of esptool's stub that was uploaded around an address."""
        for code in self._list_uploads(entry):
            if _GREETING in code:
                return 1 if _SOFTWARE_RESET in code else 2
        return None

    def _list_uploads(self, entry: int) -> Iterator[bytes]:
        for address, length in self._uploads.items():
            if address <= entry < address + length:
                for region, memory in self._memories:
                    if region.covers(address, length):
                        start = address - region.start
                        yield bytes(memory[start : start + length])
