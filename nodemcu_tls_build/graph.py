"""Say which files are compiled with which flags, and how they become an image."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from nodemcu_tls_build.errors import BuildError
from nodemcu_tls_build.profile import Profile
from nodemcu_tls_build.render import render_template
from nodemcu_tls_build.toolchain import Compiler, find_python

_COMMON_FLAGS = (
    *("-mlongcalls", "-mtext-section-literals", "-std=gnu99", "-g", "-pipe"),
    *("-ffunction-sections", "-fdata-sections"),
    # Upstream looks for overflows and null pointers in ways that the standard leaves undefined:
    # unpack() of Lua checks `n <= 0` after the difference of two integers has wrapped.
    *("-fno-strict-overflow", "-fno-delete-null-pointer-checks"),
)
# The guard at the stack's end is 64 bytes, which a large frame steps over: no frame of ours is
# large, and none has a size that is known only when it runs.
_OWN_WARNINGS = (
    *("-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Werror"),
    *("-Wframe-larger-than=512", "-Wvla", "-Walloca"),
)
# Compilers are told that they work here, so that the work directory's name is in no output.
WORKING_DIR = Path("/proc/self/cwd")

# The parts of each upstream tree that the firmware needs, as globs below the tree's root.
_UPSTREAM_FILES = {
    "mbedtls": ("library/*.c",),
    "lwip": ("src/core/*.c", "src/core/ipv4/*.c", "src/netif/ethernet.c"),
    "lua": ("src/l*.c",),
}
# Lua's programs, and the libraries that need an operating system.
_LUA_LEFT_OUT = {"lua.c", "luac.c", "linit.c", "liolib.c", "loslib.c", "loadlib.c"}
# Parts of the names of lstrlib.c's functions other than match().
_NOT_RECURSIVE = (
    "str_,gmatch,gfind,single,class,expand,balance,capture,add_,buff,posrelat,lmem,push"
)
_UPSTREAM_INCLUDES = {"mbedtls": "include", "lwip": "src/include", "lua": "src"}

_APP_DIRS = (".", "modules", "tls", "net", "lua", "board/virtual", "runtime")
_BOOT_FILES = ("boot/*", "board/virtual/uart.c", "board/virtual/simcall.S")
_APP_INCLUDES = (
    *("include", ".", "modules", "tls", "net", "lua", "board", "board/virtual", "runtime"),
)

_OPTIMISE = {"size": "-Os", "speed": "-O2"}

_NOT_FOR_NINJA = re.compile(r"[\x00-\x1f|;*<>^`\\]")


@dataclass(frozen=True)
class Unit:
    """One source file and the object it becomes; `component` names its flags."""

    source: Path
    object: str
    component: str


@dataclass(frozen=True)
class Graph:
    """Everything that `build.ninja` says. Paths without a root are below the work directory."""

    compiler: Path
    working_dir: Path
    python: Path
    specs: Path
    flags: dict[str, tuple[str, ...]]
    units: tuple[Unit, ...]
    boot_units: tuple[Unit, ...]
    linker_dir: Path
    linker_scripts: tuple[Path, ...]
    flash_mode: str
    flash_frequency: str
    flash_size: str


def make_graph(
    profile: Profile, compiler: Compiler, trees: dict[str, Path], app_dir: Path
) -> Graph:
    """Lay out the build of a profile: `trees` holds the roots of mbedtls, lwip and lua.

    Raises BuildError for a path that ninja could not read in build.ninja or from the compiler.
    """
    for path in (compiler.path, compiler.specs, app_dir, *trees.values()):
        unusable = _NOT_FOR_NINJA.search(str(path))
        if unusable:
            raise BuildError(
                f"ninja cannot work with the path {str(path)!r}: it has {unusable[0]!r} in it",
                "Rename that directory, or have the file elsewhere.",
            )
    units = [
        *_upstream_units(trees),
        *_units(app_dir, "app", [f"{name}/*" for name in _APP_DIRS]),
        Unit(Path("gen/server_ca.c"), "obj/app/server_ca.c.o", "app"),
        Unit(Path("gen/build_time.c"), "obj/app/build_time.c.o", "app"),
    ]
    linker_dir = app_dir / "ld"
    return Graph(
        compiler=compiler.path,
        working_dir=WORKING_DIR,
        python=find_python(),
        specs=compiler.specs,
        flags=_make_flags(profile, compiler, trees, app_dir),
        units=tuple(units),
        boot_units=tuple(_units(app_dir, "boot", _BOOT_FILES)),
        linker_dir=linker_dir,
        linker_scripts=tuple(sorted(linker_dir.glob("*.ld"))),
        flash_mode=profile.board.flash_mode,
        flash_frequency=profile.board.flash_frequency.removesuffix("Hz").lower(),
        flash_size=f"{profile.board.flash_size // 1024}KB"
        if profile.board.flash_size < 1024 * 1024
        else f"{profile.board.flash_size // (1024 * 1024)}MB",
    )


def render_graph(graph: Graph) -> str:
    """Return the graph as ninja reads it."""
    return render_template("build.ninja.j2", graph=graph)


def _units(root: Path, component: str, patterns: list[str] | tuple[str, ...]) -> list[Unit]:
    sources = {source for pattern in patterns for source in root.glob(pattern)}
    return [
        Unit(source, f"obj/{component}/{source.relative_to(root)}.o", component)
        for source in sorted(sources)
        if source.suffix in {".c", ".S"}
    ]


def _upstream_units(trees: dict[str, Path]) -> list[Unit]:
    return [
        replace(unit, component="lua-patterns") if unit.source.name == "lstrlib.c" else unit
        for name, patterns in _UPSTREAM_FILES.items()
        for unit in _units(trees[name], name, patterns)
        if not (name == "lua" and unit.source.name in _LUA_LEFT_OUT)
    ]


def _make_flags(
    profile: Profile, compiler: Compiler, trees: dict[str, Path], app_dir: Path
) -> dict[str, tuple[str, ...]]:
    common = (*_COMMON_FLAGS, f"--specs={compiler.specs}", _hide(WORKING_DIR, "work"))
    upstream = {
        name: (_hide(tree, name), f"-isystem{tree / _UPSTREAM_INCLUDES[name]}")
        for name, tree in trees.items()
    }
    every_upstream = tuple(flag for flags in upstream.values() for flag in flags)
    own = (_hide(app_dir, "app"), *(f"-I{app_dir / name}" for name in _APP_INCLUDES))
    mbedtls = ("-Igen", '-DMBEDTLS_CONFIG_FILE="user_mbedtls.h"')
    lua = ("-include", "lua_config.h")
    # Lua's files say LUA_CORE themselves, but lua_config.h is read before that. The chip has
    # no 64-bit loads, so doubles packed at four bytes cost nothing: a value takes 12, not 16.
    every_lua: tuple[str, ...] = (
        *common,
        _OPTIMISE[profile.optimise.lua],
        "-w",
        "-DLUA_CORE=",
        "-fpack-struct=4",
    )
    every_lua = (*every_lua, *lua, *own, *upstream["lua"])
    return {
        "mbedtls": (
            *common,
            _OPTIMISE[profile.optimise.mbedtls],
            "-w",
            *mbedtls,
            *upstream["mbedtls"],
        ),
        "lwip": (*common, _OPTIMISE[profile.optimise.lwip], "-w", *own, *upstream["lwip"]),
        "lua": every_lua,
        # Only the matcher itself, match(), is watched: see lua_stack.h.
        "lua-patterns": (
            *(*every_lua, "-finstrument-functions"),
            f"-finstrument-functions-exclude-function-list={_NOT_RECURSIVE}",
        ),
        "app": (
            *common,
            _OPTIMISE[profile.optimise.firmware],
            *_OWN_WARNINGS,
            *mbedtls,
            *lua,
            *own,
            *every_upstream,
        ),
        "assembler": (*common, *own),
        "boot": (*common, "-Os", *_OWN_WARNINGS, f"-I{app_dir / 'boot'}", *own),
    }


def _hide(place: Path, name: str) -> str:
    """Return the flag that keeps a place of this machine out of the image."""
    return f"-ffile-prefix-map={place}={name}"
