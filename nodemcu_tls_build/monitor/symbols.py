"""Find the source behind an address: the debug information of a build's firmware.elf."""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError
from elftools.construct import ConstructError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.image import find_build_id
from nodemcu_tls_build.memmap import IROM
from nodemcu_tls_build.monitor.debug_lines import DebugUnit, Location

_TYPES = {"STT_FUNC", "STT_NOTYPE", "STT_OBJECT"}  # assembly has labels only
CALL_SIZE = 3  # call0 and callx0 have no short form
_RANGES_HEADER = struct.Struct("<IHIBB")  # length, version, unit, sizes of address, segment
_LOWEST = 0x40000000  # no code is below it
_BUILD_ID_SIZE = 36  # as a note of the linker
# What damaged debug information does to the one who reads it.
_UNREADABLE = (
    *(ELFError, DWARFError, ConstructError, LookupError, ValueError),
    *(AttributeError, TypeError, AssertionError, OverflowError, RecursionError),
)


@dataclass(frozen=True)
class _Section:
    address: int
    data: bytes
    is_code: bool

    @property
    def end(self) -> int:
        return self.address + len(self.data)


@dataclass(frozen=True)
class _Symbol:
    address: int
    size: int
    name: str
    is_data: bool


class Symbols:
    """What firmware.elf knows of addresses; its debug information is read as far as needed."""

    def __init__(self, elf_path: Path) -> None:
        """Read the file, which may change afterwards; raise ImageError when it is no ELF file."""
        self.path = elf_path
        try:
            self._elf = ELFFile(io.BytesIO(elf_path.read_bytes()))
            self._sections = _read_sections(self._elf)
        except OSError as error:
            raise ImageError(f"cannot read {elf_path}: {error.strerror}") from error
        except _UNREADABLE as error:
            raise ImageError(
                f"{elf_path} is not a whole ELF file: {error}", "Run `nodemcu-tls build` again."
            ) from error
        self._units: dict[int, DebugUnit] = {}

    @cached_property
    def build_id(self) -> str | None:
        """Return the id that the firmware carries, 40 hex digits."""
        return find_build_id(self.read(IROM.start, _BUILD_ID_SIZE) or b"")

    def is_code(self, address: int) -> bool:
        """Tell whether an instruction of the firmware can be at the address."""
        return any(s.is_code and s.address <= address < s.end for s in self._sections)

    def read(self, address: int, length: int) -> bytes | None:
        """Return what the firmware has in memory there when it starts."""
        for section in self._sections:
            if section.address <= address and address + length <= section.end:
                start = address - section.address
                return section.data[start : start + length]
        return None

    def follows_call(self, address: int) -> bool:
        """Tell whether a call instruction ends right before the address: it may be returned to."""
        call = self.read(address - CALL_SIZE, CALL_SIZE)
        if call is None or not self.is_code(address - 1):
            return False
        return call[0] & 0x3F == 0x05 or (call[0] == 0xC0 and call[1] < 0x10 and call[2] == 0)

    def lookup(self, address: int) -> Location | None:
        """Return the innermost function at the address, inlined ones included, and its line."""
        frames = self.lookup_frames(address)
        return frames[0] if frames else None

    def lookup_frames(self, address: int) -> Sequence[Location]:
        """Return the inlined calls at the address, innermost first, then the function itself."""
        symbol = self.find_symbol(address)
        name = symbol.name if symbol else None
        try:
            unit = self._find_unit(address)
            frames = unit.find_frames(address, name) if unit else []
        except _UNREADABLE:
            frames = []
        return frames or ([Location(name)] if name else [])

    def find_symbol(self, address: int) -> _Symbol | None:
        """Return the function or label that the address is in, by the symbol table."""
        index = bisect_right(self._symbols, address, key=lambda symbol: symbol.address) - 1
        if index < 0 or not self.is_code(address):
            return None
        symbol = self._symbols[index]
        is_inside = not symbol.size or address < symbol.address + symbol.size
        return symbol if is_inside and not symbol.is_data else None

    @cached_property
    def call_frames(self) -> Sequence[Any]:
        """Return the entries that say how each function keeps its caller's registers."""
        try:
            dwarf = self._dwarf
            return list(dwarf.CFI_entries()) if dwarf and dwarf.has_CFI() else []
        except _UNREADABLE:
            return []

    @cached_property
    def _dwarf(self) -> Any | None:
        if not self._elf.has_dwarf_info():
            return None
        return self._elf.get_dwarf_info(relocate_dwarf_sections=False)

    @cached_property
    def _symbols(self) -> list[_Symbol]:
        """Return the names in the code's sections by address; of two at one, that with a size."""
        table: Any = self._elf.get_section_by_name(".symtab")
        symbols: dict[int, _Symbol] = {}
        try:
            for entry in table.iter_symbols() if table else ():
                address, size = entry["st_value"], entry["st_size"]
                kind = entry["st_info"]["type"]
                if kind not in _TYPES or not self.is_code(address):
                    continue
                if address not in symbols or size > symbols[address].size:
                    symbols[address] = _Symbol(address, size, entry.name, kind == "STT_OBJECT")
        except _UNREADABLE:
            pass  # those before the damage are right
        return [symbols[address] for address in sorted(symbols)]

    @cached_property
    def _ranges(self) -> list[tuple[int, int, int]]:
        """Return start, end and the offset of the unit of everything that was compiled."""
        section = self._elf.get_section_by_name(".debug_aranges")
        ranges = _read_ranges(section.data()) if section else []
        return sorted(entry for entry in ranges if entry[0] >= _LOWEST)  # the linker kept it

    def _find_unit(self, address: int) -> DebugUnit | None:
        index = bisect_right(self._ranges, address, key=lambda entry: entry[0]) - 1
        if index < 0 or address >= self._ranges[index][1] or self._dwarf is None:
            return None
        offset = self._ranges[index][2]
        if offset not in self._units:
            unit = self._dwarf.get_CU_at(offset)
            self._units[offset] = DebugUnit(self._dwarf, unit, _LOWEST)
        return self._units[offset]


def _read_sections(elf: ELFFile) -> list[_Section]:
    return [
        _Section(
            section["sh_addr"],
            section.data(),
            bool(section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR),
        )
        for section in elf.iter_sections()
        if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_type"] != "SHT_NOBITS"
    ]


def _read_ranges(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and unit of each entry of .debug_aranges (DWARF 5, section 6.1.2).

    What the linker left out is all zero in it, as the mark of a table's end is.
    """
    start = 0
    while start + _RANGES_HEADER.size <= len(data):
        length, _, unit, _, _ = _RANGES_HEADER.unpack_from(data, start)
        end = min(start + 4 + length, len(data) - 7)
        for offset in range(start + 16, end, 8):
            address, size = struct.unpack_from("<II", data, offset)
            yield address, address + size, unit
        start += 4 + length
