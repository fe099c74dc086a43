"""esptool's stub: the loader that esptool uploads and runs in place of the ROM's.

There are two. Version 1 is the older one, `ESPTOOL_STUB_VERSION=1`; version 2 is what esptool 5
takes by itself. They differ in what they do with errors, which is noted where it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from nodemcu_tls_build.emulator.bootloader_wire import (
    DATA_HEADER,
    Command,
    Exit,
    Refused,
    Request,
    StubError,
    make_response,
    parse_request,
)
from nodemcu_tls_build.emulator.flash_driver import ADDRESS_SPACE, FlashRefused
from nodemcu_tls_build.emulator.slip import encode_frame
from nodemcu_tls_build.emulator.stub_memory import MemoryUpload
from nodemcu_tls_build.emulator.stub_reading import MAX_PACKET, FlashReading
from nodemcu_tls_build.emulator.stub_writing import FlashWriting
from nodemcu_tls_build.emulator.target import BadAddress, Target
from nodemcu_tls_build.memmap import SECTOR

_MAX_BLOCK = 0x4000
_SYNC_LENGTH = 36
_SYNC_ANSWERS = 8

# Version 1 answers 1 whatever is wrong with one of these: `a || b` in C is 1.
_ONE_ERROR = {
    *(Command.ERASE_FLASH, Command.ERASE_REGION, Command.SPI_FLASH_MD5, Command.SPI_SET_PARAMS),
    *(Command.FLASH_BEGIN, Command.FLASH_DEFL_BEGIN, Command.SPI_ATTACH),
    *(Command.MEM_BEGIN, Command.MEM_END),
}


class StubLoader:
    """Answer as the stub of a version does: the status is an error and 0, the value 0."""

    limit: ClassVar[int] = 8 + DATA_HEADER + _MAX_BLOCK

    def __init__(self, target: Target, version: int) -> None:
        self.baud: int | None = None
        self.exit: Exit | None = None
        self.entry = 0
        self._target = target
        self._version = version
        self._value = 0
        self._memory = MemoryUpload(target, version)
        self._writing: FlashWriting | None = None
        self._reading: FlashReading | None = None
        self._error: int | None = None  # of what was done after its answer
        self._after: Callable[[], bytes] | None = None  # to be done after the answer

    def start(self) -> bytes:
        """Greet the host, with the flash attached; only version 2 looks how large that is."""
        self._target.spi.attached = True
        self._target.driver.configure(ADDRESS_SPACE if self._version == 1 else None)
        return encode_frame(b"OHAI")

    def handle(self, frame: bytes) -> bytes:
        """Return the answer to a frame, and what follows it."""
        if self._reading is not None:
            return self._continue_reading(frame)
        request = parse_request(frame)
        if request is None or (request.direction and self._version == 1):
            return b""
        if request.command == Command.RUN_USER_CODE:
            # Version 2 takes it and does nothing.
            self.exit = Exit.BOOT if self._version == 1 else None
            return b""
        self._value, self._after = 0, None
        data, status = self._answer(request)
        answer = make_response(request.command, self._value, data + status)
        if request.command == Command.SYNC and not any(status):
            answer *= _SYNC_ANSWERS
        after, self._after = self._after, None
        return answer + (after() if after else b"")

    def _answer(self, request: Request) -> tuple[bytes, bytes]:
        """Return data and status of the answer."""
        error: int
        try:
            return self._run(request), bytes(2)
        except Refused as refused:
            error = refused.code
        except FlashRefused:
            error = StubError.FAILED_SPI_OP
        except BadAddress:
            error = StubError.INVALID_COMMAND  # the stub itself would end in an exception
        code = 1 if self._version == 1 and request.command in _ONE_ERROR else error
        return b"", bytes([code, 0])

    def _run(self, request: Request) -> bytes:
        if request.direction:
            raise Refused(StubError.INVALID_COMMAND)
        if not request.is_whole:
            raise Refused(StubError.BAD_DATA_LEN)
        if self._version == 2 and self._error is not None:
            # What went wrong after the answer is the answer to the next request, whatever it is.
            error, self._error = self._error, None
            raise Refused(error)
        handler = _HANDLERS.get(request.command)
        if handler is None:
            known = self._version == 2 and request.command != Command.GET_SECURITY_INFO
            raise Refused(StubError.INVALID_COMMAND if known else StubError.CMD_NOT_IMPLEMENTED)
        return handler(self, request) or b""

    def _sync(self, request: Request) -> None:
        if len(request.data) != _SYNC_LENGTH:
            raise Refused(StubError.BAD_DATA_LEN)

    def _read_register(self, request: Request) -> None:
        (address,) = request.words(1, code=StubError.BAD_DATA_LEN)
        self._value = self._target.read_word(address)

    def _write_register(self, request: Request) -> None:
        count = len(request.data) // 16 * 4
        words = request.words(count, code=StubError.BAD_DATA_LEN)
        for index in range(0, count, 4):
            address, word, mask, _ = words[index : index + 4]
            self._target.write_word(address, word, mask)

    def _end_memory(self, request: Request) -> None:
        entry = self._memory.end(request)
        if entry is not None:
            self.entry = entry
            self.exit = Exit.LOST if self._target.find_stub(entry) is None else Exit.STUB

    def _begin_flash(self, request: Request) -> None:
        """Start writing; the fifth word, for encryption, means nothing on this chip."""
        size, _, block_size, offset, *_ = request.words(4, 5, code=StubError.BAD_DATA_LEN)
        if block_size > _MAX_BLOCK and self._version == 1:
            raise Refused(StubError.BAD_BLOCKSIZE)
        self._error = None
        self._target.driver.unlock()
        self._writing = FlashWriting(self._target.driver, offset, size, version=self._version)

    def _write_flash(self, request: Request) -> None:
        """Accept a block and write it after the answer, as the next one is on its way."""
        writing = self._writing
        if len(request.data) < DATA_HEADER:
            raise Refused(
                StubError.BAD_DATA_LEN if self._version == 1 else StubError.NOT_ENOUGH_DATA
            )
        if writing is None:
            raise Refused(StubError.NOT_IN_FLASH_MODE)
        if not request.has_good_checksum():
            raise Refused(StubError.BAD_DATA_CHECKSUM)
        if len(request.block) != int.from_bytes(request.data[:4], "little"):
            raise Refused(StubError.BAD_DATA_LEN if self._version == 1 else StubError.TOO_MUCH_DATA)
        if self._error is not None:
            raise Refused(self._error)  # version 1: every block is refused after an error
        deflated = request.command == Command.FLASH_DEFL_DATA
        if deflated and self._version == 2 and not writing.takes(request.block):
            raise Refused(StubError.TOO_MUCH_DATA)
        write = writing.inflate if deflated else writing.write
        self._after = lambda: self._do_write(write, request.block)

    def _do_write(self, write: Callable[[bytes], None], block: bytes) -> bytes:
        try:
            write(block)
        except Refused as refused:
            self._error = refused.code
        return b""

    def _end_flash(self, request: Request) -> None:
        if self._version == 2:
            request.words(1, code=StubError.BAD_DATA_LEN)
        if self._writing is None:
            raise Refused(StubError.NOT_IN_FLASH_MODE)
        if self._writing.left:
            raise Refused(
                StubError.NOT_ENOUGH_DATA if self._version == 1 else StubError.BAD_DATA_LEN
            )
        self._writing = None
        if self._error is not None:
            raise Refused(self._error)
        if self._version == 1 and request.data[:4] == bytes(4):  # version 2 never resets
            self.exit = Exit.RESET

    def _configure_flash(self, request: Request) -> None:
        _, size, *_ = request.words(6, code=StubError.BAD_DATA_LEN)
        self._target.driver.configure(size)

    def _attach_flash(self, request: Request) -> None:
        request.words(1, code=StubError.BAD_DATA_LEN)
        self._target.spi.attached = True

    def _change_baud(self, request: Request) -> None:
        baud, _ = request.words(2, code=StubError.BAD_DATA_LEN)
        if baud == 0:
            raise Refused(StubError.BAD_DATA_LEN)
        self.baud = baud

    def _digest_flash(self, request: Request) -> bytes:
        offset, length, *_ = request.words(4, code=StubError.BAD_DATA_LEN)
        return self._target.driver.md5(offset, length)

    def _erase_flash(self, request: Request) -> None:
        if request.data and self._version == 1:
            raise Refused(StubError.BAD_DATA_LEN)
        self._target.driver.erase_chip()

    def _erase_region(self, request: Request) -> None:
        """Erase sectors: version 1 within the flash, version 2 around its end if so asked."""
        offset, length = request.words(2, code=StubError.BAD_DATA_LEN)
        if offset % SECTOR or length % SECTOR:
            raise Refused(StubError.BAD_DATA_LEN)
        if self._version == 1:
            self._target.driver.erase_region(offset, length)
            return
        end = offset + min(length, ADDRESS_SPACE)
        while offset < end:
            offset += self._target.driver.erase_next(offset, end - offset)

    def _read_flash(self, request: Request) -> None:
        offset, length, packet, window = request.words(4, code=StubError.BAD_DATA_LEN)
        if 0 < packet <= MAX_PACKET:
            span = range(offset, offset + length, packet)
            self._reading = FlashReading(
                self._target.driver, span=span, window=window, version=self._version
            )
            self._after = self._continue_reading
        elif self._version == 2:
            self._error = StubError.BAD_DATA_LEN  # version 1 says nothing at all

    def _continue_reading(self, frame: bytes | None = None) -> bytes:
        if self._reading is None:
            return b""
        try:
            answer = self._reading.advance(frame)
        except FlashRefused:
            self._reading, self._error = None, StubError.FAILED_SPI_OP
            return b""
        if self._reading.is_done:
            self._reading = None
        return answer


_HANDLERS: dict[int, Callable[[StubLoader, Request], bytes | None]] = {
    Command.SYNC: StubLoader._sync,
    Command.READ_REG: StubLoader._read_register,
    Command.WRITE_REG: StubLoader._write_register,
    Command.MEM_BEGIN: lambda stub, request: stub._memory.begin(request),
    Command.MEM_DATA: lambda stub, request: stub._memory.store(request),
    Command.MEM_END: StubLoader._end_memory,
    Command.FLASH_BEGIN: StubLoader._begin_flash,
    Command.FLASH_DATA: StubLoader._write_flash,
    Command.FLASH_END: StubLoader._end_flash,
    Command.FLASH_DEFL_BEGIN: StubLoader._begin_flash,
    Command.FLASH_DEFL_DATA: StubLoader._write_flash,
    Command.FLASH_DEFL_END: StubLoader._end_flash,
    Command.SPI_SET_PARAMS: StubLoader._configure_flash,
    Command.SPI_ATTACH: StubLoader._attach_flash,
    Command.CHANGE_BAUDRATE: StubLoader._change_baud,
    Command.SPI_FLASH_MD5: StubLoader._digest_flash,
    Command.ERASE_FLASH: StubLoader._erase_flash,
    Command.ERASE_REGION: StubLoader._erase_region,
    Command.READ_FLASH: StubLoader._read_flash,
}
