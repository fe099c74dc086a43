"""Sizes: every byte of the firmware is counted once, and has an owner."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
import pytest
from synthetic_elf import SHF_ALLOC, SHF_WRITE, Section, make_elf

from nodemcu_tls_build.commands.show import format_layout, format_sizes
from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.size import (
    PADDING,
    ComponentSize,
    RegionUse,
    SizeReport,
    find_component,
    measure_elf,
)
from nodemcu_tls_build.toolchain import find_compiler

DATA = SHF_ALLOC | SHF_WRITE

SECTIONS = [
    Section(".text", 0x40100000, bytes(0x28)),
    Section(".data", 0x3FFE8000, bytes(0x10), flags=DATA),
    Section(".bss", 0x3FFE8010, zeroed=0x30, flags=DATA),
    Section(".sdk.bss", 0x3FFF4800, zeroed=0x40, flags=DATA),
    Section(".emu.bss", 0x3FFC0000, zeroed=0x600, flags=DATA),
    Section(".irom0.text", 0x40210000, bytes(0x100)),
    Section(".debug_info", 0, bytes(0x99), flags=0),
]

MAP = """\
Discarded input sections

 .text.unused   0x40210000       0x80 obj/app/main.o

Memory Configuration

Linker script and memory map

LOAD obj/app/main.o

.text           0x40100000       0x28
 *(.vectors)
 .vectors       0x40100000       0x20 /tmp/a b/obj/app/start.o
                0x40100000                vectors
 *fill*         0x40100020        0x8 \n
.data           0x3ffe8000       0x10
 .data.state    0x3ffe8000       0x10 obj/mbedtls/library/ssl.c.o

.bss            0x3ffe8010       0x30
 COMMON         0x3ffe8010       0x30 obj/lua/lstate.o

.sdk.bss        0x3fff4800       0x40
 .bss.memp_memory_of_the_pools
                0x3fff4800       0x40 obj/lwip/memp.o

.emu.bss        0x3ffc0000      0x600
 .emu.bss       0x3ffc0000      0x600 obj/app/eth.o

.irom0.text     0x40210000      0x100
 .note.gnu.build-id
                0x40210000       0x10 obj/mbedtls/library/aes.c.o
 .text.f        0x40210010       0x30 obj/mbedtls/library/ssl.c.o
                                 0x60 (size before relaxing)
 .text          0x40210040       0x30 /usr/lib/libc.a(memset.o)
 .text          0x40210070       0x10 /usr/lib/gcc/12/libgcc.a(_ashldi3.o)
 .rodata.f.str1.1
                0x40210080       0x40 obj/mbedtls/library/ssl.c.o
 .rodata.g.str1.1
                0x402100c0       0x20 obj/lua/lapi.o
 .rodata.g      0x402100c0       0x3c obj/app/main.o
"""


def test_attributes_every_byte(tmp_path: Path) -> None:
    (tmp_path / "f.elf").write_bytes(make_elf(SECTIONS))
    (tmp_path / "f.map").write_text(MAP, encoding="utf-8")
    report = measure_elf(tmp_path / "f.elf", tmp_path / "f.map")
    assert report.regions == {
        "iram": RegionUse(0x28, 32 * 1024),
        "dram": RegionUse(0x40, 50 * 1024),
        "sdk": RegionUse(0x40, 30 * 1024),
        "flash": RegionUse(0x100, 924 * 1024),
        "emulator": RegionUse(0x600, 160 * 1024),
    }
    assert report.components == {
        "mbedtls": ComponentSize(flash=0x70, data=0x10),
        "libc": ComponentSize(flash=0x40),
        "app": ComponentSize(flash=0x4C, iram=0x20),  # the build id is in it
        "lua": ComponentSize(bss=0x30),
        "lwip": ComponentSize(sdk=0x40),
        PADDING: ComponentSize(flash=4, iram=8),
    }
    assert list(report.components) == ["mbedtls", "app", "libc", "lua", "lwip", PADDING]
    assert report.total == ComponentSize(flash=0x100, iram=0x28, data=0x10, bss=0x30, sdk=0x40)


def test_to_dict(tmp_path: Path) -> None:
    (tmp_path / "f.elf").write_bytes(make_elf(SECTIONS))
    (tmp_path / "f.map").write_text(MAP, encoding="utf-8")
    data = measure_elf(tmp_path / "f.elf", tmp_path / "f.map").to_dict()
    assert data["regions"]["dram"] == {"used": 0x40, "limit": 51200, "free": 51200 - 0x40}
    assert data["components"]["mbedtls"] == {
        "flash": 0x70,
        "iram": 0,
        "data": 0x10,
        "bss": 0,
        "sdk": 0,
    }
    assert data["total"]["flash"] == 0x100


def test_reads_the_linkers_own_map(tmp_path: Path) -> None:
    """Compile and link two components for the chip; ld decides what its map looks like."""
    sources = {
        "obj/mbedtls/library/a.o": (
            "int q = 5, common, z[10]; const char *a(void) { return "
            '"a string that two files share"; }\n'
            "void *memset(void *, int, unsigned);\n"
            "int f(char *p) { memset(p, 0, 300); return ++q + ++common + z[2]++; }\n"
        ),
        "obj/app/a_file_with_quite_a_long_name.o": (
            'const char *b(void) { return "a string that two files share"; }\n'
            "const char *a(void); int f(char *);\n"
            '__attribute__((section(".iram.text"))) int firmware_start(void)\n'
            "{ return f((char *)a()) + (int)b(); }\n"
        ),
    }
    compiler = find_compiler()
    flags = ["-Os", "-mlongcalls", "-mtext-section-literals", "-ffunction-sections"]
    flags += ["-fdata-sections", f"--specs={compiler.specs}", "-nostartfiles", "-Wl,--gc-sections"]
    for name, text in sources.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.with_suffix(".c").write_text(text, encoding="utf-8")
        subprocess.run(
            [str(compiler.path), *flags, "-c", str(path.with_suffix(".c")), "-o", str(path)],
            check=True,
        )
    subprocess.run(
        [
            *(str(compiler.path), *flags, f"-L{app_dir() / 'ld'}", "-Tesp8266.ld"),
            *("-Wl,-Map=f.map", *sources, "-o", "f.elf"),
        ],
        check=True,
        cwd=tmp_path,
    )
    report = measure_elf(tmp_path / "f.elf", tmp_path / "f.map")
    assert set(report.components) <= {"mbedtls", "app", "libc", PADDING}
    assert report.components["mbedtls"].data == 4
    assert report.components["mbedtls"].bss == 44
    assert report.components["mbedtls"].flash > len("a string that two files share")
    assert report.components["app"].iram > 0
    assert report.components["libc"].flash > 0
    assert report.total.flash == report.regions["flash"].used
    assert report.total.iram == report.regions["iram"].used
    assert report.total.data + report.total.bss == report.regions["dram"].used
    # The shared string is there once: what is not code or that string is at most alignment.
    assert report.components[PADDING].flash < 32


@pytest.mark.parametrize(
    ("origin", "component"),
    [
        ("obj/mbedtls/library/aes.c.o", "mbedtls"),
        ("./obj/app/main.o", "app"),
        ("/home/me/obj/firmware/build/obj/lua/lapi.o", "lua"),
        ("/usr/lib/xtensa-lx106-elf/lib/libc.a(memset.o)", "libc"),
        ("/usr/lib/gcc/xtensa-lx106-elf/12/libgcc.a(_ashldi3.o)", "libc"),
        ("main.o", "other"),
        ("obj/main.o", "other"),
    ],
)
def test_find_component(origin: str, component: str) -> None:
    assert find_component(origin) == component


def test_section_outside_the_chip(tmp_path: Path) -> None:
    sections = [Section(".bss", 0x3FFF0000, zeroed=40 * 1024, flags=DATA)]
    (tmp_path / "f.elf").write_bytes(make_elf(sections))
    with pytest.raises(ImageError, match=r"section \.bss \(40,960 bytes at 0x3fff0000\)"):
        measure_elf(tmp_path / "f.elf", tmp_path / "f.map")


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot read .*f\.elf"):
        measure_elf(tmp_path / "f.elf", tmp_path / "f.map")
    for text in (b"", b"not an ELF file at all", make_elf(SECTIONS)[:60]):
        (tmp_path / "f.elf").write_bytes(text)
        with pytest.raises(ImageError, match="is not an ELF file"):
            measure_elf(tmp_path / "f.elf", tmp_path / "f.map")
    (tmp_path / "f.elf").write_bytes(make_elf(SECTIONS))
    with pytest.raises(ImageError, match=r"cannot read .*f\.map"):
        measure_elf(tmp_path / "f.elf", tmp_path / "f.map")


REPORT = SizeReport(
    {
        "iram": RegionUse(31000, 32768),
        "dram": RegionUse(9876, 51200),
        "sdk": RegionUse(12345, 30720),
        "flash": RegionUse(284713, 983040),
        "emulator": RegionUse(12560, 163840),
    },
    {
        "mbedtls": ComponentSize(flash=180000, data=120, bss=4000),
        "lua": ComponentSize(flash=104000, iram=1000, bss=56),
        PADDING: ComponentSize(flash=713),
    },
)

TABLE = """\
Memory                 used    limit     free   full
Flash, mapped       284,713  983,040  698,327  29.0%
IRAM                 31,000   32,768    1,768  94.6%
DRAM, application     9,876   51,200   41,324  19.3%  for the heap
DRAM, SDK's share    12,345   30,720   18,375  40.2%
Emulator only        12,560                           not on the chip

Component             flash   iram  data    bss  sdk
mbedtls             180,000      -   120  4,000    -
lua                 104,000  1,000     -     56    -
alignment               713      -     -      -    -
total               284,713  1,000   120  4,056    0
"""


BUILD = {
    "images": [
        {"name": "0x00000.bin", "offset": 0, "length": 12345, "sha256": "0123456789abcdef" * 4},
        {"name": "0x10000.bin", "offset": 65536, "length": 284713, "sha256": "fedcba9876" * 6},
    ],
}

LAYOUT = """\
Flash                offset      end    bytes  SHA-256
0x00000.bin         0x00000  0x03039   12,345  0123456789abcdef
0x10000.bin         0x10000  0x55829  284,713  fedcba9876fedcba
"""


def test_tables() -> None:
    for text, expected in ((format_sizes(REPORT.to_dict()), TABLE), (format_layout(BUILD), LAYOUT)):
        assert f"{click.unstyle(text)}\n" == expected
        assert all(len(line) < 80 for line in expected.splitlines())


def test_full_memory_is_coloured() -> None:
    over = SizeReport(REPORT.regions | {"dram": RegionUse(60000, 51200)}, REPORT.components)
    lines = format_sizes(over.to_dict()).splitlines()
    coloured = {click.unstyle(line).split()[0]: line[:5] for line in lines if "\x1b[3" in line}
    assert coloured == {"IRAM": "\x1b[33m", "DRAM,": "\x1b[31m"}
