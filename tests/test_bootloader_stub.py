"""esptool's stubs, both versions: every command, good and refused."""

from __future__ import annotations

import hashlib
import random
import zlib
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
    make_request,
    open_host,
    pack,
    parse_answers,
    split_frames,
)

from nodemcu_tls_build.emulator.faults import Faults
from nodemcu_tls_build.emulator.flash_chip import FlashChip, PowerCut
from nodemcu_tls_build.emulator.slip import encode_frame

OK = (0, 0)
SECTOR = 4 * KIB
SOURCE = random.Random(1)  # noqa: S311 -- the same bytes each time
NOISE = SOURCE.randbytes(100 * KIB)
TEXT = b"".join(b"line %d\n" % number for number in range(12 * KIB))
BAD_DATA_LEN, BAD_CHECKSUM, BAD_BLOCKSIZE, INVALID, SPI, NO_FLASH, INFLATE, TOO_LITTLE, TOO_MUCH = (
    (code, 0) for code in range(0xC0, 0xC9 + 1) if code != 0xC5
)
UNKNOWN, ONE = (0xFF, 0), (1, 0)
Status = tuple[int, int]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flash.bin"


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest) -> int:
    assert isinstance(request.param, int)
    return request.param


@pytest.fixture
def host(path: Path, version: int) -> Iterator[Host]:
    path.write_bytes(bytes(MIB))
    with open_host(path) as host:
        host.start_stub(version)
        host.ask(0x0B, 0, MIB, 0x10000, 0x1000, 0x100, 0xFFFF)
        yield host


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def write(host: Host, offset: int, data: bytes, *, size: int | None = None) -> list[Status]:
    """Write as esptool does; return the status of each answer."""
    blocks = [data[start : start + 0x4000] for start in range(0, len(data), 0x4000)]
    size = len(data) if size is None else size
    answers = [host.ask(0x02, size, len(blocks), 0x4000, offset, 0)]
    answers += [host.send_block(0x03, *numbered) for numbered in enumerate(blocks)]
    return [answer.status for answer in [*answers, host.ask(0x04, 1)]]


def write_deflated(
    host: Host, offset: int, stream: bytes, *, size: int, block_size: int = 0x4000
) -> list[Status]:
    blocks = [stream[start : start + block_size] for start in range(0, len(stream), block_size)]
    answers = [host.ask(0x10, size, len(blocks), block_size, offset, 0)]
    answers += [host.send_block(0x11, *numbered) for numbered in enumerate(blocks)]
    return [answer.status for answer in [*answers, host.ask(0x12, 1)]]


def test_sync(host: Host) -> None:
    answers = parse_answers(host.loader.receive(make_request(0x08, SYNC)))
    assert [(answer.command, answer.value, answer.status) for answer in answers] == [
        (0x08, 0, OK)
    ] * 8
    assert host.ask(0x08).status == BAD_DATA_LEN


def test_registers(host: Host) -> None:
    assert host.ask(0x0A, 0x40001000).value == 0xFFF0C101
    assert host.ask(0x0A).status == BAD_DATA_LEN
    assert host.ask(0x0A, 0).status == INVALID
    writes = (0x40100000, 1, 0xFFFFFFFF, 0, 0x40100004, 2, 0xFFFFFFFF, 0)
    assert host.ask(0x09, *writes).status == OK
    assert host.ask(0x0A, 0x40100004).value == 2
    assert host.ask(0x09, 1, 2, 3).status == BAD_DATA_LEN
    assert host.ask(0x0B).value == 0  # not what was read last, as the ROM has it


@pytest.mark.parametrize("command", [0x14, 0xD4, 0xD5, 0x00, 0x0E])
def test_unknown_commands(host: Host, version: int, command: int) -> None:
    unknown = UNKNOWN if version == 1 or command == 0x14 else INVALID
    assert host.ask(command).status == unknown


def test_wrong_length_of_parameters(host: Host, version: int) -> None:
    one = ONE if version == 1 else BAD_DATA_LEN
    for command in (0x02, 0x05, 0x06, 0x0B, 0x0D, 0x10, 0x13, 0xD1):
        assert host.send(make_request(command, bytes(3))).status == one, hex(command)
    for command in (0x0F, 0xD2):
        assert host.send(make_request(command, bytes(3))).status == BAD_DATA_LEN, hex(command)


def test_header_that_disagrees_with_the_frame(host: Host) -> None:
    frame = encode_frame(b"\x00\x0a\x05\x00\x00\x00\x00\x00\x00\x10\x00\x40")
    assert host.send(frame).status == BAD_DATA_LEN


def test_answers_are_no_requests(host: Host, version: int) -> None:
    echo = host.loader.receive(make_request(0x0D, pack(0)))
    answers = parse_answers(host.loader.receive(echo))
    assert [answer.status for answer in answers] == ([] if version == 1 else [INVALID])


@pytest.mark.parametrize("data", [NOISE[:1], NOISE[:4096], NOISE, NOISE[:65536], TEXT])
@pytest.mark.parametrize("offset", [0, 0xF000, 0x10FFC])
def test_write(host: Host, path: Path, offset: int, data: bytes) -> None:
    assert set(write(host, offset, data)) == {OK}
    contents = path.read_bytes()
    assert contents[offset : offset + len(data)] == data
    start, end = offset // SECTOR * SECTOR, -(-(offset + len(data)) // SECTOR) * SECTOR
    assert contents[start:offset] == b"\xff" * (offset - start)
    assert contents[offset + len(data) : end] == b"\xff" * (end - offset - len(data))
    assert contents[:start] + contents[end:] == bytes(MIB - end + start)
    assert host.ask(0x13, offset, len(data), 0, 0).data == md5(data)


def test_erases_as_it_goes(host: Host, path: Path, version: int) -> None:
    """What is erased when decides what a power cut leaves."""

    def count_erased() -> int:
        return path.read_bytes()[: 4 * SECTOR].count(b"\xff" * SECTOR)

    assert host.ask(0x02, 4 * SECTOR, 4, SECTOR, 0, 0).status == OK
    assert count_erased() == (0 if version == 1 else 1)
    assert host.send_block(0x03, 0, bytes(SECTOR)).status == OK
    assert count_erased() == (1 if version == 1 else 0)  # version 1 is a sector ahead
    assert host.ask(0x10, 4 * SECTOR, 1, SECTOR, 0x10000, 0).status == OK
    assert host.send_block(0x11, 0, zlib.compress(TEXT)[:100]).status == OK
    assert path.read_bytes()[0x10000:].count(b"\xff" * SECTOR) == version


def test_last_block_is_padded(host: Host, path: Path) -> None:
    assert set(write(host, 0, b"abcd" + bytes(100), size=4)) == {OK}
    assert path.read_bytes()[:6] == b"abcd\xff\xff"


@pytest.mark.parametrize("block_size", [1, 7, 1000, 0x4000])
def test_deflated(host: Host, path: Path, block_size: int) -> None:
    data = TEXT[: 200 * block_size]
    stream = zlib.compress(data, 9)
    answers = write_deflated(host, 0x10000, stream, size=len(data), block_size=block_size)
    assert set(answers) == {OK}
    assert path.read_bytes()[0x10000 : 0x10000 + len(data)] == data


def test_deflated_that_is_cut_off(host: Host, version: int) -> None:
    stream = zlib.compress(TEXT, 9)
    answers = write_deflated(host, 0, stream[: len(stream) // 2], size=len(TEXT))
    assert answers[-1] == (TOO_LITTLE if version == 1 else BAD_DATA_LEN)


def test_deflated_that_is_damaged(host: Host, version: int) -> None:
    stream = b"no header" + zlib.compress(TEXT, 9)
    answers = write_deflated(host, 0, stream, size=len(TEXT), block_size=10_000)
    # After an error version 1 refuses every block, version 2 only the next request.
    assert answers[:4] == [OK, OK, INFLATE, INFLATE if version == 1 else OK]
    assert answers[-1] != OK
    if version == 2:
        assert host.ask(0x0D, 0).status == OK
    assert set(write(host, 0, TEXT)) == {OK}


def test_deflated_makes_too_little(host: Host, version: int) -> None:
    answers = write_deflated(host, 0, zlib.compress(TEXT), size=len(TEXT) + 1)
    assert answers[-1] == (TOO_LITTLE if version == 1 else BAD_DATA_LEN)


def test_deflated_makes_too_much(host: Host, path: Path, version: int) -> None:
    answers = write_deflated(host, 0, zlib.compress(bytes(40000)), size=35000)
    assert answers[-1] == (OK if version == 1 else TOO_MUCH)
    assert path.read_bytes()[:35000] == bytes(35000)
    assert path.read_bytes()[35000:36864] == b"\xff" * 1864


def test_deflated_with_more_after_it(host: Host, version: int) -> None:
    stream = zlib.compress(TEXT)
    assert set(write_deflated(host, 0, stream + b"more", size=len(TEXT))) == {OK}
    full_blocks = stream.ljust(-(-len(stream) // 0x4000) * 0x4000)
    answers = write_deflated(host, 0, full_blocks + b"more!", size=len(TEXT))
    assert answers[-2:] == ([OK, TOO_MUCH] if version == 1 else [TOO_MUCH, OK])


def test_bomb_is_not_unpacked(host: Host) -> None:
    bomb = zlib.compress(bytes(64 * MIB), 9)
    write_deflated(host, 0, bomb, size=100)


def test_blocks_that_are_refused(host: Host, version: int) -> None:
    wrong_length = BAD_DATA_LEN if version == 1 else TOO_MUCH
    for begin, data, end in ((0x02, 0x03, 0x04), (0x10, 0x11, 0x12)):
        too_short = BAD_DATA_LEN if version == 1 else TOO_LITTLE
        assert host.send(make_request(data, bytes(15))).status == too_short
        assert host.send_block(data, 0, b"data").status == NO_FLASH
        assert host.ask(end, 1).status == NO_FLASH
        assert host.ask(begin, 4, 1, 0x4000, 0).status == OK
        assert host.send_block(data, 0, b"data", checksum=1).status == BAD_CHECKSUM
        assert host.send_block(data, 0, b"data", length=5).status == wrong_length
        incomplete = TOO_LITTLE if version == 1 else BAD_DATA_LEN
        assert host.ask(end, 1).status == incomplete
        plain = b"data" if data == 0x03 else zlib.compress(b"data")
        assert host.send_block(data, 0, plain).status == OK
        assert host.ask(end, 1).status == OK


def test_large_blocks(host: Host, version: int) -> None:
    too_large = ONE if version == 1 else OK
    assert host.ask(0x02, 4, 1, 0x4001, 0).status == too_large


def test_write_beyond_the_flash(host: Host, path: Path, version: int) -> None:
    answers = write(host, MIB - SECTOR, NOISE[: 3 * SECTOR])
    assert answers == [OK, OK, SPI]
    contents = path.read_bytes()
    # The erase before it went around: that is done without a check.
    assert contents[-SECTOR:] + contents[: 2 * SECTOR] == b"\xff" * (3 * SECTOR)
    assert contents[2 * SECTOR : -SECTOR] == bytes(MIB - 3 * SECTOR)
    if version == 2:
        assert host.ask(0x0D, 0).status == OK


def test_beyond_the_flash(host: Host, version: int) -> None:
    spi = ONE if version == 1 else SPI
    assert host.ask(0x13, MIB - 1, 2, 0, 0).status == spi
    assert host.ask(0x13, MIB - 1, 1, 0, 0).data == md5(b"\0")
    assert host.ask(0x13, 0, 0, 0, 0).data == md5(b"")


def test_erase(host: Host, path: Path, version: int) -> None:
    assert host.ask(0xD1, 0xF000, 0x12000).status == OK
    contents = path.read_bytes()
    assert contents.count(0xFF) == 0x12000
    assert contents[0xF000:0x21000] == b"\xff" * 0x12000
    unaligned = ONE if version == 1 else BAD_DATA_LEN
    assert host.ask(0xD1, 1, SECTOR).status == unaligned
    assert host.ask(0xD1, 0, SECTOR + 1).status == unaligned
    # Beyond the end version 1 refuses, version 2 goes around.
    assert host.ask(0xD1, MIB, SECTOR).status == (ONE if version == 1 else OK)
    assert path.read_bytes().startswith(b"\xff") == (version == 2)
    assert host.ask(0xD0).status == OK
    assert path.read_bytes() == b"\xff" * MIB


def test_stuck_sector_shows_in_the_digest(path: Path, version: int) -> None:
    path.write_bytes(bytes(MIB))
    faults = Faults(stuck_sector=(0x2000,))
    with open_host(path, faults=faults) as host:
        host.start_stub(version)
        assert set(write(host, 0x1000, NOISE)) == {OK}
        assert host.ask(0x13, 0x1000, SECTOR, 0, 0).data == md5(NOISE[:SECTOR])
        assert host.ask(0x13, 0x1000, len(NOISE), 0, 0).data != md5(NOISE)


def test_change_of_baud(host: Host) -> None:
    assert host.loader.baud is None
    assert host.ask(0x0F, 0, 115200).status == BAD_DATA_LEN
    assert host.ask(0x0F, 460800, 115200).status == OK
    assert host.loader.baud == 460800


def test_reset(host: Host, version: int) -> None:
    """By FLASH_END version 1 ends in the ROM's loader, version 2 goes on."""
    assert host.ask(0x02, 0, 0, 0x4000, 0, 0).status == OK
    host.ask(0x0F, 460800, 115200)
    assert host.ask(0x04, 0).status == OK
    (answer, *_) = parse_answers(host.loader.receive(make_request(0x08, SYNC)))
    assert answer.value == (0x20120707 if version == 1 else 0)
    assert host.loader.baud == (None if version == 1 else 460800)


def test_run_user_code(host: Host, version: int) -> None:
    assert host.loader.receive(make_request(0xD3)) == b""
    assert host.loader.wants_boot == (version == 1)


def test_memory(host: Host, version: int) -> None:
    assert host.ask(0x05, 8, 1, 0x1800, 0x40100000).status == OK
    assert host.send_block(0x07, 0, b"abcdefgh").status == OK
    assert host.ask(0x0A, 0x40100004).value == int.from_bytes(b"efgh", "little")
    assert host.send_block(0x07, 1, b"more").status == TOO_MUCH
    assert host.ask(0x06, 1, 0).status == OK
    assert host.send_block(0x07, 0, b"more").status == NO_FLASH
    assert host.ask(0x05, 8, 1, 8, 0x40200000).status == (ONE if version == 1 else INVALID)
    assert host.ask(0x05, 8, 1, 8, 0x40100000).status == OK
    assert host.send(make_request(0x07, bytes(15))).status == TOO_LITTLE
    assert host.ask(0x06, 1, 0).status == (ONE if version == 1 else OK)


def test_stub_starts_another_or_nobody(host: Host, version: int) -> None:
    other = 3 - version
    host.upload(STUB_ENTRY, STUB_CODE[other])
    frames = split_frames(host.loader.receive(make_request(0x06, pack(0, STUB_ENTRY))))
    assert frames[1] == b"OHAI"
    assert host.ask(0x14).status == UNKNOWN
    assert host.ask(0xD4).status == (UNKNOWN if other == 1 else INVALID)
    host.upload(0x40100000, bytes(16))
    assert host.ask(0x06, 0, 0x40100000).status == OK
    assert host.loader.receive(make_request(0x08, SYNC)) == b""


def read(host: Host, offset: int, length: int, packet: int, window: int = 64) -> list[bytes]:
    """Read as esptool does; return the frames."""
    request = make_request(0xD2, pack(offset, length, packet, window))
    answer, *frames = split_frames(host.loader.receive(request))
    assert answer[8:] == bytes(2)
    while sum(map(len, frames)) < length or len(frames[-1]) != 16:
        acknowledged = encode_frame(pack(min(sum(map(len, frames)), length)))
        arrived = split_frames(host.loader.receive(acknowledged))
        assert arrived
        frames += arrived
    return frames


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, 50000])
def test_read(host: Host, length: int) -> None:
    write(host, 0x1000, NOISE)
    *packets, digest = read(host, 0x1001, length, 4096)
    data = b"".join(packets)
    assert data == NOISE[1 : 1 + length]
    assert digest == md5(data)
    assert all(len(packet) == 4096 for packet in packets[:-1])
    assert host.ask(0x0D, 0).status == OK


def test_one_packet_is_on_its_way(host: Host) -> None:
    request = make_request(0xD2, pack(0, 10 * SECTOR, SECTOR, 64))
    assert len(split_frames(host.loader.receive(request))) == 2


def test_window_of_version_1_is_in_bytes(host: Host, version: int) -> None:
    request = make_request(0xD2, pack(0, 10 * SECTOR, SECTOR, 4 * SECTOR))
    assert len(split_frames(host.loader.receive(request))) == (5 if version == 1 else 2)


def test_acknowledgement_in_pieces(host: Host) -> None:
    host.loader.receive(make_request(0xD2, pack(0, 2 * SECTOR, SECTOR, 64)))
    *first, last = encode_frame(pack(SECTOR))
    assert [host.loader.receive(bytes([byte])) for byte in first] == [b""] * len(first)
    assert split_frames(host.loader.receive(bytes([last]))) == [bytes(SECTOR)]


def test_reading_ends_at_another_frame(host: Host) -> None:
    host.loader.receive(make_request(0xD2, pack(0, 2 * SECTOR, SECTOR, 64)))
    frames = split_frames(host.loader.receive(make_request(0x08, SYNC)))
    assert frames == [md5(bytes(SECTOR))]
    assert len(parse_answers(host.loader.receive(make_request(0x08, SYNC)))) == 8


def test_packets_that_are_too_large(host: Host, version: int) -> None:
    for size in (0, 4097):
        assert host.ask(0xD2, 0, SECTOR, size, 64).status == OK  # and then no data
        assert host.ask(0x0D, 0).status == (OK if version == 1 else BAD_DATA_LEN)


def test_read_beyond_the_flash(host: Host, version: int) -> None:
    answers = host.loader.receive(make_request(0xD2, pack(MIB, SECTOR, SECTOR, 64)))
    assert len(split_frames(answers)) == 1
    (frame,) = split_frames(host.loader.receive(make_request(0x0D, pack(0))))
    if version == 1:
        assert frame == md5(b"")  # taken for a wrong acknowledgement
    else:
        assert frame[-2:] == bytes(SPI)
    assert host.ask(0x0D, 0).status == OK


def test_power_cut_in_each_part_of_a_write(path: Path, version: int) -> None:
    """Wherever the power fails, the next write of the same is whole."""
    total = 3 * SECTOR + len(NOISE[: 2 * SECTOR + 100])
    stream = zlib.compress(NOISE[: 2 * SECTOR + 100])
    for cut in range(0, total, 211):
        path.write_bytes(bytes(256 * KIB))
        with FlashChip.open(path, 256 * KIB, faults=Faults(power_cut=cut)) as flash:
            host = Host(flash)
            host.start_stub(version)
            with pytest.raises(PowerCut):
                write_deflated(host, 0x1000, stream, size=2 * SECTOR + 100)
            host = Host(flash)
            host.start_stub(version)
            answers = write_deflated(host, 0x1000, stream, size=2 * SECTOR + 100)
            assert set(answers) == {OK}
        assert path.read_bytes()[0x1000 : 0x3000 + 100] == NOISE[: 2 * SECTOR + 100]
