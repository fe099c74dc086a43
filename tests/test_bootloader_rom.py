"""The ROM's loader, byte for byte: every command, good and refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from loader_host import (
    KIB,
    MIB,
    STUB_CODE,
    STUB_ENTRY,
    SYNC,
    Host,
    make_block,
    make_request,
    open_host,
    pack,
    parse_answers,
    split_frames,
)

from nodemcu_tls_build.emulator.chip import Chip
from nodemcu_tls_build.emulator.faults import Faults
from nodemcu_tls_build.emulator.flash_chip import FlashChip, PowerCut

OK = (0, 0)
INVALID, FAILED, BAD_CHECKSUM, NOT_WRITTEN = ((1, code) for code in (5, 6, 7, 8))
SECTOR = 4 * KIB
BLOCK = bytes(range(256)) * 4
IRAM = 0x40100000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flash.bin"


@pytest.fixture
def host(path: Path) -> Iterator[Host]:
    with open_host(path, 4 * MIB) as host:
        yield host


def begin_flash(host: Host, size: int, blocks: int, offset: int) -> tuple[int, int]:
    return host.ask(0x02, size, blocks, 1024, offset).status


def test_sync_is_answered_eight_times(host: Host) -> None:
    answer = host.loader.receive(make_request(0x08, SYNC))
    assert answer == bytes.fromhex("c00108020007071220 0000c0") * 8


def test_garbage_before_sync(host: Host) -> None:
    assert host.loader.receive(b"\x00\xffnoise") == b""
    assert len(split_frames(host.loader.receive(make_request(0x08, SYNC)))) == 8


@pytest.mark.parametrize("data", [b"", SYNC[:-1], SYNC + b"U", bytes(36)])
def test_bad_sync(host: Host, data: bytes) -> None:
    assert host.send(make_request(0x08, data)).status == INVALID


@pytest.mark.parametrize("command", [0x00, 0x01, 0x0B, 0x0D, 0x0F, 0x10, 0x13, 0x14, 0xD0, 0xD2])
def test_commands_of_the_stub_only(host: Host, command: int) -> None:
    assert host.ask(command).status == INVALID


@pytest.mark.parametrize("command", [2, 3, 4, 5, 6, 7, 9, 10])
@pytest.mark.parametrize("size", [0, 1, 3, 5, 24])
def test_wrong_length_of_parameters(host: Host, command: int, size: int) -> None:
    assert host.send(make_request(command, bytes(size))).status == INVALID


def test_header_that_disagrees_with_the_frame(host: Host) -> None:
    frame = b"\xc0\x00\x0a\x05\x00\x00\x00\x00\x00\x00\x10\x00\x40\xc0"
    assert host.send(frame).status == INVALID


@pytest.mark.parametrize("frame", [b"\xc0x\xc0", b"\xc0" + bytes(7) + b"\xc0"])
def test_too_short_for_a_request(host: Host, frame: bytes) -> None:
    assert host.loader.receive(frame) == b""


def test_answers_are_not_taken_for_requests(host: Host) -> None:
    echo = host.loader.receive(make_request(0x0A, pack(0x40001000)))
    assert host.loader.receive(echo) == b""


def test_registers_that_say_what_it_is(host: Host) -> None:
    assert host.ask(0x0A, 0x40001000).value == 0xFFF0C101
    efuses = [host.ask(0x0A, 0x3FF00050 + 4 * index).value for index in range(4)]
    assert efuses == [0x66000000, 0x00020082, 0x0000B000, 0x005CCF7F]
    assert host.ask(0x0A, 0x60000014).value == 451
    host.loader.host_baud = 74880
    assert host.ask(0x0A, 0x60000014).value == 694


def test_value_is_that_of_the_last_read(host: Host) -> None:
    host.loader.receive(make_request(0x08, SYNC))
    assert host.ask(0x02, 0, 0, 1024, 0).value == 0x20120707
    host.ask(0x0A, 0x40001000)
    assert host.ask(0x02, 0, 0, 1024, 0).value == 0xFFF0C101


def test_wrong_chip(path: Path) -> None:
    with open_host(path, faults=Faults(wrong_chip=True)) as host:
        assert host.ask(0x0A, 0x40001000).value == 0x00F01D83


def test_other_mac() -> None:
    assert Chip(mac=b"\x02\x00\x00\x12\x34\x56").efuses[3] == 0x020000


def test_memory(host: Host) -> None:
    assert host.ask(0x09, IRAM, 0x12345678, 0xFFFFFFFF, 0).status == OK
    assert host.ask(0x0A, IRAM).value == 0x12345678
    assert host.ask(0x09, IRAM, 0xFFFFFFFF, 0x00FF0000, 5).status == OK
    assert host.ask(0x0A, IRAM).value == 0x12FF5678
    assert host.ask(0x09, IRAM, 1, 0xFFFFFFFF, 0, 0x60000078, 0, 0, 100).status == OK
    assert host.ask(0x0A, IRAM).value == 1
    assert host.ask(0x09, 0x60000078, 9, 0xFFFFFFFF, 0).status == OK
    assert host.ask(0x0A, 0x60000078).value == 9


@pytest.mark.parametrize("address", [0, 1, IRAM + 2, IRAM + 64 * KIB, 0x3FFE7FFC, 0x40200000])
def test_addresses_without_memory(host: Host, address: int) -> None:
    assert host.ask(0x0A, address).status == FAILED
    assert host.ask(0x09, address, 1, 0xFFFFFFFF, 0).status == FAILED


def test_rom_cannot_be_written(host: Host) -> None:
    assert host.ask(0x09, 0x40001000, 0, 0xFFFFFFFF, 0).status == FAILED
    assert host.ask(0x0A, 0x40001000).value == 0xFFF0C101


def test_upload(host: Host) -> None:
    assert host.ask(0x05, 2500, 3, 1024, 0x3FFE8000).status == OK
    for number, size in enumerate([1024, 1024, 452]):
        assert host.send_block(0x07, number, BLOCK[:size]).status == OK
    assert host.ask(0x06, 1, 0).status == OK  # stays in the loader
    assert host.ask(0x0A, 0x3FFE8000 + 2048).value == 0x03020100
    assert host.ask(0x0A, 0x3FFE8000 + 2496).value == 0xC3C2C1C0


@pytest.mark.parametrize(
    ("size", "blocks", "block_size", "address", "status"),
    [
        (96 * KIB, 16, 0x1800, 0x3FFE8000, OK),
        (96 * KIB + 1, 17, 0x1800, 0x3FFE8000, FAILED),
        (4, 1, 4, 0x40200000, FAILED),
        (4, 1, 4, 0x40000000, FAILED),
        (0xFFFFFFFF, 0xFFFFFFFF, 0x1000, IRAM, FAILED),
        (100, 1, 99, IRAM, INVALID),
        (100, 1, 0x1801, IRAM, INVALID),
    ],
)
def test_ranges_of_uploads(  # noqa: PLR0917 -- the parameters of one command
    host: Host, size: int, blocks: int, block_size: int, address: int, status: tuple[int, int]
) -> None:
    assert host.ask(0x05, size, blocks, block_size, address).status == status


def test_blocks_that_are_refused(host: Host) -> None:
    for begin, data in ((0x05, 0x07), (0x02, 0x03)):
        assert host.send_block(data, 0, BLOCK).status == FAILED  # nothing was begun
        start = IRAM if begin == 0x05 else 0
        assert host.ask(begin, 2048, 2, 1024, start).status == OK
        assert host.send_block(data, 1, BLOCK).status == FAILED
        assert host.send_block(data, 0, BLOCK, checksum=0).status == BAD_CHECKSUM
        assert host.send_block(data, 0, BLOCK, length=1023).status == INVALID
        assert host.send_block(data, 0, BLOCK + b"x").status == INVALID
        assert host.send_block(data, 0, BLOCK).status == OK
        assert host.send_block(data, 0, BLOCK).status == FAILED  # once more
        assert host.send_block(data, 1, BLOCK).status == OK
        assert host.send_block(data, 2, BLOCK).status == FAILED  # more than was said


def test_too_much_for_the_upload(host: Host) -> None:
    assert host.ask(0x05, 1000, 1, 1024, IRAM).status == OK
    assert host.send_block(0x07, 0, BLOCK).status == FAILED


def test_end_before_the_last_block(host: Host) -> None:
    assert host.ask(0x06, 0, IRAM).status == FAILED
    assert host.ask(0x04, 1).status == FAILED
    host.ask(0x05, 1024, 1, 1024, IRAM)
    assert host.ask(0x06, 0, IRAM).status == FAILED
    begin_flash(host, SECTOR, 1, 0)
    assert host.ask(0x04, 1).status == FAILED
    assert not host.loader.wants_boot


@pytest.mark.parametrize("version", [1, 2])
def test_stub_takes_over(host: Host, version: int) -> None:
    host.start_stub(version)
    (answer, *others) = parse_answers(host.loader.receive(make_request(0x08, SYNC)))
    assert (answer.value, len(others)) == (0, 7)  # by this esptool tells a stub
    assert host.ask(0xD0).status == OK


def test_entry_outside_of_the_uploaded_stub(host: Host) -> None:
    host.upload(STUB_ENTRY, STUB_CODE[2])
    assert host.ask(0x06, 0, STUB_ENTRY + 64).status == OK
    assert host.loader.receive(make_request(0x08, SYNC)) == b""


def test_program_that_is_no_stub_is_silence(host: Host) -> None:
    host.upload(IRAM, BLOCK)
    assert host.ask(0x06, 0, IRAM).status == OK
    assert host.loader.receive(make_request(0x08, SYNC)) == b""
    assert not host.loader.wants_boot


def test_write_flash(host: Host, path: Path) -> None:
    assert begin_flash(host, SECTOR, 3, 0x10000) == OK
    for number in range(3):
        assert host.send_block(0x03, number, BLOCK).status == OK
    assert path.read_bytes()[0xFFFF : 0x10000 + 3073] == b"\xff" + 3 * BLOCK + b"\xff"
    assert host.ask(0x04, 1).status == OK
    assert host.loader.wants_boot
    assert host.loader.receive(make_request(0x08, SYNC)) == b""


def test_reboot_ends_in_the_loader_again(host: Host) -> None:
    assert begin_flash(host, 0, 0, 0) == OK
    assert host.ask(0x04, 0).status == OK
    assert not host.loader.wants_boot
    assert len(parse_answers(host.loader.receive(make_request(0x08, SYNC)))) == 8
    assert host.ask(0x04, 0).status == FAILED


@pytest.mark.parametrize(
    ("sector", "asked", "erased"),
    [
        (0, 0, 0),
        (0, 1, 2),
        (0, 8, 16),
        (0, 16, 32),
        (0, 17, 33),
        (15, 1, 2),
        (15, 2, 3),
        (5, 30, 41),
    ],
)
def test_erase_takes_too_much(path: Path, sector: int, asked: int, erased: int) -> None:
    path.write_bytes(bytes(MIB))
    with open_host(path) as host:
        assert begin_flash(host, asked * SECTOR, 0, sector * SECTOR) == OK
    contents = path.read_bytes()
    start = sector * SECTOR
    assert contents.count(0xFF) == erased * SECTOR
    assert contents[start : start + erased * SECTOR] == b"\xff" * (erased * SECTOR)


@pytest.mark.parametrize(
    ("size", "offset", "status"),
    [
        (SECTOR, 4 * MIB - SECTOR, OK),
        (SECTOR, 4 * MIB, FAILED),
        (SECTOR + 1, 4 * MIB - SECTOR, FAILED),
        (0xFFFFFFFF, 0, FAILED),
        (SECTOR, 100, FAILED),
        (0, 0, OK),
    ],
)
def test_ranges_of_the_flash(host: Host, size: int, offset: int, status: tuple[int, int]) -> None:
    assert begin_flash(host, size, 1, offset) == status


def test_smaller_flash_wraps(path: Path) -> None:
    """The ROM believes in 4 MiB until it is told otherwise, which the ROM's loader cannot be."""
    with open_host(path, MIB) as host:
        assert begin_flash(host, SECTOR, 1, MIB) == OK
        assert host.send_block(0x03, 0, BLOCK).status == OK
    assert path.read_bytes()[:1024] == BLOCK


def test_write_that_is_not_in_the_flash(path: Path) -> None:
    with open_host(path, faults=Faults(stuck_bit=(5,))) as host:
        begin_flash(host, SECTOR, 2, 0)
        assert host.send_block(0x03, 0, BLOCK).status == NOT_WRITTEN


def test_power_cut_at_every_byte(path: Path) -> None:
    """Each cut ends the loader; what was not reached is as it was."""
    for cut in range(0, 2 * SECTOR + 1024, 37):
        path.write_bytes(bytes(MIB))
        faults = Faults(power_cut=cut)
        with FlashChip.open(path, MIB, faults=faults) as flash:
            host = Host(flash, faults)
            with pytest.raises(PowerCut):
                begin_flash(host, SECTOR, 1, 0)
                host.send_block(0x03, 0, BLOCK)
            again = Host(flash, faults)
            assert begin_flash(again, SECTOR, 1, 0) == OK
            assert again.send_block(0x03, 0, BLOCK).status == OK
        assert path.read_bytes()[:2048] == BLOCK + b"\xff" * 1024


def test_frames_in_any_pieces(host: Host) -> None:
    stream = make_request(0x02, pack(SECTOR, 1, 1024, 0)) + make_block(0x03, 0, BLOCK)
    answer = b"".join(host.loader.receive(bytes([byte])) for byte in stream)
    assert [entry.status for entry in parse_answers(answer)] == [OK, OK]
