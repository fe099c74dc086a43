"""Images: read as the boot ROM reads them, refused as it refuses them."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic_elf import SHF_ALLOC, SHF_WRITE, Section, make_elf

from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.image import (
    find_build_id,
    merge_flash_image,
    pad_to_flash,
    parse_boot_image,
)
from nodemcu_tls_build.memmap import KIB
from nodemcu_tls_build.resources import app_dir

IRAM_CODE = bytes(range(1, 41))
DRAM_DATA = bytes(range(100, 117))  # 17 bytes: esptool pads them to 20


def make_image(*segments: tuple[int, bytes], entry: int = 0x40100004, **header: int) -> bytes:
    fields = {"magic": 0xE9, "count": len(segments), "mode": 2, "size_freq": 0x20} | header
    image = bytearray(struct.pack("<BBBBI", *fields.values(), entry))
    checksum = 0xEF
    for address, data in segments:
        image += struct.pack("<II", address, len(data)) + data
        for byte in data:
            checksum ^= byte
    image += bytes(15 - len(image) % 16)
    image.append(checksum)
    return bytes(image)


BUILD_ID = "0123456789abcdef0123456789abcdef01234567"
NOTE = bytes.fromhex(f"04000000 14000000 03000000 474e5500 {BUILD_ID}")

GOOD = make_image((0x40100000, IRAM_CODE), (0x3FFE8000, DRAM_DATA))


def find_reason(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        parse_boot_image(data)
    return caught.value.message


def test_reads_what_esptool_made(tmp_path: Path) -> None:
    elf_path = tmp_path / "firmware.elf"
    elf_path.write_bytes(
        make_elf(
            [
                Section(".text", 0x40100000, IRAM_CODE),
                Section(".data", 0x3FFE8000, DRAM_DATA, flags=SHF_ALLOC | SHF_WRITE),
                Section(".bss", 0x3FFE8020, zeroed=64, flags=SHF_ALLOC | SHF_WRITE),
                Section(".irom0.text", 0x40210000, b"mapped code"),
            ],
            entry=0x40100008,
        )
    )
    subprocess.run(
        [
            *(sys.executable, "-m", "esptool", "--chip", "esp8266", "elf2image"),
            *("--flash-mode", "dout", "--flash-size", "4MB", "--flash-freq", "80m"),
            *("--version", "1", "--output", str(tmp_path / "out"), str(elf_path)),
        ],
        check=True,
        capture_output=True,
    )
    data = (tmp_path / "out0x00000.bin").read_bytes()
    image = parse_boot_image(data)
    assert image.entry == 0x40100008
    assert (image.flash_mode, image.flash_frequency) == ("dout", "80m")
    assert image.flash_size == 4 * 1024 * 1024
    assert {s.address: s.data for s in image.segments} == {
        0x40100000: IRAM_CODE,
        0x3FFE8000: DRAM_DATA + bytes(3),
    }
    assert image.length == len(data)


def test_what_follows_the_image_does_not_matter() -> None:
    assert parse_boot_image(GOOD + b"\xff" * 100) == parse_boot_image(GOOD)
    assert parse_boot_image(GOOD).length == len(GOOD)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 bytes, less than its header"),
        (b"\xff" * 64, "starts with 0xff, not with the magic 0xe9"),
        (make_image(), "0 segments"),
        (make_image(*[(0x40100000, b"1234")] * 17), "17 segments"),
        (make_image((0x40100000, b"1234"), entry=0x40210000), "entry point 0x40210000"),
        (make_image((0x40107FFC, b"12345678")), "segment 0 (8 bytes at 0x40107ffc) is outside"),
        (make_image((0x3FFE7FFC, b"12345678")), "is outside DRAM and IRAM"),
        (make_image((0x40100002, b"1234")), "segment 0 at 0x40100002 is not aligned to a word"),
        (make_image((0x60000000, b"12")), "is outside DRAM and IRAM"),
        (make_image((0x40100000, b"12"), mode=4), "flash mode 0x04 is none of qio, qout"),
        (make_image((0x40100000, b"12"), size_freq=0xF0), "flash size 0xf"),
        (make_image((0x40100000, b"12"), size_freq=0x23), "flash frequency 0x3"),
        (GOOD[:60], "ends before the header of segment 1"),
        (GOOD[:-1] + b"\x00", "checksum is 0x00, its segments give"),
        (GOOD[:-1], "ends before its checksum"),
        (GOOD[:40], "segment 0 has 40 bytes, the image only 24 more"),
    ],
)
def test_names_what_is_wrong(data: bytes, reason: str) -> None:
    assert reason in find_reason(data)


def test_refuses_every_truncation() -> None:
    for length in range(len(GOOD)):
        find_reason(GOOD[:length])


def test_refuses_every_changed_bit_of_a_segment() -> None:
    start = GOOD.index(IRAM_CODE)
    for position in range(start, start + len(IRAM_CODE)):
        for bit in range(8):
            damaged = bytearray(GOOD)
            damaged[position] ^= 1 << bit
            assert "checksum" in find_reason(bytes(damaged))


def test_agrees_with_the_boot_rom(tmp_path: Path) -> None:
    """Give damaged images to both readers, the ROM's compiled for this machine."""
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "boot_image.h"\n'
        "static unsigned char data[4096];\n"
        "int main(void) {\n"
        "    struct boot_image image; unsigned size;\n"
        "    while (fread(&size, 4, 1, stdin) == 1 && fread(data, 1, size, stdin) == size)\n"
        "        putchar(boot_image_read(&image, data, size) == 0 ? 'y' : 'n');\n"
        "    return 0;\n}\n",
        encoding="utf-8",
    )
    boot_dir, include_dir = app_dir() / "boot", app_dir() / "include"
    subprocess.run(
        [
            *("clang", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
            *(f"-I{boot_dir}", f"-I{include_dir}", str(tmp_path / "main.c")),
            *(str(boot_dir / "boot_image.c"), "-o", str(tmp_path / "reader")),
        ],
        check=True,
    )
    images = [GOOD, *make_damaged_images(random.Random(1), 3000)]  # noqa: S311 -- repeatable
    result = subprocess.run(
        [str(tmp_path / "reader")],
        input=b"".join(struct.pack("<I", len(image)) + image for image in images),
        check=True,
        capture_output=True,
    )
    verdicts = "".join("y" if is_readable(image) else "n" for image in images)
    assert result.stdout.decode() == verdicts
    assert {"y", "n"} <= set(verdicts)


def make_damaged_images(source: random.Random, count: int) -> list[bytes]:
    images = []
    for _ in range(count):
        image = bytearray(GOOD)
        for _ in range(source.randint(1, 2)):
            position = source.randrange(len(image))
            if position not in {2, 3}:  # the ROM does not judge the flash settings
                image[position] = source.choice((image[position] ^ 1, source.randrange(256), 0xFF))
        if source.random() < 0.3:
            del image[source.randrange(len(image)) :]
        images.append(bytes(image))
    return images


def is_readable(data: bytes) -> bool:
    try:
        parse_boot_image(data)
    except ImageError:
        return False
    return True


def test_merge_fills_the_gaps() -> None:
    assert merge_flash_image({8: b"cd", 0: b"ab"}) == b"ab" + b"\xff" * 6 + b"cd"
    assert merge_flash_image({4: b"x"}) == b"\xff" * 4 + b"x"
    assert merge_flash_image({0: b"ab", 2: b"cd"}) == b"abcd"


def test_merge_refuses_overlap() -> None:
    with pytest.raises(ImageError, match=r"offset 0x2 overlaps .* ends at 0x3"):
        merge_flash_image({0: b"abc", 2: b"d"})


def test_pad_to_flash() -> None:
    size, room = 512 * KIB, 512 * KIB - 9 * 4 * KIB
    assert pad_to_flash(b"ab", size) == b"ab" + b"\xff" * (size - 2)
    assert pad_to_flash(bytes(room), size) == bytes(room) + b"\xff" * (size - room)


def test_the_credentials_are_not_the_images() -> None:
    with pytest.raises(ImageError, match="487,425 bytes, a flash of 524,288 has room for 487,424"):
        pad_to_flash(bytes(487_425), 512 * KIB)
    pad_to_flash(bytes(487_425), 1024 * KIB)


def test_find_build_id() -> None:
    assert find_build_id(NOTE) == find_build_id(NOTE + b"code") == BUILD_ID
    for length in range(len(NOTE)):
        assert find_build_id(NOTE[:length]) is None
    assert find_build_id(b"\xff" * 64) is None
    for position in range(16):
        assert find_build_id(NOTE[:position] + b"\x7f" + NOTE[position + 1 :]) is None
