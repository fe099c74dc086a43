"""Read, check and put together flash images."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.memmap import DRAM, IRAM, KIB, find_credentials

MAGIC = 0xE9
CHECKSUM_SEED = 0xEF
MAX_SEGMENTS = 16
ERASED = b"\xff"

FLASH_MODES = ("qio", "qout", "dio", "dout")
FLASH_FREQUENCIES = {0: "40m", 1: "26m", 2: "20m", 15: "80m"}
# The nibbles 5 and 6 are 2 MB and 4 MB too, with another split between two programs.
FLASH_SIZES = {
    n: kib * KIB
    for n, kib in {0: 512, 1: 256, 2: 1024, 3: 2048, 4: 4096, 5: 2048, 6: 4096, 8: 8192}.items()
} | {9: 16384 * KIB}

_HEADER = struct.Struct("<BBBBI")  # magic, segment count, mode, size and frequency, entry
_SEGMENT = struct.Struct("<II")  # address, length

# An ELF note: the sizes of its name and of what it says, its type (NT_GNU_BUILD_ID), its name.
BUILD_ID_SIZE = 20
_BUILD_ID_NOTE = struct.pack("<III4s", 4, BUILD_ID_SIZE, 3, b"GNU")


@dataclass(frozen=True)
class Segment:
    """Bytes that the boot ROM copies to `address`."""

    address: int
    data: bytes


@dataclass(frozen=True)
class FlashSettings:
    """What a boot image's header says of the flash; `size` in bytes, `frequency` as `40m`."""

    mode: str
    size: int
    frequency: str


@dataclass(frozen=True)
class BootImage:
    """An ESP8266 boot image, version 1; `length` counts its bytes with padding and checksum."""

    flash_mode: str
    flash_size: int
    flash_frequency: str
    entry: int
    segments: tuple[Segment, ...]
    length: int


def parse_boot_image(data: bytes) -> BootImage:
    """Read the boot image at the start of `data`; raise ImageError naming what is wrong with it."""
    if len(data) < _HEADER.size:
        raise ImageError(f"the image has {len(data)} bytes, less than its header")
    magic, count, mode, size_and_frequency, entry = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ImageError(f"the image starts with {magic:#04x}, not with the magic {MAGIC:#04x}")
    if not 1 <= count <= MAX_SEGMENTS:
        raise ImageError(f"the image has {count} segments; 1 to {MAX_SEGMENTS} are possible")
    if not IRAM.covers(entry):
        raise ImageError(f"the image's entry point {entry:#x} is outside IRAM")
    segments, end = _read_segments(data, count)
    stored, computed = data[end], compute_checksum(segments)
    if stored != computed:
        raise ImageError(
            f"the image's checksum is {stored:#04x}, its segments give {computed:#04x}"
        )
    flash_mode, flash_size, flash_frequency = _decode_flash(mode, size_and_frequency)
    return BootImage(flash_mode, flash_size, flash_frequency, entry, segments, end + 1)


def parse_flash_settings(data: bytes) -> FlashSettings:
    """Read the flash settings of the boot image at the start of `data`, whatever follows them.

    Raises ImageError when there is no header.
    """
    if len(data) < _HEADER.size or data[0] != MAGIC:
        raise ImageError("there is no boot image")
    _, _, mode, size_and_frequency, _ = _HEADER.unpack_from(data)
    return FlashSettings(*_decode_flash(mode, size_and_frequency))


def compute_checksum(segments: tuple[Segment, ...]) -> int:
    """Return the XOR of every segment byte, seeded with 0xef."""
    checksum = CHECKSUM_SEED
    for segment in segments:
        for byte in segment.data:
            checksum ^= byte
    return checksum


def find_build_id(mapped: bytes) -> str | None:
    """Return the build id, 40 hexadecimal digits; None when there is none.

    `mapped` are the bytes of flash from IROM_OFFSET on, which the linker's note begins.
    """
    if not mapped.startswith(_BUILD_ID_NOTE) or len(mapped) < len(_BUILD_ID_NOTE) + BUILD_ID_SIZE:
        return None
    return mapped[len(_BUILD_ID_NOTE) :][:BUILD_ID_SIZE].hex()


def merge_flash_image(parts: Mapping[int, bytes]) -> bytes:
    """Put each part at its flash offset, 0xff between them; end where the last part ends."""
    image = bytearray()
    for offset, data in sorted(parts.items()):
        if offset < len(image):
            raise ImageError(
                f"the image for flash offset {offset:#x} overlaps the one before it, "
                f"which ends at {len(image):#x}"
            )
        image += ERASED * (offset - len(image)) + data
    return bytes(image)


def pad_to_flash(image: bytes, flash_size: int) -> bytes:
    """Return the whole flash of `flash_size` bytes: the image, then erased bytes.

    Raises ImageError for an image that reaches into the sectors of the credentials.
    """
    limit = find_credentials(flash_size)
    if len(image) > limit:
        raise ImageError(
            f"the image has {len(image):,} bytes, a flash of {flash_size:,} has room for "
            f"{limit:,}: credentials and the SDK's parameters come after it",
            "Build a smaller profile, or for a board with more flash.",
        )
    return image.ljust(flash_size, ERASED)


def _read_segments(data: bytes, count: int) -> tuple[tuple[Segment, ...], int]:
    """Return the segments and the offset of the checksum, the last byte of its block of 16."""
    segments = []
    offset = _HEADER.size
    for number in range(count):
        if len(data) - offset < _SEGMENT.size:
            raise ImageError(f"the image ends before the header of segment {number}")
        address, length = _SEGMENT.unpack_from(data, offset)
        offset += _SEGMENT.size
        if length > len(data) - offset:
            raise ImageError(
                f"segment {number} has {length:,} bytes, the image only {len(data) - offset:,} more"
            )
        if address % 4:
            raise ImageError(f"segment {number} at {address:#x} is not aligned to a word")
        if not (DRAM.covers(address, length) or IRAM.covers(address, length)):
            raise ImageError(
                f"segment {number} ({length:,} bytes at {address:#x}) is outside DRAM and IRAM"
            )
        segments.append(Segment(address, data[offset : offset + length]))
        offset += length
    offset |= 15
    if offset >= len(data):
        raise ImageError("the image ends before its checksum")
    return tuple(segments), offset


def _decode_flash(mode: int, size_and_frequency: int) -> tuple[str, int, str]:
    size, frequency = size_and_frequency >> 4, size_and_frequency & 15
    if mode >= len(FLASH_MODES):
        raise ImageError(f"the image's flash mode {mode:#04x} is none of {', '.join(FLASH_MODES)}")
    if size not in FLASH_SIZES:
        raise ImageError(f"the image's flash size {size:#x} is not known")
    if frequency not in FLASH_FREQUENCIES:
        raise ImageError(f"the image's flash frequency {frequency:#x} is not known")
    return FLASH_MODES[mode], FLASH_SIZES[size], FLASH_FREQUENCIES[frequency]
