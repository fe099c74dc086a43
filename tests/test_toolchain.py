from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from nodemcu_tls_build import toolchain
from nodemcu_tls_build.errors import ToolNotFound
from nodemcu_tls_build.process import run_capture

_VERSION = re.compile(r"\d+(\.\d+)+")


@pytest.fixture(autouse=True)
def _no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NODEMCU_TLS_CC", "NODEMCU_TLS_QEMU"):
        monkeypatch.delenv(variable, raising=False)


def test_the_compiler_compiles_with_its_library(tmp_path: Path) -> None:
    compiler = toolchain.find_compiler()
    source = tmp_path / "a.c"
    source.write_text("#include <string.h>\nsize_t f(const char *s) { return strlen(s); }\n")
    specs, output = f"--specs={compiler.specs}", tmp_path / "a.o"
    run_capture([compiler.path, specs, "-Os", "-c", source, "-o", output])
    header = run_capture([f"{compiler.prefix}readelf", "-h", output])
    assert "Tensilica Xtensa" in header
    assert _VERSION.fullmatch(compiler.version)


def test_ninja_is_the_binary_of_this_python() -> None:
    path = toolchain.find_ninja()
    assert path.parent == Path(sys.executable).parent
    assert path.read_bytes()[:4] == b"\x7fELF"
    assert _VERSION.fullmatch(toolchain.tool_version(path))


def test_ninja_of_an_older_package_and_of_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = toolchain.find_ninja()
    scripts_dir = tmp_path / "bin"
    scripts_dir.mkdir()
    (scripts_dir / "ninja").write_text("#!/usr/bin/python3\n")
    (scripts_dir / "ninja").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(scripts_dir / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(scripts_dir))
    package_dir = tmp_path / "site" / "ninja"
    package_dir.mkdir(parents=True)
    (package_dir / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(package_dir.parent))
    monkeypatch.delitem(sys.modules, "ninja", raising=False)

    monkeypatch.setenv("PATH", str(binary.parent))
    assert toolchain.find_ninja() == binary
    packaged = package_dir / "data" / "bin" / "ninja"
    packaged.parent.mkdir(parents=True)
    shutil.copy(binary, packaged)
    assert toolchain.find_ninja() == packaged
    packaged.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolNotFound) as caught:
        toolchain.find_ninja()
    assert caught.value.hint == "pip install ninja"


def test_qemu_is_found_and_is_the_right_one() -> None:
    path = toolchain.find_qemu()
    assert "lx60-nommu" in run_capture([path, "-machine", "help"])
    assert _VERSION.fullmatch(toolchain.tool_version(path))


def test_missing_tools_name_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolNotFound, match="xtensa-lx106-elf-gcc was not found") as caught:
        toolchain.find_compiler()
    assert caught.value.hint == ("sudo apt-get install gcc-xtensa-lx106 picolibc-xtensa-lx106-elf")
    with pytest.raises(ToolNotFound, match="qemu-system-xtensa was not found") as caught:
        toolchain.find_qemu()
    assert caught.value.hint == "sudo apt-get install qemu-system-misc"


def test_a_compiler_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = tmp_path / "bin" / "xtensa-lx106-elf-gcc"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {toolchain.find_compiler().path} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("NODEMCU_TLS_CC", str(wrapper))
    specs = toolchain.find_compiler().specs

    monkeypatch.setattr(toolchain, "_SYSTEM_ROOT", tmp_path / "none")
    with pytest.raises(ToolNotFound, match="picolibc") as caught:
        toolchain.find_compiler()
    assert "picolibc-xtensa-lx106-elf" in (caught.value.hint or "")

    own_specs = tmp_path / "lib" / "xtensa-lx106-elf" / "picolibc.specs"
    own_specs.parent.mkdir(parents=True)
    shutil.copy(specs, own_specs)
    compiler = toolchain.find_compiler()
    assert (compiler.path, compiler.specs) == (wrapper, own_specs)
    assert compiler.prefix == str(tmp_path / "bin" / "xtensa-lx106-elf-")


def test_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu = toolchain.find_qemu()
    (tmp_path / "emulator").symlink_to(qemu)
    monkeypatch.setenv("NODEMCU_TLS_QEMU", str(tmp_path / "emulator"))
    assert toolchain.find_qemu() == tmp_path / "emulator"
    monkeypatch.setenv("NODEMCU_TLS_QEMU", str(tmp_path / "none"))
    with pytest.raises(ToolNotFound, match="NODEMCU_TLS_QEMU names") as caught:
        toolchain.find_qemu()
    assert caught.value.hint == "Correct or unset NODEMCU_TLS_QEMU."

    monkeypatch.setenv("NODEMCU_TLS_CC", os.devnull)
    with pytest.raises(ToolNotFound, match="NODEMCU_TLS_CC names /dev/null"):
        toolchain.find_compiler()
    monkeypatch.setenv("NODEMCU_TLS_CC", "true")
    with pytest.raises(ToolNotFound, match="true is not a gcc for xtensa-lx106-elf"):
        toolchain.find_compiler()
