"""Find who called whom when a firmware crashed: by its debug information, then by guessing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elftools.dwarf.callframe import FDE

from nodemcu_tls_build.monitor.symbols import CALL_SIZE as _CALL_SIZE
from nodemcu_tls_build.monitor.symbols import Symbols

_MAX_FRAMES = 512  # more than fit in a dump
_RETURN, _STACK = 0, 1  # registers a0 and a1
_REGISTERS = 16


@dataclass(frozen=True)
class Frame:
    """A place in the code: of the instruction that ran, then of calls.

    A guessed one is a word on the stack that may also be left over from an earlier call.
    """

    address: int
    is_guess: bool = False


def find_call_chain(
    symbols: Symbols, pc: int, registers: Mapping[int, int], stack: Mapping[int, int]
) -> list[Frame]:
    """Return the frames from the innermost on.

    `registers` are those by number that the dump has, `stack` the words by address. Where the
    debug information ends, or the stack does not fit it, what looks like a return address is a
    guess.
    """
    frames = [Frame(pc)] if symbols.is_code(pc) else []
    callers, unread, is_whole = _unwind(symbols, pc, dict(registers), stack)
    frames += [Frame(address - _CALL_SIZE) for address in callers]
    if not is_whole:
        frames += _guess(symbols, stack, unread, {frame.address for frame in frames})
    return frames


def _unwind(
    symbols: Symbols, pc: int, registers: dict[int, int], stack: Mapping[int, int]
) -> tuple[list[int], int, bool]:
    """Follow the saved return addresses.

    Returns them, the address of the first word on the stack that belongs to none of their
    functions, and whether the outermost function was reached.
    """
    found: list[int] = []
    unread = registers.get(_STACK, 0)
    if unread == 0 or _RETURN not in registers:
        return found, 0, False
    called = registers[_RETURN] == pc + _CALL_SIZE and symbols.follows_call(registers[_RETURN])
    if not symbols.is_code(pc):  # it jumped astray: a0 says from where
        caller: dict[int, int] | None = registers
    elif _is_plain_leaf(symbols, pc, registers[_RETURN]):
        caller = registers
    else:
        caller = _leave_function(symbols, pc, registers, stack, called=called)
    while caller is not None and len(found) < _MAX_FRAMES:
        pc, unread = caller[_RETURN], caller[_STACK]
        if pc == 0:  # the start-up code calls main with that
            return found, unread, True
        if not symbols.follows_call(pc):
            break
        found.append(pc)
        caller = _leave_function(symbols, pc - _CALL_SIZE, caller, stack, called=True)
    return found, unread, len(found) >= _MAX_FRAMES


def _is_plain_leaf(symbols: Symbols, pc: int, returns_to: int) -> bool:
    """Tell whether a0 must still be what the caller set.

    So it is in assembly without debug information, as the C library's memset(), unless it has
    called something itself: then a0 is within the function.
    """
    if _find_row(symbols, pc) is not None or not symbols.follows_call(returns_to):
        return False
    return symbols.find_symbol(pc) != symbols.find_symbol(returns_to - _CALL_SIZE)


def _leave_function(
    symbols: Symbols,
    address: int,
    registers: dict[int, int],
    stack: Mapping[int, int],
    *,
    called: bool,
) -> dict[int, int] | None:
    """Return the registers as the caller of the function at `address` has them.

    With `called` the function has called another one: its own return address is on the stack.
    """
    row = _find_row(symbols, address)
    if row is None or row["cfa"].reg not in registers or (called and _RETURN not in row):
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
    return caller if _RETURN in caller and frame >= registers.get(_STACK, frame) else None


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
        word = stack[address]
        if address >= start and symbols.follows_call(word) and word - _CALL_SIZE not in seen:
            seen.add(word - _CALL_SIZE)
            yield Frame(word - _CALL_SIZE, is_guess=True)
