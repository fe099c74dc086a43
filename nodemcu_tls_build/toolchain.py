"""Find the compiler, ninja and the emulator, and ask their versions."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nodemcu_tls_build.errors import ToolFailed, ToolNotFound
from nodemcu_tls_build.process import run_capture

_TRIPLE = "xtensa-lx106-elf"
_SYSTEM_ROOT = Path("/usr")
_COMPILER_HINT = "sudo apt-get install gcc-xtensa-lx106 picolibc-xtensa-lx106-elf"
_QEMU_HINT = "sudo apt-get install qemu-system-misc"
_NINJA_HINT = "pip install ninja"


@dataclass(frozen=True)
class Compiler:
    """Name the cross compiler, what its sibling tools' paths start with, and its C library."""

    path: Path
    prefix: str
    specs: Path

    @cached_property
    def version(self) -> str:
        """Ask the compiler for its version."""
        return tool_version(self.path)


def find_compiler() -> Compiler:
    """Return the lx106 compiler: NODEMCU_TLS_CC, or else the one on PATH.

    Raises ToolNotFound when there is none, when it is for another machine, or when picolibc is
    missing.
    """
    path = _find_override("NODEMCU_TLS_CC") or _find_on_path(f"{_TRIPLE}-gcc", _COMPILER_HINT)
    try:
        machine = run_capture([path, "-dumpmachine"]).strip()
    except ToolFailed:
        machine = "unknown"
    if machine != _TRIPLE or "gcc" not in path.name:
        raise ToolNotFound(
            f"{path} is not a gcc for {_TRIPLE} (its target: {machine})", _COMPILER_HINT
        )
    for root in (path.parent.parent, path.resolve().parent.parent, _SYSTEM_ROOT):
        specs = root / "lib" / _TRIPLE / "picolibc.specs"
        if specs.is_file():
            prefix = str(path.parent / path.name.rpartition("gcc")[0])
            return Compiler(path, prefix, specs)
    raise ToolNotFound(f"picolibc for {_TRIPLE} was not found", _COMPILER_HINT)


def find_ninja() -> Path:
    """Return ninja: the binary installed with this Python, or else the one on PATH."""
    scripts_dirs = (Path(sys.executable).parent, Path(sysconfig.get_path("scripts")))
    for path in (*(scripts_dir / "ninja" for scripts_dir in scripts_dirs), _packaged_ninja()):
        # Older packages install a Python script there, which costs an interpreter's start.
        if path is not None and os.access(path, os.X_OK) and not _is_script(path):
            return path
    return _find_on_path("ninja", _NINJA_HINT)


def find_python() -> Path:
    """Return this Python by one name, whether it was started as python, python3 or python3.11."""
    path = Path(sys.executable)
    plain = path.with_name("python3")
    return plain if plain.exists() and plain.samefile(path) else path


def find_qemu() -> Path:
    """Return the emulator: NODEMCU_TLS_QEMU, or else the one on PATH."""
    return _find_override("NODEMCU_TLS_QEMU") or _find_on_path("qemu-system-xtensa", _QEMU_HINT)


def tool_version(path: Path) -> str:
    """Ask a program for its version and return the number alone."""
    first_line = run_capture([path, "--version"]).partition("\n")[0]
    numbers = re.findall(r"\d+(?:\.\d+)+", re.sub(r"\([^)]*\)", "", first_line))
    return numbers[-1] if numbers else first_line.strip()


def _packaged_ninja() -> Path | None:
    """Return where older ninja packages keep the binary, without importing them."""
    spec = importlib.util.find_spec("ninja")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], "data", "bin", "ninja")


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def _find_override(variable: str) -> Path | None:
    value = os.environ.get(variable)
    if not value:
        return None
    found = shutil.which(value)
    if found is None:
        raise ToolNotFound(
            f"{variable} names {value}, which is not a program", f"Correct or unset {variable}."
        )
    return Path(found).absolute()


def _find_on_path(name: str, hint: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise ToolNotFound(f"{name} was not found", hint)
    return Path(found).absolute()
