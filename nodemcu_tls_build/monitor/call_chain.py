"""Find who called whom when a firmware crashed: by its debug information, then by guessing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elftools.dwarf.callframe import FDE

from nodemcu_tls_build.monitor.symbols import Symbols

_MAX_FRAMES = 48
_RETURN, _STACK = 0, 1  # registers a0 and a1
_REGISTERS = 16


@dataclass(frozen=True)
class Frame:
    """A place in the code; `address` is in the instruction that ran, or in the call.

    A guessed one is a word on the stack that may also be left over from an earlier call.
    """

    address: int
    is_guess: bool = False


def find_call_chain(
    symbols: Symbols,
    pc: int,
    registers: Mapping[int, int],
    stack: Mapping[int, int],
    *,
    returns_to_pc: bool,
) -> list[Frame]:
    """Return the frames from the innermost on.

    `registers` are those by number that the dump has, `stack` the words by address. With
    `returns_to_pc` the code at `pc` waits for a call to return (a panic). Where the debug
    information ends, or the stack does not fit it, what looks like a return address is a guess.
    """
    frames = []
    if symbols.is_code(pc):
        frames.append(Frame(pc - returns_to_pc))
    callers, unread, is_whole = _unwind(symbols, pc, dict(registers), stack, returns_to_pc)
    frames += [Frame(address - 1) for address in callers]
    if not is_whole:
        seen = {frame.address for frame in frames}
        frames += _guess(symbols, stack, unread, seen)
    return frames[:_MAX_FRAMES]


def _unwind(
    symbols: Symbols,
    pc: int,
    registers: dict[int, int],
    stack: Mapping[int, int],
    returns_to_pc: bool,
) -> tuple[list[int], int, bool]:
    """Follow the saved return addresses.

    Returns them, the address of the first word on the stack that belongs to none of their
    functions, and whether the outermost function was reached.
    """
    found: list[int] = []
    bottom = registers.get(_STACK, 0)
    if bottom == 0 or _RETURN not in registers:
        return found, bottom, False
    if not symbols.is_code(pc):  # it jumped astray: a0 says from where
        if not symbols.follows_call(registers[_RETURN]):
            return found, bottom, False
        pc = registers[_RETURN]
        found.append(pc)
        returns_to_pc = True
    while len(found) < _MAX_FRAMES:
        caller = _leave_function(symbols, pc - returns_to_pc, registers, stack)
        if caller is None or caller[_STACK] < registers[_STACK]:
            return found, registers[_STACK], False
        is_same = caller[_RETURN] == pc and caller[_STACK] == registers[_STACK]
        pc, registers = caller[_RETURN], caller
        if pc == 0:  # the start-up code calls main with that
            return found, registers[_STACK], True
        if is_same or not symbols.follows_call(pc):
            return found, registers[_STACK], False
        found.append(pc)
        returns_to_pc = True
    return found, registers[_STACK], True


def _leave_function(
    symbols: Symbols, address: int, registers: dict[int, int], stack: Mapping[int, int]
) -> dict[int, int] | None:
    """Return the registers as the caller of the function at `address` has them."""
    row = _find_row(symbols, address)
    if row is None or row["cfa"].reg not in registers:
        return None
    frame = registers[row["cfa"].reg] + row["cfa"].offset
    caller = dict(registers)
    for number in range(_REGISTERS):
        rule = row.get(number)
        if rule is None:
            continue
        if rule.type != "OFFSET" or frame + rule.arg not in stack:
            caller.pop(number, None)
        else:
            caller[number] = stack[frame + rule.arg]
    caller[_STACK] = frame
    return caller if _RETURN in caller else None


def _find_row(symbols: Symbols, address: int) -> dict[Any, Any] | None:
    """Return where the registers are kept when the instruction at `address` runs."""
    for entry in symbols.call_frames:
        if not isinstance(entry, FDE):
            continue
        start = entry.header["initial_location"]
        if start <= address < start + entry.header["address_range"]:
            rows = [row for row in entry.get_decoded().table if row["pc"] <= address]
            row: dict[Any, Any] | None = rows[-1] if rows else None
            return row if row and row["cfa"].expr is None else None
    return None


def _guess(
    symbols: Symbols, stack: Mapping[int, int], start: int, seen: set[int]
) -> Iterator[Frame]:
    """Yield what looks like a return address from `start` on, each once."""
    for address in sorted(stack):
        call = stack[address] - 1
        if address >= start and call not in seen and symbols.follows_call(call + 1):
            seen.add(call)
            yield Frame(call, is_guess=True)
