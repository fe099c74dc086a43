"""What the monitor makes of crash dumps: of ours from the emulator, and of other firmwares'."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from emulated import run_lua
from relinked_firmware import relink_crashing

from nodemcu_tls_build.monitor.causes import explain_exception, find_cause
from nodemcu_tls_build.monitor.console import Console
from nodemcu_tls_build.monitor.crash import Crash, CrashReader
from nodemcu_tls_build.monitor.report import Decoder
from nodemcu_tls_build.monitor.symbols import Symbols

ID = "0123456789abcdef0123456789abcdef01234567"
OURS = f"""
Exception (29):
epc1=0x40212345 epc2=0x00000000 epc3=0x00000000 excvaddr=0x00000010 depc=0x00000000
a0=0x40211234 a1=0x3ffffe10 a2=0x00000000 a3=0x00000000
a4=0x00000004 a5=0x00000000 a6=0x00000000 a7=0x00000000
a8=0x00000000 a9=0x00000000 a10=0x00000000 a11=0x00000000
a12=0x00000000 a13=0x00000000 a14=0x00000000 a15=0x0000000f
ps=0x00000020 sar=0x00000010
build={ID}

>>>stack>>>

ctx: sys
sp: 3ffffe10 end: 40000000 offset: 0000
3ffffe10:  40212345 00000000 3ffe8010 00000001
3ffffe20:  00000002 00000003 00000004 00000005
(cut)
<<<stack<<<

"""
ARDUINO = """
--------------- CUT HERE FOR EXCEPTION DECODER ---------------

Exception (28):
epc1=0x4020103b epc2=0x00000000 epc3=0x00000000 excvaddr=0x00000000 depc=0x00000000

>>>stack>>>

ctx: cont
sp: 3ffffdd0 end: 3fffffc0 offset: 0190
3fffff60:  40202cf5 3ffe8628 3ffee404 40201e6c
3fffff70:  3fffdad0 00000000 3ffee3d8 40201033  <
<<<stack<<<

--------------- CUT HERE FOR EXCEPTION DECODER ---------------
"""
VENDOR = (
    "Fatal exception 29(StoreProhibitedCause):\r\n"
    "epc1=0x4000e1c3, epc2=0x00000000, epc3=0x00000000, excvaddr=0x00000004, depc=0x00000000\r\n"
)
BOOT = "\n ets Jan  8 2013,rst cause:2, boot mode:(3,6)\n"


def read_crashes(text: str) -> list[Crash]:
    reader = CrashReader()
    crashes = [reader.take_line(line.rstrip("\r")) for line in text.split("\n")]
    return [crash for crash in (*crashes, reader.finish()) if crash]


def decode(data: bytes, build: Path | Decoder, pieces: Iterable[int] = ()) -> list[str]:
    """Return the notes on what a device said, heard in pieces of these lengths, then the rest."""
    console = Console(build if isinstance(build, Decoder) else Decoder(build), 0)
    shown = []
    for length in pieces:
        shown += console.feed(data[:length], 0)
        data = data[length:]
    shown += [*console.feed(data, 0), *console.finish()]
    return [note.text for part in shown for note in part.notes]


def test_our_dump() -> None:
    (crash,) = read_crashes(f"> =1\n1\n> crash(){OURS}> ")
    assert (crash.cause, crash.reason, crash.build_id) == (29, "", ID)
    assert (crash.is_cut, crash.damaged) == (False, 0)
    assert crash.registers["excvaddr"] == 0x10
    assert crash.registers["sar"] == 0x10
    assert crash.numbered[1] == 0x3FFFFE10
    assert crash.numbered[15] == 15
    assert len(crash.numbered) == 16
    assert crash.pc == 0x40212345
    assert crash.stack[0x3FFFFE18] == 0x3FFE8010
    assert list(crash.stack) == list(range(0x3FFFFE10, 0x3FFFFE30, 4))


def test_panic() -> None:
    (crash,) = read_crashes(OURS.replace("Exception (29):", "Panic: lwIP: p->ref == 1"))
    assert (crash.cause, crash.reason, len(crash.stack)) == (None, "lwIP: p->ref == 1", 8)


def test_dumps_of_other_firmwares() -> None:
    (crash,) = read_crashes(ARDUINO)
    assert (crash.cause, crash.build_id, crash.is_cut, crash.damaged) == (28, None, False, 0)
    assert (crash.registers["epc1"], crash.numbered) == (0x4020103B, {})
    assert crash.stack[0x3FFFFF7C] == 0x40201033
    assert read_crashes(ARDUINO.replace("40201e6c", "40201e6c  ")) == [crash]
    (crash,) = read_crashes(f"{VENDOR}\n\n\nsomething else\nand more\nand\nso\non\n")
    assert (crash.cause, crash.registers["excvaddr"], crash.is_cut) == (29, 4, False)
    assert crash.damaged == 0
    for start in ("Soft WDT reset", "Abort called", "User exception (panic/abort/assert)"):
        (crash,) = read_crashes(ARDUINO.replace("Exception (28):", start))
        assert (crash.cause, crash.reason) == (None, start)


def test_report_that_crashed_itself() -> None:
    """It is a crash, whatever of the report had come before."""
    line = "Crash in the crash report at 0x40100123\n"
    for before in ("", "\nPanic: \n", OURS[: OURS.index("build=")], OURS[: OURS.index("(cut)")]):
        (crash,) = read_crashes(f"> {before}\n{line}nodemcu-tls build {ID}\n> ")
        assert crash.second == 0x40100123
    notes = decode(f"\nPanic: \n\n{line}".encode(), Path("/nonexistent"))
    assert notes[0] == "Crash"
    assert "The report ends there: it crashed itself, at 0x40100123" in notes


def test_failed_allocation_of_arduino() -> None:
    line = "last failed alloc call: 40201D29(512)\n"
    for place in (">>>stack", "3fffff70"):
        (crash,) = read_crashes(ARDUINO.replace(place, f"{line}{place}"))
        assert (crash.failed_allocation, crash.damaged) == ((0x40201D29, 512), 0)
        notes = decode(ARDUINO.replace(place, f"{line}{place}").encode(), Path("/nonexistent"))
        assert "The last allocation to fail: 512 bytes, at 0x40201d29" in notes


def test_stray_write_to_the_end_of_the_stack() -> None:
    """Only the store that hits the guard tells; the main loop sees later that it was used up."""
    panic = OURS.replace("Exception (29):", "Panic: the stack is exhausted")
    hit = panic.replace("epc2=0x00000000", "epc2=0x40212345")
    for text, words in (
        (hit, "a wrong pointer"),
        (panic, "Calls went too deep"),
        (hit.replace("a1=0x3ffffe10", "a1=0x3fffe010"), "Calls went too deep"),
    ):
        assert words in decode(text.encode(), Path("/nonexistent"))[1]


def test_what_is_no_dump() -> None:
    for text in (
        *("Exception (5):\n", "Panic: no\n> =1\n1\n", "epc1=0x40212345\n", "<<<stack<<<\n"),
        *(">>>stack>>>\n<<<stack<<<\n", "3ffffe10:  40212345\n", "\n\n", BOOT),
    ):
        assert read_crashes(text) == []


def test_first_lines_lost() -> None:
    (crash,) = read_crashes(OURS[OURS.index(">>>stack") :])
    assert (crash.cause, crash.reason, len(crash.stack)) == (None, "", 8)
    (crash,) = read_crashes(f"x\x00\x00Exception (29):{OURS.partition(':')[2]}")
    assert crash.cause == 29


@pytest.mark.parametrize(
    "end", [BOOT, f"nodemcu-tls build {ID}\n> ", "", "a\nb\nc\nd\n", "\ufffd{|\ufffd\n" * 5]
)
def test_dump_that_is_cut_off(end: str) -> None:
    start = OURS[: OURS.index("3ffffe20:")]
    (crash,) = read_crashes(start + end)
    assert (crash.is_cut, len(crash.stack), crash.damaged) == (True, 4, 0)
    (crash,) = read_crashes(OURS[: OURS.index("a4=")] + end)
    assert (crash.is_cut, len(crash.numbered)) == (False, 4)


def test_next_crash_cuts_the_first_off() -> None:
    first, second = read_crashes(OURS[: OURS.index("(cut)")] + ARDUINO)
    assert (first.cause, first.is_cut, second.cause, second.is_cut) == (29, True, 28, False)


def test_noise_in_a_dump() -> None:
    for place in ("a4=", ">>>stack", "3ffffe20"):
        (crash,) = read_crashes(OURS.replace(place, f"tick\n{place}"))
        assert (crash.damaged, crash.is_cut, len(crash.stack)) == (1, False, 8)
        assert len(crash.numbered) == 16
    (crash,) = read_crashes(OURS.replace("3ffffe20:  00", "3ffffe20:  \\xf8"))
    assert (crash.damaged, len(crash.stack)) == (1, 4)


def test_endless_dump() -> None:
    """What looks like a stack without an end does not fill the memory."""
    lines = "".join(f"{16 * n:08x}:  00000000 00000000 00000000 00000000\n" for n in range(5000))
    crash, *_ = read_crashes(OURS[: OURS.index("3ffffe10:  ")] + lines)
    assert len(crash.stack) < 4000


def test_every_cause_has_its_sentence() -> None:
    for number in range(64):
        cause = find_cause(number)
        assert cause.name
        assert cause.meaning.endswith(".")
    assert find_cause(28).name == "LoadProhibited"
    assert find_cause(99).name == "Unknown"


@pytest.mark.parametrize(
    ("number", "address", "words"),
    [
        (28, 0, "read through a null pointer."),
        (29, 0x14, "written through a null pointer (the field at offset 20)"),
        (15, 4, "accessed through a null pointer"),
        (20, 0, "jumped to address 0"),
        (28, 0x20000000, "The address is 0x20000000."),
        (3, 0x40100002, "IRAM takes words only"),
        (3, 0x40212345, "flash can be read only, and in aligned words"),
        (3, 0x60000000, "The address is 0x60000000."),
        (9, 0x3FFE8001, "not a multiple of its size"),
        (0, 0, "an integer divided by zero"),
        (7, None, "not a possible one"),
    ],
)
def test_sentences(number: int, address: int | None, words: str) -> None:
    assert words in explain_exception(number, address=address, functions=["f"])
    assert "address" not in explain_exception(0, address=address, functions=())


@pytest.fixture(scope="module")
def crashing(whole_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a build whose scripts have crash(NAME), its ELF file in it."""
    directory = tmp_path_factory.mktemp("crashing")
    build_dir = relink_crashing(whole_build, directory)
    shutil.copy(directory / "firmware.elf", build_dir)
    return build_dir


def crash_with(build_dir: Path, name: str) -> bytes:
    result = run_lua(build_dir, f"print('before') crash('{name}')")
    assert result.returncode == 2, result.stdout
    return result.stdout.encode()


def list_places(notes: list[str]) -> list[str]:
    """Return the functions of a report, innermost first."""
    return [n.split()[2] for n in notes if n.startswith(("at ", "from", "  in"))]


CALLERS = ["inner", "outer", "crash", "luaD_precall", "luaV_execute", "luaD_call"]


@pytest.mark.parametrize(
    ("name", "title", "sentence", "places"),
    [
        (
            "load",
            "Crash: exception 15, LoadStorePIFAddrError",
            "Memory was accessed through a null pointer (the field at offset 16).",
            ["fault_load"],
        ),
        (
            "division",
            "Crash: exception 0, IllegalInstruction",
            "An integer was divided by zero.",
            ["trap_zero_divisor", "__udivsi3", "fault_division"],
        ),
        (
            "in_assembly",
            "Crash: exception 15, LoadStorePIFAddrError",
            "Data was to be read or written wrongly. The address belongs to nothing that answers: "
            "a pointer is wrong, or a peripheral is off. The address is 0x20000000.",
            ["memset", "fault_in_assembly"],
        ),
    ],
)
def test_report(crashing: Path, name: str, title: str, sentence: str, places: list[str]) -> None:
    notes = decode(crash_with(crashing, name), crashing)
    assert notes[:2] == [title, sentence]
    assert list_places(notes)[: len(places) + len(CALLERS)] == [*places, *CALLERS]
    assert list_places(notes)[-3:] == ["run_script", "main", "firmware_start"]
    assert notes[2].startswith("at   0x40")
    assert "Guessed" not in "".join(notes)


def test_jump_to_null(crashing: Path) -> None:
    notes = decode(crash_with(crashing, "jump_to_0"), crashing)
    assert "a function pointer is null" in notes[1]
    assert notes[2] == "at   0x00000000, where no code is"
    assert list_places(notes)[1:3] == ["fault_jump_to_0", "inner"]


def test_report_of_a_panic_and_of_a_recursion(crashing: Path) -> None:
    notes = decode(crash_with(crashing, "lwip"), crashing)
    assert notes[0] == "Crash: lwIP: pbuf_free: p->ref > 0"
    assert notes[1].startswith("The firmware stopped itself")
    assert list_places(notes)[:4] == ["pbuf_free", "pbuf_free", "fault_lwip", "inner"]
    notes = decode(crash_with(crashing, "overflow"), crashing)
    assert notes[0] == "Crash: the stack is exhausted"
    assert notes[1].startswith("Calls went too deep")
    assert list_places(notes) == ["fault_recursion", "fault_recursion"]
    assert notes[3].endswith(" times)")


def test_guessed_callers(crashing: Path) -> None:
    """Without registers, as in other firmwares' dumps, calls are looked for on the stack."""
    data = b"\n".join(
        line
        for line in crash_with(crashing, "load").split(b"\n")
        if not line.startswith((b"a0=", b"a4=", b"a8=", b"a12=", b"build="))
    )
    notes = decode(data, crashing)
    assert f"it is: read with {crashing / 'firmware.elf'}." in notes[-1]
    guess = notes.index(GUESSED)
    assert list_places(notes[:guess]) == ["fault_load"]
    guessed = list_places(notes[guess:])
    places = [guessed.index(name) for name in ("outer", "crash", "luaV_execute", "main")]
    assert places == sorted(places)
    addresses = [note.split()[1] for note in notes[guess:] if note.startswith("from")]
    assert len(addresses) == len(set(addresses))
    symbols = Symbols(crashing / "firmware.elf")
    assert all(symbols.follows_call(int(address, 16) + 3) for address in addresses)


GUESSED = "Guessed from the stack; there may be old return addresses among these:"


def test_function_that_has_not_kept_where_it_returns_to(crashing: Path) -> None:
    """The C library's exit() does not return: only a guess finds who called it."""
    notes = decode(crash_with(crashing, "exit"), crashing)
    assert list_places(notes[: notes.index(GUESSED)]) == ["_exit", "exit"]
    assert list_places(notes[notes.index(GUESSED) :])[:3] == ["fault_exit", "inner", "outer"]


def test_return_address_that_was_overwritten(crashing: Path) -> None:
    data = crash_with(crashing, "load")
    notes = decode(data, crashing)
    address = next(int(note.split()[1], 16) for note in notes if " outer " in note) + 3
    for word in (address + 4, 0x3FFE8000, 0x40260000):
        damaged = data.replace(f" {address:08x}".encode(), f" {word:08x}".encode())
        assert damaged != data
        notes = decode(damaged, crashing)
        assert list_places(notes[: notes.index(GUESSED)]) == ["fault_load", "inner"]
        assert list_places(notes[notes.index(GUESSED) :])[0] == "crash"


def test_report_does_not_depend_on_how_it_arrives(crashing: Path) -> None:
    data = crash_with(crashing, "load")
    decoder = Decoder(crashing)
    whole = decode(data, decoder)
    assert "fault_load" in "".join(whole)
    choose = random.Random(3)  # noqa: S311 -- the same each time
    for _ in range(5):
        pieces = [choose.randrange(1, 90) for _ in range(len(data) // 50)]
        assert decode(data, decoder, pieces) == whole
    assert decode(data, decoder, [1] * len(data)) == whole
    assert decode(data.replace(b"\n", b"\r\n"), decoder) == whole


def test_damaged_dumps_are_no_crash_of_the_monitor(crashing: Path) -> None:
    data, choose = crash_with(crashing, "load"), random.Random(4)  # noqa: S311 -- the same each time
    decoder, crashes = Decoder(crashing), 0
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(choose.randrange(1, 200)):
            damaged[choose.randrange(len(data))] = choose.choice(b"0123456789abcdef\n\xff \x00:=")
        console = Console(decoder, 0)
        console.feed(bytes(damaged), 0)
        console.finish()
        crashes += console.crashes
    assert crashes > 10


def test_dump_of_another_build(crashing: Path, firmware: Path) -> None:
    data = crash_with(crashing, "load")
    own, other = (Symbols(path / "firmware.elf").build_id for path in (crashing, firmware))
    notes = decode(data, firmware)
    assert notes[0] == "Crash: exception 15, LoadStorePIFAddrError"
    assert f"the device runs build {own}, {firmware / 'firmware.elf'} is {other}" in notes[-1]
    assert "fault_load" not in "".join(notes)
    assert "inner" not in "".join(notes)
    notes = decode(data, firmware / "nothing")
    assert "Not decoded: cannot read" in notes[-1]
    assert notes[2].startswith("at   0x40")


def test_banner_of_another_build(firmware: Path) -> None:
    """A dump without a build id is of the build that said hello before."""
    hello = f"nodemcu-tls build {ID}\n> \n"
    known = Symbols(firmware / "firmware.elf").build_id
    notes = decode((hello * 2 + ARDUINO + "0x40220000\n").encode(), firmware)
    assert sum(f"The device runs build {ID}" in note for note in notes) == 1
    assert f"Not decoded: the device runs build {ID}" in notes[-1]
    assert decode(f"nodemcu-tls build {known}\n> ".encode(), firmware) == []


def test_addresses_in_lines(firmware: Path) -> None:
    symbols = Symbols(firmware / "firmware.elf")
    main = next(a for a in range(0x40210000, 0x40260000) if is_start(symbols, a, "luaL_error"))
    notes = decode(
        f"called {main:#x} and {main:#X} from 0x40000000 0x3ffe8000\n".encode(), firmware
    )
    assert notes == [f"{main:#010x}: {symbols.lookup(main)}"]
    assert notes[0].split()[1] == "luaL_error"
    assert decode(f"{main:08x} {main} 0x{main:08x}0\n".encode(), firmware) == []
    assert decode(b"0x40220000\n", firmware / "nothing") == []


def is_start(symbols: Symbols, address: int, name: str) -> bool:
    symbol = symbols.find_symbol(address)
    return symbol is not None and (symbol.name, symbol.address) == (name, address)


def test_build_that_is_made_anew_in_the_meantime(
    crashing: Path, firmware: Path, tmp_path: Path
) -> None:
    data = crash_with(crashing, "load")
    path = tmp_path / "firmware.elf"
    shutil.copy(firmware / "firmware.elf", path)
    decoder = Decoder(tmp_path)
    console = Console(decoder, 0)
    notes = [note.text for shown in console.feed(data, 0) for note in shown.notes]
    assert "Not decoded" in notes[-1]
    shutil.copy(crashing / "firmware.elf", tmp_path / "new")
    os.replace(tmp_path / "new", path)  # noqa: PTH105 -- as the build does it
    notes = [note.text for shown in console.feed(data, 0) for note in shown.notes]
    assert "fault_load" in "".join(notes)
    assert console.crashes == 2


def test_dump_that_stops_without_a_word(firmware: Path) -> None:
    console = Console(Decoder(firmware), 0)
    data = OURS[: OURS.index("3ffffe20:") + 20].encode()
    assert not any(shown.notes for shown in console.feed(data, 1))
    assert not any(shown.notes for shown in console.feed(b"", 2))
    notes = [note.text for shown in console.feed(b"", 10) for note in shown.notes]
    assert notes[0] == "Crash: exception 29, StoreProhibited"
    assert notes[-1] == "The dump is cut off: the end of the stack is missing."
