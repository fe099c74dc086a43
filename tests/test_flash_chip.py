"""NOR flash in a file: bits that only an erase sets, faults, and files that cannot be one."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodemcu_tls_build.emulator.faults import Faults
from nodemcu_tls_build.emulator.flash_chip import BLOCK, FlashChip, PowerCut
from nodemcu_tls_build.errors import BuildError, ConfigError, DeviceError, ImageError, OutputError
from nodemcu_tls_build.memmap import KIB, SECTOR

SIZE = 256 * KIB
PATTERN = bytes(range(256)) * (SECTOR // 256)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flash.bin"


@pytest.fixture
def flash(path: Path) -> Iterator[FlashChip]:
    with FlashChip.open(path, SIZE) as chip:
        yield chip


def test_new_flash_is_erased(flash: FlashChip, path: Path) -> None:
    assert path.read_bytes() == b"\xff" * SIZE
    assert flash.read(0, SIZE) == b"\xff" * SIZE


def test_contents_stay(path: Path) -> None:
    with FlashChip.open(path, SIZE) as flash:
        flash.program(1000, b"here")
        assert path.read_bytes()[1000:1004] == b"here"
    with FlashChip.open(path, SIZE) as flash:
        assert flash.read(999, 6) == b"\xffhere\xff"


def test_programming_clears_bits_only(flash: FlashChip) -> None:
    flash.program(10, b"\xf0\x0f\xff")
    flash.program(10, b"\x3c\xff\x5a")
    assert flash.read(10, 3) == b"\x30\x0f\x5a"
    assert flash.md5(10, 3) == bytes.fromhex("5c4be1da607c209bb718bfba4a5bbba5")


def test_erasing_takes_whole_units(flash: FlashChip) -> None:
    for sector in range(0, SIZE, SECTOR):
        flash.program(sector, PATTERN)
    flash.erase_sector(SECTOR + 5)
    assert flash.read(0, 3 * SECTOR) == PATTERN + b"\xff" * SECTOR + PATTERN
    flash.erase_block(BLOCK + 5)
    assert flash.read(BLOCK, BLOCK) == b"\xff" * BLOCK
    assert flash.read(2 * BLOCK, SECTOR) == flash.read(BLOCK - SECTOR, SECTOR) == PATTERN
    flash.erase()
    assert flash.read(0, SIZE) == b"\xff" * SIZE


def test_addresses_wrap(flash: FlashChip) -> None:
    flash.program(SIZE - 2, b"abcd")
    assert flash.read(SIZE - 2, 4) == b"abcd"
    assert flash.read(0, 2) == b"cd"
    flash.erase_sector(SIZE)
    assert flash.read(0, 2) == b"\xff\xff"


def test_stuck_sector_keeps_its_contents(path: Path) -> None:
    with FlashChip.open(path, SIZE, faults=Faults(stuck_sector=(SECTOR + 7,))) as flash:
        flash.program(0, PATTERN * 3)
        flash.erase_block(0)
        assert flash.read(0, 3 * SECTOR) == b"\xff" * SECTOR + PATTERN + b"\xff" * SECTOR


@pytest.mark.parametrize("byte", [0x00, 0x01, 0x55, 0xFE, 0xFF])
def test_stuck_bit_programs_wrongly(path: Path, byte: int) -> None:
    with FlashChip.open(path, SIZE, faults=Faults(stuck_bit=(300,))) as flash:
        flash.program(299, bytes([byte] * 3))
        assert flash.read(299, 3) == bytes([byte, byte ^ 1, byte])


def test_power_cut_at_every_byte_of_a_write(path: Path) -> None:
    for cut in range(600):
        path.unlink(missing_ok=True)
        with FlashChip.open(path, SIZE, faults=Faults(power_cut=cut)) as flash:
            with pytest.raises(PowerCut):
                flash.program(100, PATTERN[:600])
            expected = PATTERN[:cut] + b"\xff" * (600 - cut)
            assert path.read_bytes()[100:700] == flash.read(100, 600) == expected
            flash.program(100, PATTERN[:600])  # the power is back
            assert flash.read(100, 600) == PATTERN[:600]


def test_power_cut_after_the_last_byte_is_none(path: Path) -> None:
    with FlashChip.open(path, SIZE, faults=Faults(power_cut=600)) as flash:
        flash.program(0, PATTERN[:600])
        with pytest.raises(PowerCut):
            flash.program(600, b"x")


def test_power_cut_half_way_through_an_erase(path: Path) -> None:
    with FlashChip.open(path, SIZE, faults=Faults(power_cut=4 * SECTOR + 1000)) as flash:
        flash.program(0, bytes(3 * SECTOR))
        with pytest.raises(PowerCut):
            flash.erase()
        assert flash.read(0, SECTOR + 1000) == b"\xff" * (SECTOR + 1000)
        assert flash.read(SECTOR + 1000, 2 * SECTOR - 1000) == bytes(2 * SECTOR - 1000)


def test_faults_beyond_the_flash(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        FlashChip.open(path, SIZE, faults=Faults(stuck_sector=(SIZE, 0), stuck_bit=(SIZE + 1,)))
    assert caught.value.problems == (
        "'stuck-sector=0x40000': the flash ends at 0x40000",
        "'stuck-bit=0x40001': the flash ends at 0x40000",
    )
    assert not path.exists()


def refuse(path: Path, kind: type[BuildError], size: int = SIZE) -> str:
    with pytest.raises(kind) as caught:
        FlashChip.open(path, size)
    return caught.value.message


def test_one_user_at_a_time(flash: FlashChip, path: Path) -> None:
    assert refuse(path, DeviceError) == f"{path} is the flash of an emulator that is running"
    flash.close()
    flash.close()
    FlashChip.open(path, SIZE).close()


def test_file_of_another_size(path: Path) -> None:
    path.write_bytes(bytes(1000))
    assert refuse(path, ImageError) == f"{path} has 1,000 bytes, the flash has 262,144"
    assert path.read_bytes() == bytes(1000)


def test_empty_file_becomes_a_flash(path: Path) -> None:
    path.touch()
    FlashChip.open(path, SIZE).close()
    assert path.read_bytes() == b"\xff" * SIZE


def test_no_such_size(path: Path) -> None:
    assert refuse(path, ImageError, 1000) == "no flash has 1000 bytes"
    assert not path.exists()


def test_what_is_no_file(tmp_path: Path) -> None:
    assert refuse(tmp_path, OutputError) == f"cannot write {tmp_path}: Is a directory"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refuse(pipe, ImageError) == f"{pipe} is not a regular file"
    assert "not a regular file" in refuse(Path("/dev/null"), ImageError)


def test_no_directory_for_it(path: Path) -> None:
    missing = path / "below"
    assert refuse(missing, OutputError) == f"cannot write {missing}: No such file or directory"


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user")
def test_read_only_file() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "flash.bin"
        path.write_bytes(b"\xff" * SIZE)
        Path(directory).chmod(0o755)
        path.chmod(0o444)
        os.seteuid(65534)
        try:
            assert refuse(path, OutputError) == f"cannot write {path}: Permission denied"
        finally:
            os.seteuid(0)


def test_file_that_cannot_grow(path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 * KIB, limits[1]))
    try:
        assert refuse(path, OutputError) == f"cannot write {path}: File too large"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    FlashChip.open(path, SIZE).close()  # nothing half filled was left


def test_file_that_is_cut_off_in_use(flash: FlashChip, path: Path) -> None:
    os.truncate(path, 1000)
    for use in (lambda: flash.read(990, 20), lambda: flash.program(990, bytes(20))):
        with pytest.raises(ImageError, match="was cut off while it was in use: 1,000 bytes are"):
            use()


def test_file_that_cannot_be_written_any_more(flash: FlashChip, path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 * KIB, limits[1]))
    try:
        for use in (lambda: flash.program(200 * KIB, b"x"), lambda: flash.erase_sector(200 * KIB)):
            with pytest.raises(OutputError, match=f"cannot write {path}: File too large"):
                use()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
