"""Build a firmware: the pipeline, in order."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nodemcu_tls_build.build_output import SCHEMA
from nodemcu_tls_build.build_time import BuildTime, choose_build_time, settle_build_time
from nodemcu_tls_build.certs import CaBundle, check_ca_fits, load_ca_file
from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.files import write_file
from nodemcu_tls_build.fresh import describe_inputs, describe_tools, save_stamp
from nodemcu_tls_build.graph import make_graph, render_graph
from nodemcu_tls_build.image import (
    find_build_id,
    merge_flash_image,
    pad_to_flash,
    parse_boot_image,
)
from nodemcu_tls_build.memmap import BOOT_OFFSET, IROM_OFFSET
from nodemcu_tls_build.ninja import run_ninja
from nodemcu_tls_build.output import hold_directory, publish_files
from nodemcu_tls_build.profile import Profile, check_macros, load_profile
from nodemcu_tls_build.profile.remarks import list_notes
from nodemcu_tls_build.profile.savings import suggest_smaller
from nodemcu_tls_build.render import render_server_ca, render_user_mbedtls
from nodemcu_tls_build.request import BuildRequest, BuildResult, Progress
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.size import measure_elf
from nodemcu_tls_build.sources import SourceTree, default_cache_dir, find_source
from nodemcu_tls_build.toolchain import Compiler, find_compiler, find_ninja, tool_version

LWIP_VERSION = "2.1.3"
LUA_VERSION = "5.1.5"
IMAGES = {BOOT_OFFSET: "0x00000.bin", IROM_OFFSET: "0x10000.bin"}
_LINKED = ("firmware.elf", "firmware.map", "bootrom.elf")


def build_firmware(request: BuildRequest, progress: Progress) -> BuildResult:
    """Build the firmware into `out_dir`; when anything fails, what stood there before stays."""
    inputs = describe_inputs(request)  # before the first of them is read
    now = datetime.now(UTC)
    wanted_time = choose_build_time(now)
    profile = load_profile(request.profile, request.settings)
    ca_time = now if profile.tls.verify_dates else None
    bundle = load_ca_file(request.ca_path, now=ca_time) if request.ca_path else None
    if bundle:
        check_ca_fits(bundle, profile)
    compiler = find_compiler()
    ninja_path = find_ninja()
    trees = _find_sources(profile, request, progress)
    work_dir = request.work_dir
    with hold_directory(work_dir) as lock:
        rendered = _render(profile, bundle, compiler, trees, work_dir)
        build_time = settle_build_time(wanted_time, ninja_path, work_dir)
        compiled = run_ninja(
            ninja_path,
            work_dir,
            jobs=request.jobs,
            verbose=request.verbose,
            progress=progress,
            lock=lock,
        )
        files = _read_files(work_dir, profile)
        tools = {
            "compiler": compiler.version,
            "esptool": version("esptool"),
            "ninja": tool_version(ninja_path),
        }
        sizes = measure_elf(work_dir / "firmware.elf", work_dir / "firmware.map").to_dict()
        report = _make_report(profile, bundle, build_time, tools, trees, sizes, files)
        files["build.json"] = f"{json.dumps(report, indent=2)}\n".encode()
        publish_files(files, request.out_dir, stage_dir=work_dir / "publish")
        expiries = [one.not_after for one in bundle.certificates] if bundle else []
        save_stamp(
            request,
            inputs,
            tools=describe_tools(compiler, ninja_path),
            written=[*rendered, *(request.out_dir / name for name in files)],
            valid_until=min(expiries, default=None),
        )
    return BuildResult(report, compiled)


def _find_sources(
    profile: Profile, request: BuildRequest, progress: Progress
) -> dict[str, SourceTree]:
    wanted = {"mbedtls": profile.mbedtls.version, "lwip": LWIP_VERSION, "lua": LUA_VERSION}
    cache_dir = request.cache_dir or default_cache_dir()
    return {
        name: find_source(
            name,
            wanted_version,
            archive_dir=request.archive_dir,
            cache_dir=cache_dir,
            report=progress.status,
        )
        for name, wanted_version in wanted.items()
    }


def _render(
    profile: Profile,
    bundle: CaBundle | None,
    compiler: Compiler,
    trees: dict[str, SourceTree],
    work_dir: Path,
) -> list[Path]:
    """Write what ninja works from and return it; a file that is already right keeps its time."""
    roots = {name: tree.path for name, tree in trees.items()}
    include_dir = roots["mbedtls"] / "include"
    check_macros(profile, include_dir)
    texts = {
        "gen/user_mbedtls.h": render_user_mbedtls(profile, include_dir),
        "gen/server_ca.c": render_server_ca(bundle),
        "gen/compiler.txt": _identify_compiler(compiler),
        "gen/esptool.txt": f"{version('esptool')}\n",
        "build.ninja": render_graph(make_graph(profile, compiler, roots, app_dir())),
    }
    for name, text in texts.items():
        write_file(work_dir / name, text)
    return [work_dir / name for name in (*texts, "gen/build_time.c")]


def _identify_compiler(compiler: Compiler) -> str:
    """Return what changes with the compiler and its C library, and with this program.

    Packages are unpacked with times long past, which ninja takes for no news.
    """
    lines = [f"nodemcu-tls {version('nodemcu-tls')}", f"gcc {compiler.version}"]
    for path in (compiler.path.resolve(), compiler.specs):
        status = path.stat()
        lines.append(f"{path} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(lines) + "\n"


def _read_files(work_dir: Path, profile: Profile) -> dict[str, bytes]:
    """Return what ninja made and the merged image, under the names they are published by."""
    files = {name: (work_dir / name).read_bytes() for name in _LINKED}
    parts = {offset: (work_dir / "image" / name).read_bytes() for offset, name in IMAGES.items()}
    parse_boot_image(parts[BOOT_OFFSET])
    flash = merge_flash_image(parts)
    try:
        pad_to_flash(flash, profile.board.flash_size)
    except ImageError as error:
        raise ImageError(error.message, suggest_smaller(profile)) from error
    files |= {IMAGES[offset]: data for offset, data in parts.items()}
    return files | {"flash.bin": flash}


def _make_report(  # noqa: PLR0913, PLR0917 -- one parameter a part of it
    profile: Profile,
    bundle: CaBundle | None,
    build_time: BuildTime,
    tools: dict[str, str],
    trees: dict[str, SourceTree],
    sizes: dict[str, Any],
    files: dict[str, bytes],
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "version": version("nodemcu-tls"),
        "build_id": find_build_id(files[IMAGES[IROM_OFFSET]]),
        "build_time": build_time.iso_text,
        "profile": profile.to_dict() | {"sha256": profile.digest()},
        "notes": list_notes(profile),
        "ca": _describe_ca(bundle),
        "tools": tools,
        "sources": [_describe_source(tree) for tree in trees.values()],
        "sizes": sizes,
        "flash_size": profile.board.flash_size,
        "images": [
            {"name": name, "offset": offset, **_describe_bytes(files[name])}
            for offset, name in IMAGES.items()
        ],
        "flash": {"name": "flash.bin", "offset": 0, **_describe_bytes(files["flash.bin"])},
    }


def _describe_ca(bundle: CaBundle | None) -> list[dict[str, str]]:
    if bundle is None:
        return []
    return [{"subject": one.subject, "sha256": one.fingerprint} for one in bundle.certificates]


def _describe_source(tree: SourceTree) -> dict[str, str]:
    return {
        "name": tree.name,
        "version": tree.version,
        "archive": tree.archive,
        "sha256": tree.sha256,
    }


def _describe_bytes(data: bytes) -> dict[str, Any]:
    return {"length": len(data), "sha256": sha256(data).hexdigest()}
