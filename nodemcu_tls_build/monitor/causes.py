"""Say what the CPU's exceptions mean: EXCCAUSE of the Xtensa instruction set manual."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from nodemcu_tls_build.memmap import FLASH_WINDOW, IRAM

NULL_PAGE = 0x1000  # so far into a structure a null pointer is still taken for one
_MEMORY_CAUSES = {2, 3, 9, *range(12, 30)}  # excvaddr says where
_JUMPS = {2, 12, 14, 20}
_ACCESSES = {13: "accessed", 15: "accessed", 28: "read", 29: "written"}
_DIVISIONS = {
    "trap_zero_divisor",
    *("__udivsi3", "__umodsi3", "__divsi3", "__modsi3"),
    *("__udivdi3", "__umoddi3", "__divdi3", "__moddi3"),
}


@dataclass(frozen=True)
class Cause:
    """An exception's name in the manual, and what it usually comes from."""

    name: str
    meaning: str


_TLB = "The memory management that this CPU does not have reported it: the dump may be damaged."
_BUS = "The address belongs to nothing that answers: a pointer is wrong, or a peripheral is off."

_CAUSES = {
    0: Cause(
        "IllegalInstruction",
        "The CPU met bytes that are no instruction: code was overwritten, a function pointer is "
        "wrong, or the program stopped on purpose (an abort, an integer divided by zero).",
    ),
    1: Cause("Syscall", "A SYSCALL instruction ran, which nothing here handles."),
    2: Cause(
        "InstructionFetchError",
        "Code could not be read: a jump through a wrong pointer, or the flash did not answer.",
    ),
    3: Cause(
        "LoadStoreError",
        "Memory was accessed in a way that it cannot do: flash and IRAM can be read in aligned "
        "words of 32 bits only, and flash cannot be written.",
    ),
    4: Cause("Level1Interrupt", "An interrupt came that nothing handles."),
    5: Cause("Alloca", "A MOVSP instruction ran, of register windows that this CPU does not have."),
    6: Cause("IntegerDivideByZero", "An integer was divided by zero."),
    7: Cause("PCValue", "The next instruction's address is not a possible one."),
    8: Cause("Privileged", "An instruction ran that the CPU's mode does not allow."),
    9: Cause(
        "LoadStoreAlignment",
        "A word was read or written at an address that is not a multiple of its size: "
        "a pointer into bytes was used as one to words.",
    ),
    12: Cause("InstrPIFDataError", f"Code could not be read over the bus. {_BUS}"),
    13: Cause("LoadStorePIFDataError", f"Data could not be read or written over the bus. {_BUS}"),
    14: Cause("InstrPIFAddrError", f"Code was to be read from a wrong address. {_BUS}"),
    15: Cause("LoadStorePIFAddrError", f"Data was to be read or written wrongly. {_BUS}"),
    16: Cause("InstTLBMiss", _TLB),
    17: Cause("InstTLBMultiHit", _TLB),
    18: Cause("InstFetchPrivilege", "Code was to run that the CPU's mode does not allow."),
    20: Cause(
        "InstFetchProhibited",
        "The CPU jumped to where there is no code: a function pointer is null or was overwritten, "
        "or a return address on the stack was.",
    ),
    24: Cause("LoadStoreTLBMiss", _TLB),
    25: Cause("LoadStoreTLBMultiHit", _TLB),
    26: Cause("LoadStorePrivilege", "Memory was accessed that the CPU's mode does not allow."),
    28: Cause(
        "LoadProhibited",
        "Memory was read where there is none: a null pointer, one that was never set, or one to "
        "what was freed.",
    ),
    29: Cause(
        "StoreProhibited",
        "Memory was written where there is none or nothing may be written: a null pointer, one "
        "that was never set, or one to a constant.",
    ),
    **{
        32 + n: Cause(
            f"Coprocessor{n}Disabled",
            f"An instruction of coprocessor {n} ran, which this CPU does not have: "
            "code was overwritten, or a function pointer is wrong.",
        )
        for n in range(8)
    },
}


def find_cause(number: int) -> Cause:
    """Return the cause of that number; those that the manual reserves have a name, too."""
    known = _CAUSES.get(number)
    if known:
        return known
    if 0 <= number < 64:
        return Cause("Reserved", "No CPU gives this cause: the dump is damaged.")
    return Cause("Unknown", "There is no such cause: the dump is damaged.")


def explain_exception(number: int, *, address: int | None, functions: Collection[str]) -> str:
    """Say in a sentence what happened, with what EXCVADDR and the functions at EPC1 add to it."""
    if number in {0, 6} and _DIVISIONS.intersection(functions):
        return "An integer was divided by zero."
    meaning = find_cause(number).meaning
    if address is None or number not in _MEMORY_CAUSES:
        return meaning
    return _explain_access(number, address) or f"{meaning} The address is {address:#010x}."


def explain_panic(reason: str, *, is_far_from_end: bool = False) -> str:
    """Say in a sentence what it means that a firmware stopped itself for this reason.

    `is_far_from_end`: the stack pointer was nowhere near the end of the stack.
    """
    if "stack" in reason.lower() and is_far_from_end:
        return "Something wrote to the stack's end, far below what is in use: a wrong pointer."
    if "stack" in reason.lower():
        return "Calls went too deep, or a function has more local variables than the stack holds."
    if "WDT" in reason or reason.startswith("watchdog"):
        return "The watchdog ended it: the program did not give the system its turn for too long."
    return "The firmware stopped itself: it found a state in which it could not go on."


def _explain_access(number: int, address: int) -> str | None:
    """Return the sentence for an address that tells more than the cause alone."""
    if number in _JUMPS and address < NULL_PAGE:
        return "The CPU jumped to address 0: a function pointer is null, or the stack is damaged."
    if number in _ACCESSES and address < NULL_PAGE:
        verb = _ACCESSES[number]
        offset = f" (the field at offset {address})" if address else ""
        return f"Memory was {verb} through a null pointer{offset}."
    if number == 3 and IRAM.covers(address):
        return f"A byte or half a word was accessed at {address:#010x}: IRAM takes words only."
    if number == 3 and FLASH_WINDOW.covers(address):
        return (
            f"A byte or half a word was read at {address:#010x}, or something written there: "
            "flash can be read only, and in aligned words."
        )
    return None
