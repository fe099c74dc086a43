"""The firmware of a build, linked once more so that it refuses allocations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from test_board_flash import make_build

from nodemcu_tls_build.memmap import BOOT_OFFSET, IROM_OFFSET, KIB
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.toolchain import find_compiler

WARM_UP = 4  # connections with nothing refused
_SOURCE = Path(__file__).parent / "firmware/failing_malloc.c"
_WRAPPED = (
    *("malloc", "calloc", "realloc"),
    *("tls_conn_open", "tls_conn_close", "board_chip_id"),
)


def link_refusing(whole_build: Path, directory: Path, **defines: int) -> Path:
    """Link a whole build's objects with failing_malloc.c and return a build of it."""
    compiler, app, work_dir = find_compiler(), app_dir(), whole_build / "work"
    objects = sorted(set(work_dir.glob("obj/**/*.o")) - set(work_dir.glob("obj/boot/**/*.o")))
    command = [
        *(str(compiler.path), f"--specs={compiler.specs}", "-std=gnu99", "-Os", "-nostartfiles"),
        *("-mlongcalls", "-mtext-section-literals", "-ffunction-sections", "-fdata-sections"),
        *("-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Werror", "-Wl,--gc-sections"),
        *(f"-D{name}={number}" for name, number in {"WARM_UP": WARM_UP, **defines}.items()),
        *(f"-I{app / 'board'}", f"-L{app / 'ld'}", "-Tesp8266.ld"),
        *(f"-Wl,--wrap={name}" for name in _WRAPPED),
        *map(str, [_SOURCE, *objects]),
        *("-Wl,--start-group", "-lm", "-lc", "-lgcc", "-Wl,--end-group", "-o", "firmware.elf"),
    ]
    esptool = [sys.executable, "-m", "esptool", "--chip", "esp8266", "elf2image"]
    esptool += ["--flash-mode", "dio", "--flash-size", "1MB", "--output", "./", "firmware.elf"]
    for step in (command, esptool):
        result = subprocess.run(
            step, check=False, cwd=directory, capture_output=True, text=True, timeout=120
        )
        assert result.returncode == 0, result.stderr
    images = {
        offset: (directory / f"{offset:#07x}.bin").read_bytes()
        for offset in (BOOT_OFFSET, IROM_OFFSET)
    }
    rom = (whole_build / "bootrom.elf").read_bytes()
    return make_build(directory / "refusing", images, rom, 1024 * KIB)
