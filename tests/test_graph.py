"""The graph: which files are compiled with what, whatever the places they lie in are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nodemcu_tls_build.errors import BuildError
from nodemcu_tls_build.graph import Graph, make_graph, render_graph
from nodemcu_tls_build.ninja import has_work
from nodemcu_tls_build.process import run_capture
from nodemcu_tls_build.profile import load_profile
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.toolchain import find_compiler, find_ninja, find_python

ODD_NAME = "it's $HOME, 100% #1: [new] & ünï? (a=b)"
UPSTREAM = {
    "mbedtls/library": ("aes.c", "common.h"),
    "mbedtls/include/mbedtls": ("aes.h",),
    "lwip/src/core": ("tcp.c",),
    "lwip/src/core/ipv4": ("ip4.c",),
    "lwip/src/netif": ("ethernet.c", "slipif.c"),
    "lwip/src/include": ("lwip.h",),
    "lua/src": ("lapi.c", "lua.c", "luac.c", "liolib.c", "lua.h", "print.c"),
}


@pytest.fixture
def trees(tmp_path: Path) -> dict[str, Path]:
    """Return small sources in an oddly named place."""
    root = tmp_path / ODD_NAME
    for directory, names in UPSTREAM.items():
        (root / directory).mkdir(parents=True)
        for name in names:
            (root / directory / name).write_text("extern int x;\n")
    (root / "mbedtls/library/aes.c").write_text(
        '#include "common.h"\n#include MBEDTLS_CONFIG_FILE\nconst char *file = __FILE__;\n'
    )
    (root / "lwip/src/core/tcp.c").write_text("#include <lwip.h>\n")
    return {name: root / name for name in ("mbedtls", "lwip", "lua")}


def lay_out(trees: dict[str, Path], app: Path) -> Graph:
    return make_graph(load_profile("default"), find_compiler(), trees, app)


def test_units(trees: dict[str, Path]) -> None:
    graph = lay_out(trees, app_dir())
    objects = [unit.object for unit in graph.units]
    assert len(set(objects)) == len(objects)
    assert [name for name in objects if name.startswith("obj/l")] == [
        *("obj/lwip/src/core/ipv4/ip4.c.o", "obj/lwip/src/core/tcp.c.o"),
        *("obj/lwip/src/netif/ethernet.c.o", "obj/lua/src/lapi.c.o"),
    ]
    own = {name for name in objects if name.startswith("obj/app/")}
    assert {"obj/app/main.c.o", "obj/app/runtime/start.S.o", "obj/app/server_ca.c.o"} <= own
    assert "obj/app/build_time.c.o" in own
    boot = {unit.object for unit in graph.boot_units}
    assert "obj/boot/boot/boot.c.o" in boot
    sources = {unit.source for unit in (*graph.units, *graph.boot_units)}
    every_own = {path for path in app_dir().rglob("*") if path.suffix in (".c", ".S")}
    assert every_own <= sources  # no file of ours is forgotten


def test_warnings_are_errors_in_our_own_files_only(trees: dict[str, Path]) -> None:
    flags = lay_out(trees, app_dir()).flags
    strict = {name for name in flags if "-Werror" in flags[name]}
    assert strict == {"app", "boot"}
    quiet = {name for name in flags if "-w" in flags[name]}
    assert quiet == set(flags) - strict - {"assembler"}


@pytest.mark.parametrize(
    ("component", "compiled"),
    [
        ("mbedtls", {"mbedtls"}),
        ("lwip", {"lwip"}),
        ("lua", {"lua", "lua-patterns"}),
        ("firmware", {"app"}),
    ],
)
def test_optimisation_is_the_profiles(
    trees: dict[str, Path], component: str, compiled: set[str]
) -> None:
    profile = load_profile("default", [f"optimise.{component}=speed"])
    graph = make_graph(profile, find_compiler(), trees, app_dir())
    small = lay_out(trees, app_dir())
    assert {name for name in graph.flags if "-O2" in graph.flags[name]} == compiled
    assert {name for name in graph.flags if graph.flags[name] != small.flags[name]} == compiled


@pytest.mark.parametrize(("size", "name"), [(512 * 1024, "512KB"), (1024 * 1024, "1MB")])
def test_flash_size_as_esptool_says_it(trees: dict[str, Path], size: int, name: str) -> None:
    profile = load_profile("default")
    board = profile.board.model_copy(update={"flash_size": size})
    graph = make_graph(
        profile.model_copy(update={"board": board}), find_compiler(), trees, app_dir()
    )
    assert graph.flash_size == name
    assert f" --flash-size {name} " in render_graph(graph)


def test_ninja_compiles_in_odd_places(trees: dict[str, Path], tmp_path: Path) -> None:
    app = tmp_path / ODD_NAME / "app"
    app.symlink_to(app_dir())
    work_dir = tmp_path / f"{ODD_NAME} | work"
    (work_dir / "gen").mkdir(parents=True)
    for name in ("user_mbedtls.h", "server_ca.c", "compiler.txt", "esptool.txt"):
        (work_dir / "gen" / name).touch()
    text = render_graph(lay_out(trees, app))
    assert str(work_dir) not in text
    assert f"python = {find_python()}\n" in text
    # No upstream code here, so no image: the default is what of it can be compiled.
    objects = ("mbedtls/library/aes.c.o", "lwip/src/core/tcp.c.o", "boot/boot/boot.c.o")
    default = " ".join(f"obj/{name}" for name in objects)
    (work_dir / "build.ninja").write_text(
        f"{text}default {default}\n".replace("default image", "#")
    )

    ninja_path = find_ninja()
    run_capture([ninja_path, "-C", work_dir])
    assert not has_work(ninja_path, work_dir)
    compiled = (work_dir / "obj" / "mbedtls" / "library" / "aes.c.o").read_bytes()
    assert b"mbedtls/library/aes.c\0" in compiled
    assert ODD_NAME.encode() not in compiled
    header_path = trees["mbedtls"] / "library" / "common.h"
    header_path.write_text("extern long x;\n")
    told = run_capture([ninja_path, "-C", work_dir])
    assert "[1/1] CC obj/mbedtls/library/aes.c.o" in told


@pytest.mark.parametrize("name", ["two\nlines", "carriage\rreturn", "a|b", "a;b", "a*", "a\\b"])
def test_a_place_that_ninja_cannot_name(trees: dict[str, Path], tmp_path: Path, name: str) -> None:
    compiler = find_compiler()
    with pytest.raises(BuildError, match="ninja cannot work with the path") as caught:
        lay_out(trees, tmp_path / name)
    assert caught.value.hint
    with pytest.raises(BuildError, match="ninja cannot work with the path"):
        lay_out(trees | {"lua": tmp_path / name}, app_dir())
    with pytest.raises(BuildError, match="ninja cannot work with the path"):
        specs = tmp_path / name / "picolibc.specs"
        make_graph(load_profile("default"), replace(compiler, specs=specs), trees, app_dir())


def test_the_flash_is_written_for_the_profiles_chip(trees: dict[str, Path]) -> None:
    profile = load_profile("default", ["board.flash_mode=qout", "board.flash_frequency=26MHz"])
    text = render_graph(make_graph(profile, find_compiler(), trees, app_dir()))
    options = "--flash-mode qout $\n      --flash-freq 26m --flash-size 1MB "
    assert f"elf2image {options}" in text
