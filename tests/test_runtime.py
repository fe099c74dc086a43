from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from nodemcu_tls_build.process import run_capture
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.toolchain import Compiler, find_compiler, find_qemu

_HELPER_DIR = app_dir() / "runtime"
_HELPERS = [
    _HELPER_DIR / name for name in ("div32.c", "int64.c", "float32.c", "float64.c", "convert.c")
]
_CHECKS = Path(__file__).parent / "runtime"
_WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Werror")
_HOST_CC = ("gcc", "-std=gnu99", "-ffp-contract=off", *_WARNINGS, f"-I{_HELPER_DIR}")
_HOST_NAMES = "-DRUNTIME_NAME(name)=checked_##name"  # the host's own library has __muldi3 too
_CHIP_FLAGS = (
    *("-Os", "-std=gnu99", "-mlongcalls", "-mtext-section-literals"),
    *("-ffunction-sections", "-fdata-sections", *_WARNINGS, f"-I{_HELPER_DIR}"),
)
_CHIP_PAIRS = 100_000
_RUN_LIMIT = 120  # seconds; a run takes some ten
_ILLEGAL_INSTRUCTION_EXIT = 64  # target_start.S: 64 + EXCCAUSE, and that is 0

# How the compiler's helpers are called: an operation, one or two modes, the number of operands.
_HELPER_NAME = re.compile(r"__[a-z]+([sd][if]){1,2}[234]?")


@pytest.fixture(scope="module")
def compiler() -> Compiler:
    return find_compiler()


@pytest.fixture(scope="module")
def objects(compiler: Compiler, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Compile the helpers as the firmware does."""
    out_dir = tmp_path_factory.mktemp("objects")
    objects = [out_dir / f"{source.stem}.o" for source in _HELPERS]
    for source, target in zip(_HELPERS, objects, strict=True):
        run_capture([*_chip_cc(compiler), "-c", source, "-o", target])
    return objects


@pytest.fixture(scope="module")
def chip_program(
    compiler: Compiler, objects: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    program = tmp_path_factory.mktemp("chip") / "check.elf"
    source = _CHECKS / "target_check.c"
    return _link_chip_program(
        compiler, [source, *objects], program, f"-DRANDOM_PAIRS={_CHIP_PAIRS}"
    )


def _chip_cc(compiler: Compiler) -> list[str | Path]:
    return [compiler.path, f"--specs={compiler.specs}", *_CHIP_FLAGS]


def _link_chip_program(compiler: Compiler, inputs: list[Path], program: Path, define: str) -> Path:
    start, script = _CHECKS / "target_start.S", _CHECKS / "target.ld"
    command = [*_chip_cc(compiler), define, "-nostartfiles", "-T", script]
    run_capture([*command, start, *inputs, "-o", program])
    return program


def _run_on_chip(program: Path) -> subprocess.CompletedProcess[str]:
    machine = [str(find_qemu()), "-M", "lx60-nommu", "-cpu", "lx106", "-semihosting"]
    no_devices = ["-display", "none", "-monitor", "none", "-serial", "none", "-nic", "none"]
    return subprocess.run(
        [*machine, *no_devices, "-kernel", str(program)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_RUN_LIMIT,
    )


def _build_native_check(out_dir: Path, *flags: str) -> Path:
    program = out_dir / "native_check"
    sources = [*_HELPERS, _CHECKS / "native_check.c"]
    run_capture([*_HOST_CC, *flags, _HOST_NAMES, *sources, "-o", program])
    return program


def _run_native_check(program: Path, random_pairs: int) -> list[str]:
    result = subprocess.run(
        [str(program), str(random_pairs)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_RUN_LIMIT,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


def _symbols(compiler: Compiler, selection: str, *files: str | Path) -> set[str]:
    listing = run_capture([f"{compiler.prefix}nm", "--format=posix", selection, *files])
    return {line.split()[0] for line in listing.splitlines() if " " in line}


def _defined(compiler: Compiler, *files: str | Path) -> set[str]:
    return _symbols(compiler, "--defined-only", "-g", *files)


def _undefined(compiler: Compiler, *files: str | Path) -> set[str]:
    return _symbols(compiler, "--undefined-only", *files)


def _library(compiler: Compiler, name: str) -> str:
    return run_capture([*_chip_cc(compiler), f"-print-file-name={name}"]).strip()


def test_results_are_those_of_the_host_bit_for_bit(
    tmp_path: Path, compiler: Compiler, objects: list[Path]
) -> None:
    lines = _run_native_check(_build_native_check(tmp_path, "-O2"), 3_000_000)
    helpers = {name for name in _defined(compiler, *objects) if name.startswith("__")}
    assert sorted(lines) == sorted(f"{name.removeprefix('__')} exact" for name in helpers)


def test_no_operand_leads_to_undefined_behaviour(tmp_path: Path) -> None:
    sanitizers = ("-fsanitize=undefined,address", "-fno-sanitize-recover=all")
    program = _build_native_check(tmp_path, "-O1", "-g", *sanitizers)
    assert all(line.endswith(" exact") for line in _run_native_check(program, 50_000))


def test_the_chip_computes_what_the_host_computes(tmp_path: Path, chip_program: Path) -> None:
    host_program = tmp_path / "check"
    source = _CHECKS / "target_check.c"
    run_capture([*_HOST_CC, "-O2", f"-DRANDOM_PAIRS={_CHIP_PAIRS}", source, "-o", host_program])
    on_host = dict(line.split() for line in run_capture([host_program]).splitlines())
    result = _run_on_chip(chip_program)
    on_chip = dict(line.split() for line in result.stdout.splitlines())
    assert on_chip == on_host
    assert result.returncode == 0


def test_the_chip_program_calls_every_helper(
    compiler: Compiler, objects: list[Path], chip_program: Path
) -> None:
    # It is linked with --gc-sections: a helper that nothing calls would be gone.
    assert _defined(compiler, *objects) <= _symbols(compiler, "--defined-only", chip_program)


@pytest.mark.parametrize("operator", ["/", "%"])
@pytest.mark.parametrize("integer", ["uint32_t", "int32_t", "uint64_t", "int64_t"])
def test_division_by_zero_is_an_illegal_instruction(
    tmp_path: Path, compiler: Compiler, objects: list[Path], integer: str, operator: str
) -> None:
    define = f"-DDIVISION=({integer})seven {operator} ({integer})zero"
    inputs = [_CHECKS / "target_divide.c", *objects]
    program = _link_chip_program(compiler, inputs, tmp_path / "divide.elf", define)
    assert _run_on_chip(program).returncode == _ILLEGAL_INSTRUCTION_EXIT


def test_the_helpers_are_exactly_those_libgcc_lacks(
    compiler: Compiler, objects: list[Path]
) -> None:
    libgcc = _library(compiler, "libgcc.a")
    libraries = [libgcc, _library(compiler, "libc.a"), _library(compiler, "libm.a")]
    there = _defined(compiler, *libraries)
    wanted = {
        name for name in _undefined(compiler, *libraries) - there if _HELPER_NAME.fullmatch(name)
    }
    supplied = {name for name in _defined(compiler, *objects) if name.startswith("__")}
    assert supplied.isdisjoint(_defined(compiler, libgcc))
    # The libraries have no cast of floating point to unsigned; a firmware may.
    assert supplied == wanted | {"__fixunsdfsi", "__fixunssfsi"}


def test_helpers_need_nothing_but_themselves_and_shifts(
    compiler: Compiler, objects: list[Path]
) -> None:
    needed = _undefined(compiler, *objects) - _defined(compiler, *objects)
    assert needed <= {"__ashldi3", "__lshrdi3", "__ashrdi3"}


def test_no_helper_comes_back_to_itself(objects: list[Path]) -> None:
    calls: dict[str, set[str]] = {}
    for path in objects:
        for caller, callee in _read_calls(path):
            calls.setdefault(caller, set()).add(callee)
    order = list(TopologicalSorter(calls).static_order())  # raises CycleError, naming the cycle
    assert order.index("__umulsidi3") < order.index("__muldf3")
    assert order.index("__udivsi3") < order.index("__divsi3")


def _read_calls(path: Path) -> Iterator[tuple[str, str]]:
    """Read who calls whom from the relocations; every function has a section of its own.

    A relocation against the function's own section is a branch or a literal. One against another
    section is a call of a static function.
    """
    with path.open("rb") as file:
        elf = ELFFile(file)
        for relocations in elf.iter_sections():
            if not isinstance(relocations, RelocationSection):
                continue
            section = elf.get_section(relocations["sh_info"]).name
            if not section.startswith(".text."):
                continue
            symbols = elf.get_section(relocations["sh_link"])
            assert isinstance(symbols, SymbolTableSection)
            for relocation in relocations.iter_relocations():
                symbol = symbols.get_symbol(relocation["r_info_sym"])
                target = symbol.name
                if symbol["st_info"]["type"] == "STT_SECTION":
                    target = elf.get_section(symbol["st_shndx"]).name
                if target.startswith(".text.") and target == section:
                    continue
                yield _function(section, path), _function(target, path)


def _function(name: str, path: Path) -> str:
    """Name the function of a section; static ones of the same name exist in several files."""
    name = name.removeprefix(".text.")
    return name if name.startswith(("__", "softfp_")) else f"{path.stem}:{name}"
