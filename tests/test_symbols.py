"""Addresses to functions, files and lines: the same as binutils finds, and no guess elsewhere."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from synthetic_elf import Section, make_elf

from nodemcu_tls_build.build_output import load_build_output
from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.memmap import IRAM, IROM
from nodemcu_tls_build.monitor.symbols import Symbols
from nodemcu_tls_build.toolchain import find_compiler

CALL0 = bytes.fromhex("452a00")
CALLX0 = bytes.fromhex("c00400")


@pytest.fixture(scope="module")
def elf_path(firmware: Path) -> Path:
    return firmware / "firmware.elf"


@pytest.fixture(scope="module")
def symbols(elf_path: Path) -> Symbols:
    return Symbols(elf_path)


def list_symbols(elf_path: Path, kind: str) -> list[tuple[int, int, str]]:
    """Return start, size and name of every symbol of a kind, by binutils."""
    table = run_tool("readelf", "-sW", str(elf_path))
    rows = re.findall(rf"([0-9a-f]{{8}}) +([1-9]\d*) {kind} .* (\S+)\n", table)
    return [(int(start, 16), int(size), name) for start, size, name in rows]


def list_functions(elf_path: Path) -> list[tuple[int, int, str]]:
    return list_symbols(elf_path, "FUNC")


def run_tool(name: str, *args: str, text: str = "") -> str:
    command = [f"{find_compiler().prefix}{name}", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, input=text).stdout


def test_same_as_addr2line(elf_path: Path, symbols: Symbols) -> None:
    functions = list_functions(elf_path)
    choose = random.Random(1)  # noqa: S311 -- the same addresses each time
    chosen = [choose.choice(functions) for _ in range(400)]
    addresses = [start + choose.randrange(size) for start, size, _ in chosen]
    addresses += [start for start, _, _ in functions if IRAM.covers(start)]
    told = run_tool(
        *("addr2line", "-f", "-e", str(elf_path)), text="".join(f"{a:#x}\n" for a in addresses)
    ).splitlines()
    files_differ = unknown = 0
    for address, name, place in zip(addresses, told[::2], told[1::2], strict=True):
        found = symbols.lookup(address)
        assert found is not None, hex(address)
        if place.endswith(":?"):  # of the compiler's library, built without debug information
            unknown += 1
            assert (found.function, found.file, found.line) == (name, None, None)
            continue
        file, _, line = re.sub(r" \(discriminator.*", "", place).rpartition(":")
        assert (found.function, str(found.line)) == (name, line), f"{address:#x} {place}"
        assert found.file is not None
        files_differ += not file.endswith(found.file.split("../")[-1])
    # For inlined functions of a header, binutils 2.40 sometimes names the .c file around them.
    assert unknown <= len(addresses) * 0.05
    assert files_differ <= len(addresses) * 0.02


def test_inlined_calls(elf_path: Path, symbols: Symbols) -> None:
    deepest = max(
        (symbols.lookup_frames(start + size // 2) for start, size, _ in list_functions(elf_path)),
        key=len,
    )
    assert len(deepest) >= 3
    start, size, _ = next(f for f in list_functions(elf_path) if f[2] == deepest[-1].function)
    inside = "".join(f"{address:#x}\n" for address in range(start, start + size))
    told = run_tool("addr2line", "-afi", "-e", str(elf_path), text=inside)
    chains = re.findall(r"0x([0-9a-f]+)\n((?:[^0].*\n.*\n)+)", told)
    assert len(chains) == size
    for address, chain in chains:
        names = [frame.function for frame in symbols.lookup_frames(int(address, 16))]
        assert names == chain.splitlines()[::2], address
    assert max(len(chain.splitlines()) for _, chain in chains) >= 6


def test_assembly_has_names_and_lines(symbols: Symbols, elf_path: Path) -> None:
    start = next(
        int(line.split()[0], 16)
        for line in run_tool("nm", str(elf_path)).splitlines()
        if line.endswith(" firmware_start")
    )
    found = symbols.lookup(start)
    assert found is not None
    assert (found.function, found.file) == ("firmware_start", "app/runtime/start.S")


def test_what_is_no_code(symbols: Symbols) -> None:
    for address in (0, 0x3FFE8000, 0x40000080, 0x40200000, IROM.end - 4, 0x60000000, 0xFFFFFFFF):
        assert not symbols.is_code(address)
        assert symbols.lookup(address) is None
        assert not symbols.follows_call(address)


def test_constants_between_the_code(symbols: Symbols, elf_path: Path) -> None:
    objects = list_symbols(elf_path, "OBJECT")
    constants = [start for start, _, _ in objects if IROM.covers(start)]
    assert len(constants) > 50
    assert {symbols.lookup(address) for address in constants} == {None}


def test_build_id(firmware: Path, symbols: Symbols) -> None:
    assert symbols.build_id == load_build_output(firmware).build_id


def test_return_addresses(tmp_path: Path) -> None:
    path = tmp_path / "firmware.elf"
    code = b"\0\0\0" + CALL0 + CALLX0 + b"\xa0\0\0" + b"\xc0\x04\x01"  # and jx, and another op
    path.write_bytes(make_elf([Section(".text", IRAM.start, code)]))
    symbols = Symbols(path)
    after = [address for address in range(IRAM.start, IRAM.end) if symbols.follows_call(address)]
    assert after == [IRAM.start + 6, IRAM.start + 9]
    assert symbols.build_id is None
    assert symbols.lookup(IRAM.start) is None


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot read .*: No such file"):
        Symbols(tmp_path / "firmware.elf")
    for data in (b"", b"\x7fELF", b"no ELF file at all"):
        (tmp_path / "firmware.elf").write_bytes(data)
        with pytest.raises(ImageError, match="is not a whole ELF file") as caught:
            Symbols(tmp_path / "firmware.elf")
        assert caught.value.hint


def test_damaged_files_are_no_crash(elf_path: Path, tmp_path: Path) -> None:
    """Whatever is wrong with it, an address is found or not, and the file is taken or refused."""
    data, choose = elf_path.read_bytes(), random.Random(2)  # noqa: S311 -- the same each time
    address = next(start for start, _, name in list_functions(elf_path) if name == "main")
    path = Path(shutil.copy(elf_path, tmp_path))
    outcomes = set()
    for _ in range(25):
        damaged = bytearray(data)
        for _ in range(3000):
            damaged[choose.randrange(len(data))] = choose.randrange(256)
        path.write_bytes(damaged[: choose.choice((len(data), choose.randrange(len(data))))])
        try:
            symbols = Symbols(path)
        except ImageError:
            outcomes.add("refused")
        else:
            found = symbols.lookup(address)
            outcomes.add(found.function if found else "unknown")
            list(symbols.call_frames)
    assert "refused" in outcomes
    assert len(outcomes) > 1
