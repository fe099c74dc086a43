"""The firmware on the emulated chip when memory runs out in a TLS connection, and afterwards."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from emulated import HOST, run_lua
from peers import run_s_server
from pki import make_authority, make_pem
from test_board_flash import make_build

from nodemcu_tls_build.memmap import BOOT_OFFSET, IROM_OFFSET, KIB
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.toolchain import find_compiler

WRAPPED = (
    *("malloc", "calloc", "realloc"),
    *("tls_conn_open", "tls_conn_close", "board_chip_id"),
)
# A turn is a connection; what each line says: the allocation that was refused, what became of the
# connection, how many events told it, and how many bytes of heap are missing since the start.
SCRIPT = """
local _ = tmr.now, net.TCP -- a library takes its heap at first use
tls.cert.verify([[{pem}]])
local turn, outcome, told, before, turns, refused = nil, nil, 0, nil, 0, 0
local function measure() collectgarbage() collectgarbage() return node.heap() end
local function check()
  if turns > 3 then print(refused, outcome, told, before - measure()) end
  if turns % {every} == 0 and refused == 0 then os.exit(0) end
  turn()
end
local function note(what)
  told, outcome, refused = told + 1, what, node.chipid()
  if told == 1 then tmr.create():alarm(2, tmr.ALARM_SINGLE, check) end
end
function turn()
  turns = turns + 1
  outcome, told = nil, 0
  if turns <= 4 then before = measure() end
  local socket, answer = tls.createConnection {{ resume = {resume} }}, ""
  socket:on("connection", function(s) s:send("hello\\n") end)
  socket:on("receive", function(s, data)
    answer = answer .. data
    if answer == "olleh\\n" then s:close() note("whole") end
  end)
  socket:on("disconnection", function(_, reason) note(reason) end)
  local good, reason = pcall(socket.connect, socket, {port}, "server.test")
  if not good then socket:close() note("raised: " .. reason) end
end
turn()
"""


def link_refusing(whole_build: Path, directory: Path, *, first: int, step: int, every: int) -> Path:
    """Link the firmware of a whole build with failing_malloc.c, and return a build of it."""
    compiler, app, work_dir = find_compiler(), app_dir(), whole_build / "work"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    objects = [p for p in work_dir.glob("obj/**/*.o") if "obj/boot" not in str(p)]
    command = [
        *(str(compiler.path), f"--specs={compiler.specs}", "-std=gnu99", "-Os", "-nostartfiles"),
        *("-mlongcalls", "-mtext-section-literals", "-ffunction-sections", "-fdata-sections"),
        *("-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Werror", "-Wl,--gc-sections"),
        *(f"-I{app / name}" for name in ("include", "board")),
        *(f"-DFIRST_REFUSED={first}", f"-DSTEP={step}", f"-DEVERY={every}"),
        *(f"-L{app / 'ld'}", "-Tesp8266.ld", *(f"-Wl,--wrap={name}" for name in WRAPPED)),
        *map(str, [Path(__file__).parent / "firmware/failing_malloc.c", *objects]),
        *("-Wl,--start-group", "-lm", "-lc", "-lgcc", "-Wl,--end-group", "-o", "program.elf"),
    ]
    esptool = [sys.executable, "-m", "esptool", "--chip", "esp8266", "elf2image"]
    esptool += ["--flash-mode", "dio", "--flash-size", "1MB", "--output", "./", "program.elf"]
    for step_command in (command, esptool):
        result = subprocess.run(
            step_command, check=False, cwd=directory, capture_output=True, text=True, timeout=120
        )
        assert result.returncode == 0, result.stderr
    images = {
        offset: (directory / f"{offset:#07x}.bin").read_bytes()
        for offset in (BOOT_OFFSET, IROM_OFFSET)
    }
    rom = (whole_build / "bootrom.elf").read_bytes()
    return make_build(directory / "build", images, rom, 1024 * KIB)
