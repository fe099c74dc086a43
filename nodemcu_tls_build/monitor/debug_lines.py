"""Read from DWARF which file, line and function an address belongs to, a unit at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from elftools.dwarf.ranges import RangeEntry

_SCOPES = {"DW_TAG_subprogram", "DW_TAG_inlined_subroutine", "DW_TAG_lexical_block"}
_ORIGINS = ("DW_AT_abstract_origin", "DW_AT_specification")


@dataclass(frozen=True)
class Location:
    """A place in the source; `file` and `line` are None where there is no line information."""

    function: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        if self.file is None:
            return self.function
        return f"{self.function} at {self.file}{f':{self.line}' if self.line else ''}"


@dataclass(frozen=True)
class _Row:
    address: int
    file: str
    line: int


@dataclass(frozen=True)
class _Sequence:
    """Rows of ascending addresses without a gap between them, and where the last one ends."""

    rows: list[_Row]
    end: int

    def find(self, address: int) -> _Row | None:
        if not self.rows[0].address <= address < self.end:
            return None
        return self.rows[bisect_right(self.rows, address, key=lambda row: row.address) - 1]


@dataclass(frozen=True)
class _Scope:
    """A function, a call that was inlined, or a block in them (which has no name)."""

    name: str | None
    ranges: list[tuple[int, int]]
    call_file: str | None
    call_line: int | None
    inner: list[_Scope] = field(default_factory=list)

    def covers(self, address: int) -> bool:
        return any(start <= address < end for start, end in self.ranges)


class DebugUnit:
    """A compilation unit; what it says is read when it is first asked for."""

    def __init__(self, dwarf: Any, unit: Any, lowest: int) -> None:
        self._dwarf = dwarf
        self._unit = unit
        self._lowest = lowest  # below it lies what the linker left out

    def find_frames(self, address: int, outermost: str | None) -> list[Location]:
        """Return the inlined calls around the address, innermost first, then its function.

        `outermost` is its name where the unit knows no functions: assembly. Empty when unknown.
        """
        row = next(filter(None, (sequence.find(address) for sequence in self._sequences)), None)
        file, line = (row.file, row.line) if row else (None, None)
        frames = []
        for scope in reversed(self._find_scopes(address)):
            frames.append(Location(scope.name or "??", file, line))
            file, line = scope.call_file, scope.call_line
        if not frames and outermost:
            frames.append(Location(outermost, file, line))
        return frames

    @cached_property
    def _line_program(self) -> Any:
        return self._dwarf.line_program_for_CU(self._unit)

    @cached_property
    def _files(self) -> list[str]:
        """Return the names as the unit numbers them."""
        header = self._line_program.header
        version = header.version
        directories = [_decode(name) for name in header.include_directory]
        if version < 5:  # there the numbers start at 1, and 0 is the working directory
            directories.insert(0, "")
        files = [] if version >= 5 else ["??"]
        for entry in header.file_entry:
            directory = directories[entry.dir_index] if entry.dir_index else ""
            files.append(str(PurePosixPath(directory) / _decode(entry.name)))
        return files

    @cached_property
    def _sequences(self) -> list[_Sequence]:
        sequences = []
        rows: list[_Row] = []
        for entry in self._line_program.get_entries() if self._line_program else ():
            state = entry.state
            if state is None:
                continue
            if state.end_sequence:
                if rows and rows[0].address >= self._lowest:
                    sequences.append(_Sequence(rows, state.address))
                rows = []
            else:
                rows.append(_Row(state.address, self._name_file(state.file), state.line))
        return sequences

    @cached_property
    def _functions(self) -> list[_Scope]:
        return list(self._read_scopes(self._unit.get_top_DIE()))

    def _name_file(self, number: int) -> str:
        return self._files[number] if number < len(self._files) else "??"

    def _find_scopes(self, address: int) -> list[_Scope]:
        """Return the function and the inlined calls that the address is in, outermost first."""
        found: list[_Scope] = []
        scopes = self._functions
        while scope := next((scope for scope in scopes if scope.covers(address)), None):
            if scope.name is not None:
                found.append(scope)
            scopes = scope.inner
        return found

    def _read_scopes(self, parent: Any) -> Iterator[_Scope]:
        for die in parent.iter_children():
            ranges = self._read_ranges(die) if die.tag in _SCOPES else []
            if not ranges or ranges[0][0] < self._lowest:
                continue
            call_file = die.attributes.get("DW_AT_call_file")
            call_line = die.attributes.get("DW_AT_call_line")
            yield _Scope(
                None if die.tag == "DW_TAG_lexical_block" else _find_name(die),
                ranges,
                self._name_file(call_file.value) if call_file else None,
                call_line.value if call_line else None,
                list(self._read_scopes(die)) if die.has_children else [],
            )

    def _read_ranges(self, die: Any) -> list[tuple[int, int]]:
        if "DW_AT_ranges" in die.attributes:
            return self._read_range_list(die.attributes["DW_AT_ranges"].value)
        if "DW_AT_high_pc" not in die.attributes:
            return []
        start, high = die.attributes["DW_AT_low_pc"].value, die.attributes["DW_AT_high_pc"]
        return [(start, high.value if high.form == "DW_FORM_addr" else start + high.value)]

    def _read_range_list(self, offset: int) -> list[tuple[int, int]]:
        low_pc = self._unit.get_top_DIE().attributes.get("DW_AT_low_pc")
        base = low_pc.value if low_pc else 0
        ranges = []
        for entry in self._dwarf.range_lists().get_range_list_at_offset(offset, self._unit):
            if not isinstance(entry, RangeEntry):
                base = entry.base_address
            elif entry.begin_offset < entry.end_offset:
                start = 0 if entry.is_absolute else base
                ranges.append((start + entry.begin_offset, start + entry.end_offset))
        return ranges


def _find_name(die: Any) -> str:
    while "DW_AT_name" not in die.attributes:
        origin = next((name for name in _ORIGINS if name in die.attributes), None)
        if origin is None:
            return "??"
        die = die.get_DIE_from_attribute(origin)
    return _decode(die.attributes["DW_AT_name"].value)


def _decode(name: bytes | str) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name
