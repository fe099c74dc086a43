"""Say in words and places of the source what a crash dump or an address means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.monitor.call_chain import Frame, find_call_chain
from nodemcu_tls_build.monitor.causes import explain_exception, explain_panic, find_cause
from nodemcu_tls_build.monitor.crash import Crash
from nodemcu_tls_build.monitor.debug_lines import Location
from nodemcu_tls_build.monitor.symbols import Symbols

Style = Literal["title", "plain", "dim"]
_ADDRESS = re.compile(r"\b(?:0x|alloc call: )(40[0-9a-f]{6})\b", re.IGNORECASE)
_MOST_NOTES = 4  # of one line
_ROM_START, _ROM_END = 0x40000000, 0x40100000


class Note(NamedTuple):
    """A line that the device did not say."""

    text: str
    style: Style = "plain"


class Decoder:
    """Decodes with the firmware.elf of a build, as it is when something is to be decoded."""

    def __init__(self, build_dir: Path) -> None:
        self.elf_path = build_dir / "firmware.elf"
        self.running_id: str | None = None  # of the firmware that said hello last
        self._symbols: Symbols | None = None
        self._version: tuple[int, ...] = ()

    def load(self) -> Symbols:
        """Return the symbols, read again when the file is a new one; raise ImageError."""
        try:
            status = self.elf_path.stat()
        except OSError as error:
            raise ImageError(
                f"cannot read {self.elf_path}: {error.strerror}",
                "Name the build that is on the device with --build DIR.",
            ) from error
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        if self._symbols is None or version != self._version:
            self._symbols, self._version = Symbols(self.elf_path), version
        return self._symbols

    def explain_line(self, line: str) -> list[Note]:
        """Return a note for each address of code in the line, when the build is the right one."""
        addresses = dict.fromkeys(int(match, 16) for match in _ADDRESS.findall(line))
        if not addresses:
            return []
        try:
            symbols = self.load()
        except ImageError:
            return []
        if self.running_id not in {None, symbols.build_id}:
            return []
        found = [(address, symbols.lookup(address)) for address in addresses]
        notes = [Note(f"{address:#010x}: {where}", "dim") for address, where in found if where]
        return notes[:_MOST_NOTES]

    def explain_crash(self, crash: Crash) -> list[Note]:
        """Return the report of a crash, as far as the build at hand can explain it."""
        problem = None
        symbols = None
        try:
            symbols = self.load()
            problem = self._find_mismatch(crash, symbols)
        except ImageError as error:
            problem = f"Not decoded: {error.message}. {error.hint or ''}".strip()
        if problem:
            symbols = None
        return list(_render(crash, symbols, problem))

    def explain_banner(self, build_id: str) -> list[Note]:
        """Remember which build runs; return a note when it is not the one at hand."""
        is_new, self.running_id = build_id != self.running_id, build_id
        try:
            known = self.load().build_id
        except ImageError:
            return []
        if not is_new or known in {None, build_id}:
            return []
        text = f"The device runs build {build_id}, {self.elf_path} is {known}: nothing is decoded."
        return [Note(text), Note("Name the build that is on the device with --build DIR.", "dim")]

    def _find_mismatch(self, crash: Crash, symbols: Symbols) -> str | None:
        meant = crash.build_id or self.running_id
        if meant is None or meant == symbols.build_id:
            return None
        return (
            f"Not decoded: the device runs build {meant}, {self.elf_path} is "
            f"{symbols.build_id or 'without a build id'}. Name the right one with --build DIR."
        )


def _render(crash: Crash, symbols: Symbols | None, problem: str | None) -> Iterator[Note]:
    pc = crash.pc
    yield Note(_name(crash), "title")
    if crash.cause is not None:
        places = symbols.lookup_frames(pc) if symbols and pc is not None else ()
        functions = [place.function for place in places]
        address = crash.registers.get("excvaddr")
        yield Note(explain_exception(crash.cause, address=address, functions=functions))
    elif crash.reason:
        yield Note(explain_panic(crash.reason, is_far_from_end=crash.was_far_from_stack_end))
    if pc is not None and not (symbols and symbols.is_code(pc)):
        yield Note(f"at   {pc:#010x}{_describe_place(pc) if symbols else ''}")
    if symbols:
        chain = find_call_chain(symbols, pc or 0, crash.numbered, crash.stack)
        yield from _render_chain(symbols, chain, pc)
        if crash.build_id is None:
            yield Note(f"The dump does not say of which build it is: read with {symbols.path}.")
    if problem:
        yield Note(problem)
    if crash.failed_allocation:
        address, length = crash.failed_allocation
        where = f" {symbols.lookup(address) or '??'}" if symbols else ""
        yield Note(f"The last allocation to fail: {length} bytes, at {address:#010x}{where}")
    if crash.second is not None:
        where = f" {symbols.lookup(crash.second) or '??'}" if symbols else ""
        yield Note(f"The report ends there: it crashed itself, at {crash.second:#010x}{where}")
    if crash.damaged:
        yield Note(f"Lines of the dump that are damaged: {crash.damaged}.")
    if crash.is_cut:
        yield Note("The dump is cut off: the end of the stack is missing.")


def _name(crash: Crash) -> str:
    if crash.cause is not None:
        return f"Crash: exception {crash.cause}, {find_cause(crash.cause).name}"
    return f"Crash: {crash.reason}" if crash.reason else "Crash"


def _describe_place(pc: int) -> str:
    return " in the chip's ROM" if _ROM_START <= pc < _ROM_END else ", where no code is"


def _render_chain(symbols: Symbols, chain: Sequence[Frame], pc: int | None) -> Iterator[Note]:
    """Yield the frames, equal ones in a row (a recursion) once."""
    is_guessing = False
    for frame, group in groupby(chain):
        if frame.is_guess and not is_guessing:
            is_guessing = True
            yield Note("Guessed from the stack; there may be old return addresses among these:")
        word = "at   " if frame == Frame(pc or 0) else "from "
        count = len(list(group))
        times = f" ({count} times)" if count > 1 else ""
        for place in symbols.lookup_frames(frame.address) or [Location("??")]:
            yield Note(f"{word}{frame.address:#010x} {place}{times}")
            word, times = "  in ", ""  # what it was inlined into
