"""The SPI controller's registers, through which a host speaks to the flash chip itself."""

from __future__ import annotations

from collections.abc import Callable

from nodemcu_tls_build.emulator.chip import make_jedec_id, make_sfdp
from nodemcu_tls_build.emulator.flash_chip import PAGE, FlashChip
from nodemcu_tls_build.memmap import Region

SPI_REGISTERS = Region("SPI registers", 0x60000200, 0x80)

_CMD, _ADDR, _USER, _USER1, _USER2, _W0 = 0x00, 0x04, 0x1C, 0x20, 0x24, 0x40
_USR = 1 << 18  # in CMD: run the command that USER, USER1 and USER2 describe
_COMMAND, _ADDRESS, _MISO, _MOSI = 1 << 31, 1 << 30, 1 << 28, 1 << 27  # its phases, in USER

_WRITE_ENABLED = 0x02  # in the first status register
# What may be written of the three: protection and quad enable, never busy and write enabled.
_WRITABLE = (0xFC, 0x43, 0x64)
_NO_ANSWER = 0xFF  # the line floats high


class SpiController:
    """Run the flash chip's commands as the registers at 0x60000200 describe them.

    Until `attached` the pins are no SPI pins: commands run, and read all ones.
    The status registers can be written and read; they protect nothing.
    """

    def __init__(self, flash: FlashChip) -> None:
        self.attached = False
        self._flash = flash
        self._words: dict[int, int] = {}
        self._write_enabled = False
        self._asleep = False

    def read(self, address: int) -> int:
        """Return the word of a register; CMD is never busy."""
        return self._words.get(address - SPI_REGISTERS.start, 0)

    def write(self, address: int, word: int) -> None:
        """Set a register; a command written into CMD runs at once."""
        offset = address - SPI_REGISTERS.start
        if offset != _CMD:
            self._words[offset] = word
        elif word & _USR:
            self._run_user_command()

    def _run_user_command(self) -> None:
        user, user1, user2 = (self._words.get(offset, 0) for offset in (_USER, _USER1, _USER2))
        if not user & _COMMAND:
            return
        address_bits = (user1 >> 26) + 1 if user & _ADDRESS else 0
        address = self._words.get(_ADDR, 0) >> (32 - address_bits) if address_bits else None
        sent_bits = (user1 >> 17 & 0x1FF) + 1 if user & _MOSI else 0
        wanted = ((user1 >> 8 & 0x1FF) + 8) // 8 if user & _MISO else 0
        buffer = b"".join(
            self._words.get(offset, 0).to_bytes(4, "little")
            for offset in range(_W0, SPI_REGISTERS.size, 4)
        )
        answer = b""
        if self.attached:
            answer = self._run(user2 & 0xFF, address, buffer[: sent_bits // 8])
        if wanted:
            answer = answer[:wanted].ljust(wanted, bytes([_NO_ANSWER]))
            buffer = answer[: len(buffer)] + buffer[len(answer) :]
        for index in range(len(buffer) // 4):
            word = int.from_bytes(buffer[4 * index : 4 * index + 4], "little")
            self._words[_W0 + 4 * index] = word

    def _run(self, opcode: int, address: int | None, data: bytes) -> bytes:
        """Run one command of the flash chip; return what it answers, as long as it likes."""
        if self._asleep:
            self._asleep = opcode != 0xAB  # nothing but the release from power-down is heard
            return b""
        if opcode in _READS:
            return _READS[opcode](self._flash, address or 0)
        if opcode == 0x05:
            return bytes([self._flash.status[0] | (_WRITE_ENABLED if self._write_enabled else 0)])
        if opcode in (0x06, 0x50):  # for everything, for the status registers
            self._write_enabled = True
        elif opcode in (0x04, 0x99):  # write disable, reset
            self._write_enabled = False
        elif opcode == 0xB9:
            self._asleep = True
        elif self._write_enabled and (opcode in _STATUS_WRITES or opcode in _ERASES):
            self._write_enabled = False
            self._change(opcode, address, data)
        elif self._write_enabled and opcode == 0x02 and address is not None:
            self._write_enabled = False
            self._program_page(address, data)
        return b""

    def _change(self, opcode: int, address: int | None, data: bytes) -> None:
        if opcode in _ERASES:
            if address is not None or opcode in (0x60, 0xC7):
                _ERASES[opcode](self._flash, address or 0)
            return
        first = _STATUS_WRITES[opcode]
        for index, byte in enumerate(data[:2], first):
            if index < 3:
                self._flash.status[index] = byte & _WRITABLE[index]

    def _program_page(self, address: int, data: bytes) -> None:
        """Program within one page: what would go beyond it comes around to its start."""
        start = address // PAGE * PAGE
        room = start + PAGE - address
        self._flash.program(address, data[:room])
        self._flash.program(start, data[room:])


def _erase_half_block(flash: FlashChip, address: int) -> None:
    start = address // 0x8000 * 0x8000
    for sector in range(start, start + 0x8000, 0x1000):
        flash.erase_sector(sector)


_Read = Callable[[FlashChip, int], bytes]
_READS: dict[int, _Read] = {
    0x03: lambda flash, address: flash.read(address, 64),
    0x0B: lambda flash, address: flash.read(address, 64),
    0x15: lambda flash, _: bytes([flash.status[2]]),
    0x35: lambda flash, _: bytes([flash.status[1]]),
    0x5A: lambda flash, address: make_sfdp(flash.size)[address : address + 64],
    0x90: lambda flash, _: bytes([make_jedec_id(flash.size)[0], make_jedec_id(flash.size)[2] - 1]),
    0x9F: lambda flash, _: make_jedec_id(flash.size),
    0xAB: lambda flash, _: bytes([make_jedec_id(flash.size)[2] - 1]),
}
_ERASES: dict[int, Callable[[FlashChip, int], None]] = {
    0x20: FlashChip.erase_sector,
    0x52: _erase_half_block,
    0xD8: FlashChip.erase_block,
    0x60: lambda flash, _: flash.erase(),
    0xC7: lambda flash, _: flash.erase(),
}
_STATUS_WRITES = {0x01: 0, 0x31: 1, 0x11: 2}  # the first of the registers that each writes
