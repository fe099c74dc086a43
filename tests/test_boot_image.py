"""The boot ROM's reader of images, run natively under sanitizers, against the Python one."""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.image import parse_boot_image
from nodemcu_tls_build.memmap import DRAM, FLASH_WINDOW, IRAM
from nodemcu_tls_build.resources import app_dir

SEED = 20240607
MUTATIONS = 12_000  # some seconds
# Where something begins or ends, and what overflows when it is added to.
EDGES = [
    *(
        edge + step
        for region in (DRAM, IRAM)
        for edge in (region.start, region.end)
        for step in (-4, 0, 4)
    ),
    *(0, 1, 2, 3, 4, 8, 16, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF8, 0xFFFFFFFC, 0xFFFFFFFF),
    *(DRAM.size, IRAM.size, FLASH_WINDOW.size, FLASH_WINDOW.start),
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the boot ROM's reader natively."""
    program = tmp_path_factory.mktemp("reader") / "boot_image_check"
    sources = [
        app_dir() / "boot" / "boot_image.c",
        Path(__file__).parent / "native/boot_image_check.c",
    ]
    includes = [f"-I{app_dir() / name}" for name in ("boot", "include")]
    warnings = ("-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Werror")
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    command = ["clang", "-std=gnu99", "-g", "-O1", *warnings, *sanitizers, *includes]
    subprocess.run([*command, *map(str, sources), "-o", str(program)], check=True, timeout=120)
    return program


@pytest.fixture(scope="module")
def image(firmware: Path) -> bytes:
    """Return the boot image of a real build."""
    return (firmware / "0x00000.bin").read_bytes()


def check_agreement(reader: Path, flashes: Iterable[bytes]) -> tuple[int, int]:
    """Check that both readers take the same ones; return how many both take and both refuse.

    The ROM does not judge the flash mode, size and frequency; parse_boot_image() may refuse an
    image for those alone.
    """
    cases = list(flashes)
    data = b"".join(struct.pack("<I", len(case)) + case for case in cases)
    result = subprocess.run([reader], check=True, input=data, capture_output=True, timeout=120)
    verdicts = [int(line) for line in result.stdout.splitlines()]
    assert len(verdicts) == len(cases)
    accepted = 0
    for case, verdict in zip(cases, verdicts, strict=True):
        reason = find_reason(case)
        if reason.startswith("the image's flash "):
            reason = ""
        assert (verdict == 0) == (reason == ""), f"C: {verdict}, Python: {reason}, {case.hex()}"
        accepted += verdict == 0
    return accepted, len(cases) - accepted


def find_reason(flash: bytes) -> str:
    try:
        parse_boot_image(flash)
    except ImageError as error:
        return error.message
    return ""


def test_image_of_a_build(reader: Path, image: bytes) -> None:
    assert check_agreement(reader, [image, image.ljust(FLASH_WINDOW.size, b"\xff")]) == (2, 0)


def test_every_truncation(reader: Path, image: bytes) -> None:
    flashes = (image[:length] for length in range(len(image)))
    assert check_agreement(reader, flashes) == (0, len(image))


def test_every_change_of_a_byte_of_a_header(reader: Path, image: bytes) -> None:
    accepted, refused = check_agreement(reader, change_headers(image))
    assert accepted > 0  # the flash mode, another entry point
    assert refused > 1000


def change_headers(image: bytes) -> Iterator[bytes]:
    for offset in find_headers(image):
        for value in range(256):
            if value != image[offset]:
                yield image[:offset] + bytes([value]) + image[offset + 1 :]


def find_headers(image: bytes) -> Iterator[int]:
    """Return the offset of every byte of the image's header and of its segments' headers."""
    yield from range(8)
    offset = 8
    for segment in parse_boot_image(image).segments:
        yield from range(offset, offset + 8)
        offset += 8 + len(segment.data)


def test_every_flipped_bit_of_the_rest(reader: Path, image: bytes) -> None:
    headers, end = set(find_headers(image)), parse_boot_image(image).length - 1
    data_end = max(headers) + 1 + len(parse_boot_image(image).segments[-1].data)
    judged = [offset for offset in range(data_end) if offset not in headers] + [end]
    flashes = [
        image[:offset] + bytes([image[offset] ^ 1 << bit]) + image[offset + 1 :]
        for offset in judged
        for bit in range(8)
    ]
    assert check_agreement(reader, flashes) == (0, 8 * len(judged))


def test_random_damage(reader: Path, image: bytes) -> None:
    source = random.Random(SEED)  # noqa: S311 -- the same damage in every run
    flashes = (damage(image, source) for _ in range(MUTATIONS))
    accepted, refused = check_agreement(reader, flashes)
    assert accepted > MUTATIONS // 100
    assert refused > MUTATIONS // 2


def damage(image: bytes, source: random.Random) -> bytes:
    """Change an image here and there; often make its checksum right again, to get further."""
    flash = bytearray(image if source.random() < 0.5 else make_image(source))
    for _ in range(source.randint(0, 3)):
        kind = source.random()
        if kind < 0.6:
            offset = source.randrange(0, min(64, len(flash)) - 3, 4)
            struct.pack_into("<I", flash, offset, source.choice(EDGES))
        elif kind < 0.9:
            flash[source.randrange(len(flash))] = source.randrange(256)
        else:
            flash += source.randbytes(source.randint(1, 64))
    if source.random() < 0.7:
        flash = bytearray(repair_checksum(bytes(flash)))
    if source.random() < 0.1:
        del flash[source.randrange(len(flash)) :]
    return bytes(flash)


def make_image(source: random.Random) -> bytes:
    """Make an image with segments of any number, some of them empty or at an edge."""
    count = source.choice((0, 1, 2, 3, 16, 17))
    flash = struct.pack("<BBBBI", 0xE9, count, 2, 0x20, IRAM.start + 4)
    for _ in range(count):
        region, length = source.choice((DRAM, IRAM)), source.choice((0, 1, 4, 16, 33))
        address = source.choice((region.start, region.end - length & ~3, region.end - length))
        flash += struct.pack("<II", address, length) + source.randbytes(length)
    return repair_checksum(flash + bytes(source.randrange(32)))


def repair_checksum(flash: bytes) -> bytes:
    """Put the right checksum where the segments end, if there they do."""
    offset, count, checksum = 8, flash[1] if len(flash) > 1 else 0, 0xEF
    for _ in range(count):
        if offset + 8 > len(flash):
            return flash
        (length,) = struct.unpack_from("<I", flash, offset + 4)
        for byte in flash[offset + 8 : offset + 8 + length]:
            checksum ^= byte
        offset += 8 + length
    offset |= 15
    return (
        flash[:offset] + bytes([checksum]) + flash[offset + 1 :] if offset < len(flash) else flash
    )
