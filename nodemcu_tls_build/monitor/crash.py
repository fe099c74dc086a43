"""Recognise a crash dump in what a device prints, ours, Arduino's or the vendor SDK's."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nodemcu_tls_build.memmap import STACK

_EXCEPTION = re.compile(r"(?:Exception|Fatal exception) ?\(?(\d{1,3})\)?(?:\(\w+\))?:\s*$")
_PANIC = re.compile(
    r"^(?:> |>> )?(?:Panic:? (?P<reason>.+)|(?P<other>User exception \(.+\)|Abort called|"
    r"(?:Soft |Hardware )?WDT reset|Stack (?:overflow|smashing) detected.*))$"
)
_REGISTER = re.compile(r"\b(epc[1-3]|excvaddr|depc|a1[0-5]|a\d|ps|sar)\s*=\s*0x([0-9a-f]{1,8})\b")
_BUILD = re.compile(r"^build=([0-9a-f]{40})$")
_BANNER = re.compile(r"^(?:> |>> )?nodemcu-tls (?:\S+ )?build ([0-9a-f]{40})$")
_BOOT = re.compile(r"\bets [A-Z][a-z]{2} +\d|\brst cause:\d|\bboot mode:\(")
_STACK_START, _STACK_END = ">>>stack>>>", "<<<stack<<<"
_REMARK = re.compile(r"^\([a-z ,:]+\)$")  # of our own firmware, as `(cut)`
_CONTEXT = re.compile(r"^ctx: \w+$|^sp: [0-9a-f]{8} end: [0-9a-f]{8} offset: [0-9a-f]{4,8}$")
_STACK_LINE = re.compile(r"^([0-9a-f]{8}): +([0-9a-f]{8}(?: +[0-9a-f]{8}){0,7}) *<? *$")
_MARKER = re.compile(r"^-+ CUT HERE FOR EXCEPTION DECODER -+$")
_SECOND = re.compile(r"^Crash in the crash report at 0x([0-9a-f]{8})$")
_ALLOCATION = re.compile(r"^last failed alloc call: ([0-9A-Fa-f]{8})\((\d+)\)$")  # Arduino's
_IN_EXCEPTION = 0x10  # of PS
_FAR = 1024  # bytes, more than any frame of the firmware
_TOLERATED = 3  # lines in a row that do not belong: noise on the line, another task
_MAX_LINES = 600


@dataclass
class Crash:
    """What a dump says; `cause` is None for a panic, whose words are in `reason`.

    `is_cut` tells of a stack whose end never came, `damaged` counts lines of no known form in it.
    """

    cause: int | None = None
    reason: str = ""
    registers: dict[str, int] = field(default_factory=dict)
    stack: dict[int, int] = field(default_factory=dict)
    build_id: str | None = None
    failed_allocation: tuple[int, int] | None = None  # who asked for how many bytes
    second: int | None = None  # where the report itself crashed, which ended it
    is_cut: bool = False
    damaged: int = 0

    @property
    def pc(self) -> int | None:
        """Return where the program stood; in a second exception within one, DEPC says it."""
        depc = self.registers.get("depc")
        if depc and self.registers.get("ps", _IN_EXCEPTION) & _IN_EXCEPTION:
            return depc
        return self.registers.get("epc1")

    @property
    def was_far_from_stack_end(self) -> bool:
        """Tell whether the guard of the stack was hit while most of the stack was free.

        Only its breakpoint, an exception of level 2, leaves EPC2 where the program stood.
        """
        pc, sp = self.registers.get("epc1"), self.registers.get("a1")
        if pc is None or sp is None or self.registers.get("epc2") != pc:
            return False
        return STACK.start + _FAR <= sp <= STACK.end

    @property
    def numbered(self) -> dict[int, int]:
        """Return the registers a0 to a15 by number."""
        return {int(name[1:]): v for name, v in self.registers.items() if name[1:].isdigit()}


def find_banner(line: str) -> str | None:
    """Return the build id when the line is the one that the firmware's prompt begins with."""
    match = _BANNER.match(line)
    return match[1] if match else None


class CrashReader:
    """Put a dump together from the lines around it and in it."""

    def __init__(self) -> None:
        self._crash: Crash | None = None
        self._in_stack = False
        self._lines = 0
        self._foreign = 0

    @property
    def is_reading(self) -> bool:
        """Tell whether the line before was part of a dump."""
        return self._crash is not None

    def take_line(self, line: str) -> Crash | None:
        """Read the next line, without its end; return the dump that is over with it."""
        line = line.strip()
        start = _read_start(line)
        if start:
            over = self.finish()
            self._crash, self._lines = start, 0
            return over
        if self._crash is None and _SECOND.match(line):
            self._crash, self._lines = Crash(), 0
        if self._crash is None:
            if line.endswith(_STACK_START):  # its first line was lost
                self._crash, self._lines, self._in_stack = Crash(), 0, True
            return None
        self._lines += 1
        second = _SECOND.match(line)
        if second:
            self._crash.second = int(second[1], 16)
        if second or _BOOT.search(line) or find_banner(line) or self._lines > _MAX_LINES:
            return self.finish()
        if line == _STACK_END:
            self._in_stack, self._foreign = False, 0
            return self.finish()
        return self._take_body(self._crash, line)

    def finish(self) -> Crash | None:
        """Return the dump so far when nothing more of it will come, if it says anything."""
        crash, self._crash = self._crash, None
        if crash is not None:
            crash.is_cut = self._in_stack
            crash.damaged -= self._foreign  # the last ones were not part of it
        self._in_stack, self._foreign = False, 0
        if crash is None or not (crash.registers or crash.stack or crash.second is not None):
            return None
        return crash

    def _take_body(self, crash: Crash, line: str) -> Crash | None:
        stack = _STACK_LINE.match(line) if self._in_stack else None
        build = _BUILD.match(line)
        allocation = _ALLOCATION.match(line)
        if stack:
            address = int(stack[1], 16)
            for offset, word in enumerate(stack[2].split()):
                crash.stack[address + 4 * offset] = int(word, 16)
        elif allocation:
            crash.failed_allocation = int(allocation[1], 16), int(allocation[2])
        elif build:
            crash.build_id = build[1]
        elif line == _STACK_START:
            self._in_stack = True
        elif _is_registers(line):
            crash.registers |= {name: int(value, 16) for name, value in _REGISTER.findall(line)}
        elif line and not any(known.match(line) for known in (_CONTEXT, _MARKER, _REMARK)):
            crash.damaged += 1
            self._foreign += 1
            return self.finish() if self._foreign > _TOLERATED else None
        self._foreign = 0 if line else self._foreign
        return None


def _read_start(line: str) -> Crash | None:
    exception = _EXCEPTION.search(line)
    if exception:
        return Crash(cause=int(exception[1]))
    panic = _PANIC.match(line)
    return Crash(reason=panic["reason"] or panic["other"]) if panic else None


def _is_registers(line: str) -> bool:
    return bool(line) and not _REGISTER.sub("", line).replace(",", "").strip()
