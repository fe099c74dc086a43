"""The store of credentials, run natively: power cuts at every byte, wear, readers, bad flash."""

from __future__ import annotations

import random
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from native_build import compile_native

from nodemcu_tls_build.certs.store import read_credentials
from nodemcu_tls_build.memmap import KIB, SECTOR, find_credentials

STORE = ("app/tls/tls_store.c", "app/tls/tls_record.c", "tests/native/host_flash.c")
SIZE = 64 * KIB  # of the flash in the C programs
LIMIT = 300

CHECKS = (
    *("nothing-stored", "stored-sets", "wear", "sizes"),
    *("readers", "records", "stuck-erase", "stuck-write", "damage"),
)
STATES = ("empty", "one", "two", "first-corrupt", "second-corrupt", "both-corrupt")
ORDERS = ("forward", "backward", "scattered")

CERTIFICATE = b"\x01\x00\x05\x00first"
KEY = b"\x02\x00\x03\x00key"


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("store") / "tls_store_check"
    return compile_native(program, [*STORE, "tests/native/tls_store_check.c"])


@pytest.fixture(scope="module")
def cutter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("cut") / "tls_store_cut"
    return compile_native(program, [*STORE, "tests/native/tls_store_cut.c"])


def run(program: Path, *args: str, data: bytes = b"") -> bytes:
    result = subprocess.run(
        [program, *args], check=False, input=data, capture_output=True, timeout=LIMIT
    )
    assert (result.returncode, result.stderr.decode()) == (0, "")
    return result.stdout


@pytest.mark.parametrize("name", CHECKS)
def test_on_one_flash(checker: Path, name: str) -> None:
    run(checker, name)


def count_bytes(length: int) -> int:
    """Return how many bytes a change erases and writes: whole words of records, a header."""
    return SECTOR + (length + 3) // 4 * 4 + 32


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("state", STATES)
def test_power_cut_at_every_byte(cutter: Path, state: str, order: str) -> None:
    left_old, left_new = map(int, run(cutter, state, order, "61").split())
    assert left_old + left_new == count_bytes(61)
    assert left_new <= 1  # the last byte is what commits


def test_power_cut_at_every_byte_of_a_full_sector(cutter: Path) -> None:
    left_old, left_new = map(int, run(cutter, "two", "forward", "4056").split())
    assert left_old + left_new == count_bytes(4056)


def make_sector(set_number: int, sequence: int, records: bytes, **changes: int) -> bytes:
    """Make a sector as the README describes it, or one with other values in its header."""
    fields = {"magic": int.from_bytes(b"NTLS", "little"), "version": 1, "set": set_number}
    fields |= {"sequence": sequence, "length": len(records)}
    fields |= {name: value for name, value in changes.items() if name in fields}
    begin = struct.pack("<IBBHII", *list(fields.values())[:3], 0xFFFF, *list(fields.values())[3:])
    crc = changes.get("crc", zlib.crc32(begin + records))
    commit = changes.get("commit", int.from_bytes(b"DONE", "little"))
    header = begin + struct.pack("<I", crc) + b"\xff" * 8 + struct.pack("<I", commit)
    return (header + records).ljust(SECTOR, b"\xff")


def make_flash(*sectors: bytes, size: int = SIZE) -> bytes:
    """Make a flash with these sectors of credentials, all others erased."""
    return (b"\xff" * find_credentials(size) + b"".join(sectors)).ljust(size, b"\xff")


def show(checker: Path, flash: bytes, name: str = "ca") -> bytes | None:
    """Return the set that the firmware finds in a flash, and see that Python's reader agrees."""
    text = run(checker, "show", name, data=flash).decode().strip()
    found = None if text == "none" else bytes.fromhex(text)
    assert find_stored(flash, name) == found
    return found


def find_stored(flash: bytes, name: str) -> bytes | None:
    """Return the set that Python's reader finds in a flash."""
    number = ("ca", "client").index(name)
    start = find_credentials(len(flash))
    found = read_credentials(flash[start : start + 4 * SECTOR])[number]
    if not found.stored or found.current is None:
        return None
    at = start + (2 * number + found.current) * SECTOR
    (length,) = struct.unpack_from("<I", flash, at + 12)
    return flash[at + 32 : at + 32 + length]


def test_writes_what_the_readme_describes(checker: Path) -> None:
    erased, records = b"\xff" * SECTOR, CERTIFICATE + KEY
    flash = run(checker, "put", "client", data=records)
    assert flash == make_flash(erased, erased, make_sector(1, 1, records))
    flash = run(checker, "put", "ca", data=CERTIFICATE)
    assert flash == make_flash(make_sector(0, 1, CERTIFICATE))


@pytest.mark.parametrize("size", [512 * KIB, 1024 * KIB])
def test_reads_what_the_readme_describes(checker: Path, size: int) -> None:
    sectors = [make_sector(0, 7, CERTIFICATE), make_sector(0, 6, CERTIFICATE * 2)]
    sectors += [make_sector(1, 1, KEY), make_sector(1, 2, CERTIFICATE + KEY)]
    flash = make_flash(*sectors, size=size)
    assert show(checker, flash) == CERTIFICATE
    assert show(checker, flash, "client") == CERTIFICATE + KEY


@pytest.mark.parametrize(
    ("first", "second", "newest"),
    [
        (1, 2, 1),
        (2, 1, 0),
        (0xFFFFFFFF, 0, 1),
        (0, 0xFFFFFFFF, 0),
        (0x80000005, 0x7FFFFFFF, 0),
        (0x7FFFFFFF, 0x80000005, 1),
        (3, 3, 0),
    ],
)
def test_the_later_sequence_number_counts(
    checker: Path, first: int, second: int, newest: int
) -> None:
    sets = [CERTIFICATE, CERTIFICATE + KEY]
    flash = make_flash(make_sector(0, first, sets[0]), make_sector(0, second, sets[1]))
    assert show(checker, flash) == sets[newest]


@pytest.mark.parametrize(
    "changes",
    [
        {"magic": 0x534C544F},
        {"version": 2},
        {"set": 1},
        {"length": 4065},
        {"length": 0xFFFFFFFF},
        {"length": len(CERTIFICATE) - 1},
        {"crc": 0},
        {"commit": 0xFFFFFFFF},
        {"commit": 0},
    ],
    ids=str,
)
def test_a_sector_with_a_wrong_header_is_none(checker: Path, changes: dict[str, int]) -> None:
    wrong = make_sector(0, 9, CERTIFICATE, **changes)
    assert show(checker, make_flash(wrong)) is None
    assert show(checker, make_flash(wrong, make_sector(0, 1, KEY))) == KEY


@pytest.mark.parametrize(
    "records",
    [
        b"\x01",
        b"\x01\x00\x00\x00",
        b"\x00\x00\x01\x00x",
        b"\x03\x00\x01\x00x",
        b"\x01\x01\x01\x00x",
        b"\x01\x00\x02\x00x",
        b"\x01\x00\xff\xffx",
        CERTIFICATE + b"\x00",
        CERTIFICATE + b"\xff\xff\xff\xff",
    ],
    ids=bytes.hex,
)
def test_records_of_wrong_structure_are_none(checker: Path, records: bytes) -> None:
    wrong = make_sector(0, 9, records)
    assert show(checker, make_flash(wrong)) is None
    assert show(checker, make_flash(make_sector(0, 1, KEY), wrong)) == KEY


def test_bytes_that_changed(checker: Path) -> None:
    source = random.Random(2)  # noqa: S311 -- the same in every run
    sets = [CERTIFICATE, CERTIFICATE + KEY]
    whole = make_flash(make_sector(0, 1, sets[0]), make_sector(0, 2, sets[1]))
    start = find_credentials(SIZE)
    shown = []
    for _ in range(100):
        flash = bytearray(whole)
        for copy in range(2):  # in the header, mostly, and in the records
            flash[start + copy * SECTOR + source.randrange(50)] ^= 1 << source.randrange(8)
        shown.append(show(checker, bytes(flash)))
    assert {*shown} == {None, *sets}


def test_nothing_is_stored(checker: Path) -> None:
    assert show(checker, make_flash(make_sector(0, 2, b""), make_sector(0, 1, KEY))) is None
    source = random.Random(1)  # noqa: S311 -- the same in every run
    assert show(checker, make_flash(*(source.randbytes(SECTOR) for _ in range(4)))) is None
