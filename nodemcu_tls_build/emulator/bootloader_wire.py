"""Requests and responses of the serial bootloader.

The format is in esptool's documentation, "Serial Protocol".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import ClassVar, Protocol

from nodemcu_tls_build.emulator.slip import encode_frame

_HEADER = struct.Struct("<BBHI")  # direction, command, size of the data, checksum or value
DATA_HEADER = 16  # length, sequence number and two zeros before the data of a block


class Command(IntEnum):
    """What a host may ask for; from SPI_SET_PARAMS on only a stub knows it."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    MEM_BEGIN = 0x05
    MEM_END = 0x06
    MEM_DATA = 0x07
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    CHANGE_BAUDRATE = 0x0F
    FLASH_DEFL_BEGIN = 0x10
    FLASH_DEFL_DATA = 0x11
    FLASH_DEFL_END = 0x12
    SPI_FLASH_MD5 = 0x13
    GET_SECURITY_INFO = 0x14
    ERASE_FLASH = 0xD0
    ERASE_REGION = 0xD1
    READ_FLASH = 0xD2
    RUN_USER_CODE = 0xD3


class StubError(IntEnum):
    """The first byte of a stub's status; the second is 0."""

    BAD_DATA_LEN = 0xC0
    BAD_DATA_CHECKSUM = 0xC1
    BAD_BLOCKSIZE = 0xC2
    INVALID_COMMAND = 0xC3
    FAILED_SPI_OP = 0xC4
    NOT_IN_FLASH_MODE = 0xC6
    INFLATE_ERROR = 0xC7
    NOT_ENOUGH_DATA = 0xC8
    TOO_MUCH_DATA = 0xC9
    CMD_NOT_IMPLEMENTED = 0xFF


class Exit(Enum):
    """How a loader ends."""

    BOOT = auto()  # the program in flash runs
    RESET = auto()  # the chip resets into the ROM's loader: GPIO0 is still low
    STUB = auto()  # esptool's stub runs
    LOST = auto()  # a program runs that nobody here can run: nothing answers any more


class Refused(Exception):  # noqa: N818 -- reads as the sentence it is
    """Carry the error code of a request that is refused."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{code:#04x}")
        self.code = code


@dataclass(frozen=True)
class Request:
    """A request as it came; `is_whole` when its data is as long as its header says."""

    direction: int
    command: int
    checksum: int
    data: bytes
    is_whole: bool

    def words(self, *counts: int, code: int) -> tuple[int, ...]:
        """Return the data as so many words, of any of these counts; else refuse with `code`."""
        if len(self.data) not in [4 * count for count in counts]:
            raise Refused(code)
        return struct.unpack(f"<{len(self.data) // 4}I", self.data)

    @property
    def block(self) -> bytes:
        """Return what follows the header of a block."""
        return self.data[DATA_HEADER:]

    def has_good_checksum(self) -> bool:
        """Tell whether the checksum is that of the block."""
        return self.checksum == count_checksum(self.block)


class Loader(Protocol):
    """What runs on the chip and answers requests."""

    limit: ClassVar[int]
    """The longest frame that it takes, in bytes."""
    baud: int | None
    exit: Exit | None
    entry: int
    """Where the program starts that an exit to STUB means."""

    def start(self) -> bytes:
        """Return what it says unasked."""

    def handle(self, frame: bytes) -> bytes:
        """Return the answer to a frame, as it goes over the line."""


def parse_request(frame: bytes) -> Request | None:
    """Return the request in a frame, None when it is too short for one."""
    if len(frame) < _HEADER.size:
        return None
    direction, command, size, checksum = _HEADER.unpack_from(frame)
    data = frame[_HEADER.size :]
    return Request(direction, command, checksum, data, is_whole=len(data) == size)


def make_response(command: int, value: int, data: bytes) -> bytes:
    """Return a response as it goes over the line; `data` ends in the status."""
    return encode_frame(_HEADER.pack(1, command, len(data), value) + data)


def count_checksum(data: bytes) -> int:
    """Return all bytes xored onto 0xef."""
    checksum = 0xEF
    for byte in data:
        checksum ^= byte
    return checksum
