"""The firmware of a build, linked once more with a file that changes what it does."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from test_board_flash import make_build

from nodemcu_tls_build.memmap import BOOT_OFFSET, IROM_OFFSET, KIB
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.toolchain import find_compiler

_SOURCE_DIR = Path(__file__).parent / "firmware"


def relink(
    whole_build: Path, directory: Path, source: str, *, wrapped: Sequence[str], **defines: int
) -> Path:
    """Link a whole build's objects with one of tests/firmware/ and return a build of it.

    The file's functions `__wrap_NAME` take the place of those in `wrapped`. The ELF file is left
    in `directory`.
    """
    compiler, work_dir = find_compiler(), whole_build / "work"
    ninja = (work_dir / "build.ninja").read_text(encoding="utf-8")
    # Objects of an earlier build, with another mbedTLS, may lie beside them.
    names = re.findall(r"^build (obj/\S+\.o):", ninja, re.MULTILINE)
    objects = sorted(work_dir / name for name in names if not name.startswith("obj/boot/"))
    flags = re.search(r"^flags_app =(.*)$", ninja, re.MULTILINE)
    assert flags
    own = directory / "own.o"
    compile_own = [
        *(str(compiler.path), *shlex.split(flags[1].replace("$$", "$"))),
        *(f"-D{name}={number}" for name, number in defines.items()),
        *("-c", str(_SOURCE_DIR / source), "-o", str(own)),
    ]
    link = [
        *(str(compiler.path), f"--specs={compiler.specs}", "-nostartfiles", "-mlongcalls"),
        *("-Wl,--gc-sections", "-Wl,--build-id=sha1"),
        *(f"-L{app_dir() / 'ld'}", "-Tesp8266.ld"),
        *(f"-Wl,--wrap={name}" for name in wrapped),
        *map(str, [own, *objects]),
        *("-Wl,--start-group", "-lm", "-lc", "-lgcc", "-Wl,--end-group", "-o", "firmware.elf"),
    ]
    esptool = [sys.executable, "-m", "esptool", "--chip", "esp8266", "elf2image"]
    esptool += ["--flash-mode", "dio", "--flash-size", "1MB", "--output", "./", "firmware.elf"]
    for step, cwd in ((compile_own, work_dir), (link, directory), (esptool, directory)):
        result = subprocess.run(
            step, check=False, cwd=cwd, capture_output=True, text=True, timeout=120
        )
        assert result.returncode == 0, result.stderr
    images = {
        offset: (directory / f"{offset:#07x}.bin").read_bytes()
        for offset in (BOOT_OFFSET, IROM_OFFSET)
    }
    rom = (whole_build / "bootrom.elf").read_bytes()
    return make_build(directory / "relinked", images, rom, 1024 * KIB)


def relink_crashing(whole_build: Path, directory: Path) -> Path:
    """Return a build whose scripts have crash(NAME)."""
    wrapped = ["luaopen_base", "build_id_text", "cpu_watch"]
    return relink(whole_build, directory, "crashes.c", wrapped=wrapped)
