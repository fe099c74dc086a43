"""The loader in the ESP8266's mask ROM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from nodemcu_tls_build.emulator.bootloader_wire import (
    DATA_HEADER,
    Command,
    Exit,
    Refused,
    Request,
    count_checksum,
    make_response,
    parse_request,
)
from nodemcu_tls_build.emulator.flash_driver import FlashRefused
from nodemcu_tls_build.emulator.target import BadAddress, Target

_INVALID = 0x05  # the request is malformed or unknown
_FAILED = 0x06  # it cannot be done, or not now
_BAD_CHECKSUM = 0x07
_NOT_WRITTEN = 0x08  # the flash does not hold what was written

_SYNC = b"\x07\x07\x12\x20" + 32 * b"\x55"
_SYNC_VALUE = 0x20120707
_SYNC_ANSWERS = 8
_MAX_BLOCK = 0x1800


@dataclass
class _Transfer:
    """A program or flash contents on their way in; offsets and sizes in bytes."""

    offset: int
    left: int
    block_size: int
    blocks: int
    received: int = 0


class RomLoader:
    """Answer as the ROM does: status 1 and an error code to what is refused.

    The value of a response is that of the last SYNC or READ_REG, as on the chip.
    """

    limit: ClassVar[int] = 8 + DATA_HEADER + _MAX_BLOCK

    def __init__(self, target: Target) -> None:
        self.baud: int | None = None
        self.exit: Exit | None = None
        self.entry = 0
        self._target = target
        self._value = 0
        self._memory: _Transfer | None = None
        self._flash: _Transfer | None = None

    def start(self) -> bytes:
        """Return nothing: the ROM waits to be asked."""
        return b""

    def handle(self, frame: bytes) -> bytes:
        """Return the answer to a frame; what is no request has none."""
        request = parse_request(frame)
        if request is None or request.direction != 0:
            return b""
        try:
            handler = _HANDLERS.get(request.command)
            if handler is None or not request.is_whole:
                raise Refused(_INVALID)
            handler(self, request)
            status = bytes(2)
        except Refused as refused:
            status = bytes([1, refused.code])
        except (BadAddress, FlashRefused):
            status = bytes([1, _FAILED])
        answers = _SYNC_ANSWERS if request.command == Command.SYNC and not any(status) else 1
        return make_response(request.command, self._value, status) * answers

    def _sync(self, request: Request) -> None:
        if request.data != _SYNC:
            raise Refused(_INVALID)
        self._value = _SYNC_VALUE

    def _read_register(self, request: Request) -> None:
        (address,) = request.words(1, code=_INVALID)
        self._value = self._target.read_word(address)

    def _write_register(self, request: Request) -> None:
        """Write once, or twice as esptool does when it wants a delay after it."""
        words = request.words(4, 8, code=_INVALID)
        for index in range(0, len(words), 4):
            address, word, mask, _ = words[index : index + 4]
            self._target.write_word(address, word, mask)

    def _begin_memory(self, request: Request) -> None:
        size, blocks, block_size, offset = request.words(4, code=_INVALID)
        self._memory = None
        if blocks * block_size < size or block_size > _MAX_BLOCK:
            raise Refused(_INVALID)
        self._target.start_upload(offset, size)
        self._memory = _Transfer(offset, size, block_size, blocks)

    def _store_memory(self, request: Request) -> None:
        transfer = _check_block(self._memory, request)
        if len(request.block) > transfer.left:
            raise Refused(_FAILED)
        self._target.store(transfer.offset, request.block)
        _advance(transfer, len(request.block))

    def _end_memory(self, request: Request) -> None:
        stays, entry = request.words(2, code=_INVALID)
        if self._memory is None or self._memory.left:
            raise Refused(_FAILED)
        self._memory = None
        if not stays:
            self.entry = entry
            self.exit = Exit.LOST if self._target.find_stub(entry) is None else Exit.STUB

    def _begin_flash(self, request: Request) -> None:
        """Attach the flash, which nothing before this does, and erase all that is to be written."""
        size, blocks, block_size, offset = request.words(4, code=_INVALID)
        self._flash = None
        if block_size > _MAX_BLOCK:
            raise Refused(_INVALID)
        self._target.spi.attached = True
        self._target.driver.unlock()
        self._target.driver.erase_area(offset, size)
        self._flash = _Transfer(offset, blocks * block_size, block_size, blocks)

    def _write_flash(self, request: Request) -> None:
        transfer = _check_block(self._flash, request)
        driver, block = self._target.driver, request.block
        driver.write(transfer.offset, block)
        if count_checksum(driver.read(transfer.offset, len(block))) != request.checksum:
            raise Refused(_NOT_WRITTEN)
        _advance(transfer, len(block))

    def _end_flash(self, request: Request) -> None:
        (runs,) = request.words(1, code=_INVALID)
        if self._flash is None or self._flash.received < self._flash.blocks:
            raise Refused(_FAILED)
        self._flash = None
        self.exit = Exit.BOOT if runs else Exit.RESET


def _check_block(transfer: _Transfer | None, request: Request) -> _Transfer:
    """Return the transfer whose next block this is; refuse any other block."""
    length = int.from_bytes(request.data[:4], "little")
    number = int.from_bytes(request.data[4:8], "little")
    if len(request.data) < DATA_HEADER or len(request.block) != length:
        raise Refused(_INVALID)
    if transfer is None or number != transfer.received or number >= transfer.blocks:
        raise Refused(_FAILED)
    if length > transfer.block_size:
        raise Refused(_INVALID)
    if not request.has_good_checksum():
        raise Refused(_BAD_CHECKSUM)
    return transfer


def _advance(transfer: _Transfer, length: int) -> None:
    transfer.offset += length
    transfer.left -= length
    transfer.received += 1


_HANDLERS: dict[int, Callable[[RomLoader, Request], None]] = {
    Command.SYNC: RomLoader._sync,
    Command.READ_REG: RomLoader._read_register,
    Command.WRITE_REG: RomLoader._write_register,
    Command.MEM_BEGIN: RomLoader._begin_memory,
    Command.MEM_DATA: RomLoader._store_memory,
    Command.MEM_END: RomLoader._end_memory,
    Command.FLASH_BEGIN: RomLoader._begin_flash,
    Command.FLASH_DATA: RomLoader._write_flash,
    Command.FLASH_END: RomLoader._end_flash,
}
