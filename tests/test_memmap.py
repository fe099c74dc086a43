"""The memory map says the same to Python, to the compiler and to the linker."""

from __future__ import annotations

import re
from typing import get_args

from nodemcu_tls_build import memmap
from nodemcu_tls_build.profile.model import Board
from nodemcu_tls_build.resources import app_dir

UNITS = {"": 1, "K": 1024, "M": 1024 * 1024}


def load_header() -> dict[str, int]:
    text = (app_dir() / "include" / "lx106.h").read_text(encoding="utf-8")
    defines = re.findall(r"^#define LX106_(\w+) +(0x[0-9a-f]+|\d+)u?\b", text, re.MULTILINE)
    return {name: int(value, 0) for name, value in defines}


def load_linker_memory() -> dict[str, tuple[int, int]]:
    text = (app_dir() / "ld" / "esp8266.ld").read_text(encoding="utf-8")
    memory = re.findall(r"(\w+)\s+\(\w+\)\s*:\s*ORIGIN = (0x\w+), LENGTH = (\d+)([KM]?)", text)
    return {
        name: (int(origin, 16), int(length) * UNITS[unit]) for name, origin, length, unit in memory
    }


def test_header_agrees() -> None:
    header = load_header()
    assert (header["DRAM_BASE"], header["DRAM_SIZE"]) == (memmap.DRAM.start, memmap.DRAM.size)
    assert (header["IRAM_BASE"], header["IRAM_SIZE"]) == (memmap.IRAM.start, memmap.IRAM.size)
    assert header["FLASH_WINDOW"] == memmap.FLASH_WINDOW.start
    assert header["FLASH_WINDOW_SIZE"] == memmap.FLASH_WINDOW.size
    assert header["FLASH_SECTOR"] == memmap.SECTOR
    assert header["SDK_SECTORS"] == memmap.SDK_SECTORS
    assert header["CREDENTIALS_SECTORS"] == memmap.CREDENTIALS_SECTORS
    assert (header["STACK_BASE"], header["STACK_TOP"]) == (memmap.STACK.start, memmap.STACK.end)


def test_linker_script_agrees() -> None:
    expected = {
        "dram": memmap.APP_DRAM,
        "sdk": memmap.SDK_DRAM,
        "iram": memmap.IRAM,
        "irom": memmap.IROM,
        "emu": memmap.EMULATOR,
    }
    assert load_linker_memory() == {
        name: (region.start, region.size) for name, region in expected.items()
    }


def test_shares_of_dram_fill_it() -> None:
    assert memmap.APP_DRAM.start == memmap.DRAM.start
    assert memmap.APP_DRAM.end == memmap.SDK_DRAM.start
    assert memmap.SDK_DRAM.end == memmap.DRAM.end


def test_mapped_code_stands_at_its_flash_offset() -> None:
    assert memmap.IROM.start == memmap.FLASH_WINDOW.start + memmap.IROM_OFFSET
    credentials = memmap.find_credentials(memmap.FLASH_WINDOW.size)
    assert memmap.IROM.end == memmap.FLASH_WINDOW.start + credentials


def test_credentials_lie_below_the_parameters_of_the_sdk() -> None:
    assert memmap.find_credentials(1024 * memmap.KIB) == 0xF7000
    assert memmap.find_credentials(512 * memmap.KIB) == 0x77000


def test_covers() -> None:
    region = memmap.Region("r", 0x100, 0x10)
    assert region.covers(0x100)
    assert region.covers(0x100, 0x10)
    assert region.covers(0x10F)
    assert not region.covers(0xFF)
    assert not region.covers(0x110)
    assert not region.covers(0x100, 0x11)
    assert not region.covers(0xF8, 0x10)


def test_boards_are_those_of_a_profile() -> None:
    assert get_args(Board.model_fields["name"].annotation) == memmap.BOARDS
