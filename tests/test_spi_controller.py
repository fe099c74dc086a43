"""The flash chip's own commands, as a host runs them through the SPI controller's registers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from loader_host import MIB, Host, open_host

BASE = 0x60000200
CMD, ADDR, USER, USER1, USER2, W0 = (BASE + offset for offset in (0, 4, 0x1C, 0x20, 0x24, 0x40))
USR = 1 << 18
ERASED = b"\xff" * 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flash.bin"


@pytest.fixture
def host(path: Path) -> Iterator[Host]:
    with open_host(path) as host:
        host.ask(0x02, 0, 0, 1024, 0)  # attaches the flash
        yield host


def set_register(host: Host, address: int, word: int) -> None:
    assert host.ask(0x09, address, word, 0xFFFFFFFF, 0).status == (0, 0)


def run(
    host: Host, opcode: int, *, address: int | None = None, data: bytes = b"", wanted: int = 0
) -> bytes:
    """Run a command; the order of the registers is esptool's."""
    user = 1 << 31 | (1 << 28 if wanted else 0) | (1 << 27 if data else 0)
    user1 = max(8 * wanted - 1, 0) << 8 | max(8 * len(data) - 1, 0) << 17
    if address is not None:
        user, user1 = user | 1 << 30, user1 | 23 << 26
        set_register(host, ADDR, address << 8)
    set_register(host, USER1, user1)
    set_register(host, USER, user)
    set_register(host, USER2, 7 << 28 | opcode)
    for index in range(0, len(data), 4):
        set_register(host, W0 + index, int.from_bytes(data[index : index + 4], "little"))
    set_register(host, CMD, USR)
    assert host.ask(0x0A, CMD).value & USR == 0
    words = [host.ask(0x0A, W0 + index).value for index in range(0, wanted, 4)]
    return b"".join(word.to_bytes(4, "little") for word in words)[:wanted]


def test_flash_that_is_not_attached_reads_ones(path: Path) -> None:
    with open_host(path) as host:
        assert run(host, 0x9F, wanted=3) == b"\xff\xff\xff"


@pytest.mark.parametrize(
    ("size", "code"), [(256 << 10, 0x12), (512 << 10, 0x13), (MIB, 0x14), (4 * MIB, 0x16)]
)
def test_id_says_the_size(path: Path, size: int, code: int) -> None:
    with open_host(path, size) as host:
        host.ask(0x02, 0, 0, 1024, 0)
        assert run(host, 0x9F, wanted=3) == bytes([0xEF, 0x40, code])
        assert run(host, 0x90, address=0, wanted=2) == bytes([0xEF, code - 1])
        sfdp = b"".join(run(host, 0x5A, address=start, wanted=4) for start in range(0, 0xA4, 4))
        assert sfdp[:4] == b"SFDP"
        table = int.from_bytes(sfdp[12:15], "little")
        assert int.from_bytes(sfdp[table + 4 : table + 8], "little") == size * 8 - 1


def test_status_registers(host: Host) -> None:
    run(host, 0x01, data=b"\x18")
    assert run(host, 0x05, wanted=1) == b"\x00"  # not enabled
    run(host, 0x06)
    assert run(host, 0x05, wanted=1) == b"\x02"
    run(host, 0x01, data=b"\xff\xff")
    assert [run(host, opcode, wanted=1)[0] for opcode in (0x05, 0x35, 0x15)] == [0xFC, 0x43, 0]
    for opcode in (0x31, 0x11):
        run(host, 0x50)
        run(host, opcode, data=b"\x60")
    assert [run(host, opcode, wanted=1)[0] for opcode in (0x05, 0x35, 0x15)] == [0xFC, 0x40, 0x60]
    host.ask(0x02, 0, 0, 1024, 0)  # unlocks
    assert run(host, 0x05, wanted=1) == b"\x00"


def test_write_disable(host: Host) -> None:
    for opcode in (0x04, 0x99):
        run(host, 0x06)
        run(host, opcode)
        assert run(host, 0x05, wanted=1) == b"\x00"


def test_page_program_stays_in_its_page(host: Host, path: Path) -> None:
    run(host, 0x02, address=0x10F8, data=b"not enabled!")
    assert path.read_bytes()[0x10F8:0x1108] == ERASED
    run(host, 0x06)
    run(host, 0x02, address=0x10F8, data=b"0123456789abcdef")
    assert path.read_bytes()[0x10F8:0x1100] == b"01234567"
    assert path.read_bytes()[0x1000:0x1008] == b"89abcdef"
    assert path.read_bytes()[0x1100:0x1110] == ERASED
    assert run(host, 0x03, address=0x10F9, wanted=7) == b"1234567"
    assert run(host, 0x05, wanted=1) == b"\x00"  # enabled for one command only


@pytest.mark.parametrize(
    ("opcode", "first", "size"),
    [(0x20, 0x9000, 0x1000), (0x52, 0x8000, 0x8000), (0xD8, 0, 0x10000), (0xC7, 0, MIB)],
)
def test_erases(path: Path, opcode: int, first: int, size: int) -> None:
    path.write_bytes(bytes(MIB))
    with open_host(path) as host:
        host.ask(0x02, 0, 0, 1024, 0)
        run(host, opcode, address=0x9ABC)
        assert path.read_bytes() == bytes(MIB)
        run(host, 0x06)
        run(host, opcode, address=0x9ABC)
    contents = path.read_bytes()
    assert contents.count(0xFF) == size
    assert contents[first : first + size] == b"\xff" * size


def test_erase_without_an_address_is_none(path: Path) -> None:
    path.write_bytes(bytes(MIB))
    with open_host(path) as host:
        host.ask(0x02, 0, 0, 1024, 0)
        run(host, 0x06)
        run(host, 0x20)
    assert path.read_bytes() == bytes(MIB)


def test_power_down(host: Host) -> None:
    run(host, 0xB9)
    assert run(host, 0x9F, wanted=3) == b"\xff\xff\xff"
    run(host, 0xAB)
    assert run(host, 0x9F, wanted=3) == b"\xef\x40\x14"


def test_unknown_command_reads_ones(host: Host) -> None:
    assert run(host, 0x77, wanted=2) == b"\xff\xff"


def test_registers_keep_what_was_written(host: Host) -> None:
    for register in (ADDR, USER, USER1, USER2, W0, W0 + 60):
        set_register(host, register, register * 3 & 0xFFFFFFFF)
        assert host.ask(0x0A, register).value == register * 3 & 0xFFFFFFFF
