"""The virtual board's flash: NOR semantics, and contents that outlive the emulator.

So do the credentials in it.

A small program takes the firmware's place on the same board: its image is booted by the same ROM.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from emulated import run_prompt

from nodemcu_tls_build.image import find_build_id, merge_flash_image
from nodemcu_tls_build.memmap import BOOT_OFFSET, IROM_OFFSET, KIB, SECTOR, find_credentials
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.toolchain import find_compiler

SIZE = 1024 * KIB
FREE = 0x80000  # beyond the program
RANGE_ERROR = "-1"
NOT_STORED = "-49"  # TLS_ERR_NOT_STORED

Type = Callable[..., list[str]]


@pytest.fixture(scope="module")
def flash_images(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    """Build the program and return its images by their flash offset."""
    directory, app, compiler = tmp_path_factory.mktemp("program"), app_dir(), find_compiler()
    board_sources = [app / "board/virtual" / name for name in ("board.c", "flash.c", "options.c")]
    board_sources += [app / "board/virtual" / name for name in ("uart.c", "simcall.S")]
    runtime_sources = sorted((app / "runtime").glob("*.[cS]"))
    command = [
        *(str(compiler.path), f"--specs={compiler.specs}", "-std=gnu99", "-Os", "-nostartfiles"),
        *("-mlongcalls", "-mtext-section-literals", "-ffunction-sections", "-fdata-sections"),
        *("-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Werror", "-Wl,--gc-sections"),
        *(f"-I{app / name}" for name in ("include", "board", "board/virtual", "runtime", "tls")),
        *(f"-L{app / 'ld'}", "-Tesp8266.ld"),
        *map(str, [Path(__file__).parent / "firmware/flash_program.c", *board_sources]),
        *map(str, [app / "tls/tls_store.c", app / "tls/tls_record.c", *runtime_sources]),
        *("-Wl,--start-group", "-lc", "-lgcc", "-Wl,--end-group", "-o", "program.elf"),
    ]
    esptool = [sys.executable, "-m", "esptool", "--chip", "esp8266", "elf2image"]
    esptool += ["--flash-mode", "dio", "--flash-size", "1MB", "--output", "./", "program.elf"]
    for step in (command, esptool):
        subprocess.run(step, check=True, cwd=directory, capture_output=True, timeout=120)
    return {
        offset: (directory / f"{offset:#07x}.bin").read_bytes()
        for offset in (BOOT_OFFSET, IROM_OFFSET)
    }


def make_build(directory: Path, images: dict[int, bytes], rom: bytes, flash_size: int) -> Path:
    """Put the images into a directory as a build's output."""
    directory.mkdir()
    (directory / "flash.bin").write_bytes(merge_flash_image(images))
    (directory / "bootrom.elf").write_bytes(rom)
    image = {"name": "0x00000.bin", "offset": 0, "length": 0, "sha256": sha256().hexdigest()}
    build_id = find_build_id(images[IROM_OFFSET]) or "00" * 20
    build = {"schema": 1, "build_id": build_id, "flash_size": flash_size, "images": [image]}
    build["profile"] = {"board": {"name": "virtual", "flash_size": flash_size}}
    (directory / "build.json").write_text(json.dumps(build))
    return directory


@pytest.fixture
def type_lines(flash_images: dict[int, bytes], firmware: Path, tmp_path: Path) -> Type:
    """Return a function that boots the program with a flash file, types lines, returns answers."""
    rom = (firmware / "bootrom.elf").read_bytes()

    def run(flash_path: Path | None, *lines: str, flash_size: int = SIZE) -> list[str]:
        build_dir = tmp_path / f"build {flash_size}"
        if not build_dir.exists():
            make_build(build_dir, flash_images, rom, flash_size)
        args = ["--flash", str(flash_path)] if flash_path else []
        result = run_prompt(build_dir, "".join(f"{line}\n" for line in lines), *args)
        assert (result.returncode, result.stderr) == (0, ""), result.stdout
        return result.stdout.splitlines()

    return run


def test_a_write_clears_bits_and_an_erase_sets_them(type_lines: Type) -> None:
    sector = FREE // SECTOR
    assert type_lines(
        None,
        f"read {FREE} 4",
        f"write {FREE} f00f55aa",
        f"read {FREE} 4",
        f"write {FREE + 1} fff00f",  # a 0 stays a 0
        f"read {FREE} 5",
        f"write {FREE + 2} ff",
        f"read {FREE} 4",
        f"write {FREE + SECTOR - 1} 0000",  # across the end of a sector
        f"erase {sector}",
        f"read {FREE} 4",
        f"read {FREE + SECTOR - 2} 4",
        f"write {FREE} 5a",
        f"read {FREE} 2",
    ) == [
        *("0 ffffffff", "0", "0 f00f55aa"),
        *("0", "0 f00f500aff", "0", "0 f00f500a"),
        *("0", "0", "0 ffffffff", "0 ffff00ff"),
        *("0", "0 5aff"),
    ]


def test_outside_the_flash(type_lines: Type, tmp_path: Path) -> None:
    flash_path = tmp_path / "chip.bin"
    last, huge = SIZE - 1, 0xFFFFFFFF
    assert type_lines(
        flash_path,
        "size",
        f"read {last} 1",
        f"read {SIZE} 0",
        f"write {last} a5",
        f"write {SIZE}",
        f"read {last} 2",
        f"read {SIZE} 1",
        f"read {huge} 1",
        f"read 1 {huge}",
        f"write {last} 0000",
        f"write {SIZE} 00",
        f"write {huge} 0000",
        f"erase {SIZE // SECTOR}",
        f"erase {huge}",
        f"erase {(1 << 32) // SECTOR + FREE // SECTOR}",
        f"read {last} 1",
        f"erase {SIZE // SECTOR - 1}",
        f"read {last} 1",
        f"write {last} 5a",
    ) == [
        *(str(SIZE), "0 ff", "0", "0", "0"),
        *([RANGE_ERROR] * 10),
        *("0 a5", "0", "0 ff", "0"),
    ]
    assert flash_path.stat().st_size == SIZE
    assert flash_path.read_bytes()[-2:] == b"\xff\x5a"


@pytest.mark.parametrize("name", ["chip.bin", "my chip, the 2nd = best,,really.bin", "Füße.bin"])
def test_contents_survive_in_the_flash_file(type_lines: Type, tmp_path: Path, name: str) -> None:
    flash_path = tmp_path / name
    offset = FREE + SECTOR - 2
    assert type_lines(flash_path, f"write {offset} 01020304") == ["0"]
    before = flash_path.read_bytes()
    assert before[offset - 1 : offset + 5] == b"\xff\x01\x02\x03\x04\xff"
    assert type_lines(flash_path, f"read {offset} 4", f"erase {FREE // SECTOR}") == [
        "0 01020304",
        "0",
    ]
    after = flash_path.read_bytes()
    assert after == before[:offset] + b"\xff\xff" + before[offset + 2 :]
    assert type_lines(flash_path, f"read {offset} 4") == ["0 ffff0304"]
    assert type_lines(None, f"read {offset} 4") == ["0 ffffffff"]  # another chip


def test_contents_survive_a_restart(type_lines: Type, tmp_path: Path) -> None:
    for flash_path in (None, tmp_path / "chip.bin"):
        lines = (f"write {FREE} 1234", "restart", f"read {FREE} 2")
        assert type_lines(flash_path, *lines) == ["0", "0 1234"]


def test_mapped_flash(type_lines: Type) -> None:
    assert type_lines(
        None,
        f"map {FREE} 2",
        f"write {FREE} 1234",
        f"map {FREE} 2",
        f"map {SIZE - 1} 1",
        f"map {SIZE - 1} 2",
        f"map {SIZE + SECTOR} 1",
        f"map 1 {0xFFFFFFFF}",
    ) == ["0 ffff", "0", "0 1234", "0 ff", *(["nowhere"] * 3)]


@pytest.mark.parametrize("size", [512 * KIB, SIZE])
def test_credentials_survive(type_lines: Type, tmp_path: Path, size: int) -> None:
    flash_path, begin = tmp_path / "chip.bin", find_credentials(size)
    ca, other, client = "0100020000ca", "0100030000cb11", "0100010011" + "02000200" + "2222"
    assert type_lines(
        flash_path,
        *("get 0", "get 1", f"put 0 {ca}", f"put 1 {client}", "get 0", "restart", "get 0", "get 1"),
        flash_size=size,
    ) == [NOT_STORED, NOT_STORED, "0", "0", f"0 {ca}", f"0 {ca}", f"0 {client}"]
    before = flash_path.read_bytes()
    starts = [before[begin + i * SECTOR :][:4] for i in range(4)]
    assert starts == [b"NTLS", b"\xff" * 4, b"NTLS", b"\xff" * 4]
    assert type_lines(
        flash_path, "get 0", f"put 0 {ca}", "get 1", f"put 0 {other}", flash_size=size
    ) == [f"0 {ca}", "0", f"0 {client}", "0"]
    after = flash_path.read_bytes()
    assert after != before
    assert [at // SECTOR for at in range(0, size, SECTOR) if differ(before, after, at)] == [
        begin // SECTOR + 1
    ]
    assert type_lines(flash_path, "get 0", "get 1", flash_size=size) == [
        f"0 {other}",
        f"0 {client}",
    ]


def differ(before: bytes, after: bytes, start: int) -> bool:
    return before[start : start + SECTOR] != after[start : start + SECTOR]


def test_the_board_has_the_flash_that_the_profile_says(type_lines: Type, tmp_path: Path) -> None:
    flash_path, size = tmp_path / "small.bin", 512 * KIB
    assert type_lines(
        flash_path,
        "size",
        f"write {size - 1} 00",
        f"write {size - 1} 0000",
        f"write {size} 00",
        f"read {size} 1",
        f"erase {size // SECTOR}",
        flash_size=size,
    ) == [str(size), "0", *([RANGE_ERROR] * 4)]
    assert flash_path.stat().st_size == size
