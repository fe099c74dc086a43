"""The report of a crash: whatever brings the firmware down, it says where, and ends with code 2."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from emulated import run_lua
from relinked_firmware import relink_crashing

from nodemcu_tls_build.memmap import DRAM, IRAM, IROM, STACK
from nodemcu_tls_build.toolchain import find_compiler

_HEX = "[0-9a-f]{8}"
_ROWS = [
    " ".join(f"a{n}=0x(?P<a{n}>{_HEX})" for n in range(row, row + 4)) for row in range(0, 16, 4)
]
_SPECIAL = " ".join(
    f"{name}=0x(?P<{name}>{_HEX})" for name in ("epc1", "epc2", "epc3", "excvaddr", "depc")
)
_REPORT = re.compile(
    "\n".join(
        (
            r"\n(?:Exception \((?P<cause>\d+)\):|Panic: (?P<reason>[ -~]*))",
            *(_SPECIAL, *_ROWS),
            f"ps=0x(?P<ps>{_HEX}) sar=0x(?P<sar>{_HEX})",
            "build=(?P<build>[0-9a-f]{40})\n",
            ">>>stack>>>\n",
            "ctx: sys",
            f"sp: (?P<sp>{_HEX}) end: 40000000 offset: 0000",
            r"(?P<astray>\(sp is not in the stack: this is its end\)\n)?"
            rf"(?P<lines>(?:{_HEX}:  {_HEX} {_HEX} {_HEX} {_HEX}\n)*)"
            r"(?P<cut>\(cut\)\n)?<<<stack<<<\n\n",
        )
    )
)


@dataclass(frozen=True)
class Report:
    """A crash report as the console shows it, numbers read."""

    fields: dict[str, str]
    registers: tuple[int, ...]
    stack: dict[int, int]  # by address

    def number(self, name: str) -> int:
        return int(self.fields[name], 16)


def parse(text: str) -> Report:
    match = _REPORT.fullmatch(text)
    assert match, text
    stack = {}
    for line in match["lines"].splitlines():
        start, *words = (int(word, 16) for word in line.replace(":", "").split())
        stack |= {start + 4 * i: word for i, word in enumerate(words)}
    fields = {name: text for name, text in match.groupdict().items() if text is not None}
    registers = tuple(int(match[f"a{n}"], 16) for n in range(16))
    return Report(fields, registers, stack)


@pytest.fixture(scope="module")
def crashing(whole_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build whose scripts have crash(NAME); its ELF file lies in the directory above."""
    directory = tmp_path_factory.mktemp("crashing")
    return relink_crashing(whole_build, directory)


def crash(build_dir: Path, name: str) -> Report:
    result = run_lua(build_dir, f"crash('{name}')")
    assert (result.returncode, result.stderr) == (2, ""), result.stdout
    report = parse(result.stdout)
    build = json.loads((build_dir / "build.json").read_text(encoding="utf-8"))
    assert report.fields["build"] == build["build_id"]
    return report


def find_functions(build_dir: Path, *addresses: int) -> list[str]:
    """Return the names of the functions that the addresses lie in."""
    tool = f"{find_compiler().prefix}addr2line"
    result = subprocess.run(
        [tool, "-f", "-e", str(build_dir.parent / "firmware.elf"), *map(hex, addresses)],
        check=True,
        capture_output=True,
        text=True,
    )
    return result.stdout.splitlines()[::2]


def find_callers(build_dir: Path, report: Report) -> list[str]:
    """Return the functions of all words that can be a return address, a0 before the stack's."""
    words = [report.registers[0], *report.stack.values()]
    calls = [word - 3 for word in words if IROM.covers(word) or IRAM.covers(word)]
    return find_functions(build_dir, *calls)


@pytest.mark.parametrize(
    ("name", "cause", "function", "address"),
    [
        ("illegal", 0, "fault_illegal", None),
        ("division", 0, "trap_zero_divisor", None),
        ("load", 15, "fault_load", 0x10),
        ("store", 15, "fault_store", 0x20),
        ("misaligned", 9, "fault_misaligned", 0x3FFE8001),
    ],
)
def test_exception(
    crashing: Path, name: str, cause: int, function: str, address: int | None
) -> None:
    report = crash(crashing, name)
    assert int(report.fields["cause"]) == cause
    assert find_functions(crashing, report.number("epc1")) == [function]
    assert address in {None, report.number("excvaddr")}
    assert report.number("ps") == 0x20
    callers = find_callers(crashing, report)
    expected = ["inner", "outer", "crash", "luaD_precall", "run_script", "firmware_start"]
    places = [callers.index(caller) for caller in expected]
    assert places == sorted(places)
    assert "main" in callers


@pytest.mark.parametrize(("name", "address"), [("jump_to_0", 0), ("jump_astray", 0x20000000)])
def test_jump_to_where_no_code_is(crashing: Path, name: str, address: int) -> None:
    report = crash(crashing, name)
    assert int(report.fields["cause"]) == 14  # InstrPIFAddrError
    assert report.number("epc1") == address
    assert find_callers(crashing, report)[:2] == [f"fault_{name}", "inner"]


def test_every_register_is_shown_as_it_was(crashing: Path) -> None:
    report = crash(crashing, "registers")
    assert report.registers[0] == 0x100
    assert report.registers[1] == report.number("sp")
    assert report.registers[2:] == tuple(range(0x102, 0x110))
    assert report.number("sar") == 13
    assert find_functions(crashing, report.number("epc1")) == ["fault_registers"]


def test_stack_is_shown_to_its_end(crashing: Path) -> None:
    report = crash(crashing, "illegal")
    sp = report.registers[1]
    assert STACK.covers(sp)
    assert list(report.stack) == list(range(sp & ~15, STACK.end, 4))
    assert "cut" not in report.fields


def test_double_exception(crashing: Path) -> None:
    report = crash(crashing, "double")
    assert int(report.fields["cause"]) == 0
    assert find_functions(crashing, report.number("depc")) == ["fault_double"]
    assert report.number("ps") == 0x30
    assert find_callers(crashing, report)[0] == "inner"


def test_break_instruction(crashing: Path) -> None:
    report = crash(crashing, "break")
    assert report.fields["reason"] == "break instruction"
    assert report.number("epc1") == report.number("epc2")
    assert find_functions(crashing, report.number("epc1")) == ["fault_break"]
    assert find_callers(crashing, report)[0] == "inner"


def test_stack_that_is_exhausted(crashing: Path) -> None:
    """It is caught by the store that reaches the stack's last bytes, before anything is lost."""
    report = crash(crashing, "overflow")
    assert report.fields["reason"] == "the stack is exhausted"
    assert find_functions(crashing, report.number("epc1")) == ["fault_recursion"]
    assert STACK.start <= report.registers[1] < STACK.start + 128
    assert set(find_callers(crashing, report)) == {"fault_recursion"}
    assert len(report.stack) * 4 == 2048
    assert "cut" in report.fields


def test_stack_pointer_that_is_none(crashing: Path) -> None:
    report = crash(crashing, "stack_pointer")
    assert report.registers[1] == report.number("sp") == 0x12345679
    assert "astray" in report.fields
    assert list(report.stack) == list(range(STACK.end - 2048, STACK.end, 4))
    assert "main" in find_callers(crashing, report)


@pytest.mark.parametrize(
    ("name", "reason", "caller"),
    [
        ("panic", "on purpose", "fault_panic"),
        ("lwip", "lwIP: pbuf_free: p->ref > 0", "pbuf_free"),
        ("lua", "Lua: error outside a protected call", "on_lua_panic"),
        ("assert", "assertion failed: zero == 1", "__assert_func"),
        ("abort", "abort() was called", "abort"),
        ("exit", "exit() was called", "_exit"),
    ],
)
def test_panic(crashing: Path, name: str, reason: str, caller: str) -> None:
    report = crash(crashing, name)
    assert report.fields["reason"] == reason
    assert find_functions(crashing, report.number("epc1")) == [caller]
    callers = find_callers(crashing, report)
    assert callers.index(f"fault_{name}") < callers.index("inner") < callers.index("outer")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("null_reason", "(no text at 0x00000000)"), ("endless_reason", "abcd(no text at 0x40108000)")],
)
def test_reason_that_is_no_text(crashing: Path, name: str, reason: str) -> None:
    """All the rest of the report is there."""
    report = crash(crashing, name)
    assert report.fields["reason"] == reason
    assert find_functions(crashing, report.number("epc1")) == [f"fault_{name}"]


def test_crash_in_the_crash_report(crashing: Path) -> None:
    """What had been told is there, then where the report ended."""
    result = run_lua(crashing, "crash('in_the_report')")
    assert result.returncode == 2
    report = re.fullmatch(
        rf"\nPanic: with a report that fails\n{_SPECIAL}\n(?:a.*\n){{4}}ps=.*\n"
        rf"\nCrash in the crash report at 0x(?P<second>{_HEX})\n",
        result.stdout,
    )
    assert report, result.stdout
    assert find_functions(crashing, int(report["epc1"], 16)) == ["fault_in_the_report"]
    assert find_functions(crashing, int(report["second"], 16)) == ["fault_load"]


def test_frame_that_steps_over_the_guard(crashing: Path) -> None:
    report = crash(crashing, "large_frame")
    assert report.fields["reason"] == "the stack is exhausted"
    assert report.registers[1] < STACK.start
    assert "fault_large_frame" in find_callers(crashing, report)


@pytest.mark.parametrize(
    ("endless", "function"),
    [
        ("while true do end", "luaV_execute"),
        ("string.find(string.rep('a', 5000), '(.-)%1b')", None),
    ],
)
def test_callback_that_does_not_end(crashing: Path, endless: str, function: str | None) -> None:
    """The watchdog ends it, and the report says where it was; what only waits goes on."""
    script = f"""
        crash('impatient')
        tmr.create():alarm(1500, tmr.ALARM_SINGLE, function() print('due') {endless} end)
    """
    result = run_lua(crashing, script)
    due, text = result.stdout[:4], result.stdout[4:]
    assert (result.returncode, due) == (2, "due\n"), result.stdout
    report = parse(text)
    assert report.fields["reason"] == "watchdog: one callback took all the time, or never ended"
    assert report.number("ps") == 0x20
    if function:
        assert find_functions(crashing, report.number("epc1")) == [function]
    assert "run_loop" in find_callers(crashing, report) or "main" in find_callers(crashing, report)


def test_timer_that_fires_early_ends_no_watch(crashing: Path) -> None:
    """A timer interrupt with time left in the watch is dropped, and the watch goes on."""
    early = "for _ = 1, 3 do crash('early_timer') end print('on')"
    result = run_lua(crashing, early)
    assert (result.returncode, result.stdout) == (0, "on\n")
    result = run_lua(crashing, f"crash('impatient') {early} while true do end")
    assert (result.returncode, result.stdout[:3]) == (2, "on\n")
    assert parse(result.stdout[3:]).fields["reason"].startswith("watchdog: ")


def test_report_needs_nothing_of_flash(whole_build: Path) -> None:
    """What reports a crash, and what it calls, lies in RAM: the flash may be what broke."""
    prefix, objects = find_compiler().prefix, whole_build / "work/obj/app"
    needed = {"crash_report", "panic", "vectors", "board_exit"}
    for path in ("runtime/crash.c.o", "runtime/crash.S.o", "runtime/build_id.c.o"):
        needed |= {name for name, _ in list_symbols(prefix, objects / path)}
    for path in ("board/virtual/uart.c.o", "board/virtual/simcall.S.o"):
        needed |= {name for name, _ in list_symbols(prefix, objects / path)}
    places = dict(list_symbols(prefix, whole_build / "firmware.elf"))
    in_flash = {n for n in needed & set(places) if IROM.covers(places[n] or 0)}
    assert in_flash == {"__build_id"}
    in_ram = {
        n for n in needed if IRAM.covers(places.get(n) or 0) or DRAM.covers(places.get(n) or 0)
    }
    assert {
        "crash_report",
        "build_id_text",
        "uart_write",
        "board_crash_end",
        "board_exit",
    } <= in_ram


def test_no_frame_is_large(whole_build: Path) -> None:
    """A large one could step over the guard of the stack; of upstream, no warning tells."""
    tool = f"{find_compiler().prefix}objdump"
    command = [tool, "-d", "--no-show-raw-insn", str(whole_build / "firmware.elf")]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    small = re.findall(r"addi\s+a1, a1, -(\d+)\n", text)
    large = re.findall(
        r"movi(?:\.n)?\s+(a\d+), (\w+)\n(?:.+\n){0,3}?\S+\s+sub\s+a1, a1, \1\n", text
    )
    sizes = [int(size) for size in small] + [int(size, 0) for _, size in large]
    assert len(sizes) > 1000
    assert 512 < max(sizes) <= 1024
    assert len(large) == len(re.findall(r"sub\s+a1, a1, ", text))  # all are known beforehand


def list_symbols(prefix: str, path: Path) -> list[tuple[str, int | None]]:
    """Return the global symbols of an object or ELF file, with address where they have one."""
    told = subprocess.run(
        [f"{prefix}nm", "-g", str(path)], check=True, capture_output=True, text=True
    )
    rows = [line.split() for line in told.stdout.splitlines()]
    return [(row[-1], int(row[0], 16) if len(row) == 3 else None) for row in rows]
