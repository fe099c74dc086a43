"""Build a firmware: the pipeline, in order."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from nodemcu_tls_build.certs import CaBundle, load_ca_file
from nodemcu_tls_build.errors import OutputError
from nodemcu_tls_build.files import explain_write_error, make_directory, write_file
from nodemcu_tls_build.graph import make_graph, render_graph
from nodemcu_tls_build.image import merge_flash_image, pad_to_flash, parse_boot_image
from nodemcu_tls_build.memmap import BOOT_OFFSET, IROM_OFFSET
from nodemcu_tls_build.ninja import run_ninja
from nodemcu_tls_build.profile import Profile, load_profile
from nodemcu_tls_build.render import render_server_ca, render_user_mbedtls
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.size import SizeReport, measure_elf
from nodemcu_tls_build.sources import SourceTree, find_source
from nodemcu_tls_build.toolchain import Compiler, find_compiler, find_ninja, tool_version

LWIP_VERSION = "2.1.3"
LUA_VERSION = "5.1.5"
IMAGES = {BOOT_OFFSET: "0x00000.bin", IROM_OFFSET: "0x10000.bin"}


class Progress(Protocol):
    """How a build tells what it is doing."""

    def status(self, text: str) -> None:
        """Say in one line what begins now."""

    def step(self, done: int, total: int, text: str) -> None:
        """Say that the compiler has done `done` of `total` steps, `text` the last."""


@dataclass(frozen=True)
class BuildRequest:
    """What to build, and where; `jobs` None leaves their number to ninja."""

    profile: str
    ca_path: Path | None
    out_dir: Path
    archive_dir: Path | None
    cache_dir: Path
    jobs: int | None = None
    verbose: bool = False


@dataclass(frozen=True)
class BuildResult:
    """A finished build: its report is what `build.json` holds."""

    report: dict[str, Any]
    size: SizeReport
    compiled: int  # steps that ninja had to do


def build_firmware(request: BuildRequest, progress: Progress) -> BuildResult:
    """Build the firmware into `out_dir`; when anything fails, what stood there before stays."""
    profile = load_profile(request.profile)
    bundle = load_ca_file(request.ca_path, now=datetime.now(UTC)) if request.ca_path else None
    compiler = find_compiler()
    ninja_path = find_ninja()
    trees = _find_sources(profile, request, progress)
    out_dir = request.out_dir.absolute()
    work_dir = out_dir / "work"
    with _hold(work_dir):
        _render(profile, bundle, compiler, trees, work_dir)
        compiled = run_ninja(
            ninja_path, work_dir, jobs=request.jobs, verbose=request.verbose, progress=progress
        )
        size = measure_elf(work_dir / "firmware.elf", work_dir / "firmware.map")
        parts = {offset: (work_dir / "image" / name).read_bytes() for offset, name in IMAGES.items()}
        parse_boot_image(parts[BOOT_OFFSET])
        flash = merge_flash_image(parts)
        pad_to_flash(flash, profile.board.flash_size)
        report = {
            "schema": 1,
            "version": version("nodemcu-tls"),
            "profile": profile.to_dict() | {"sha256": profile.digest()},
            "ca": _describe_ca(bundle),
            "tools": {
                "compiler": compiler.version,
                "esptool": version("esptool"),
                "ninja": tool_version(ninja_path),
            },
            "sources": [_describe_source(tree) for tree in trees.values()],
            "sizes": size.to_dict(),
            "flash_size": profile.board.flash_size,
            "images": [
                {"name": IMAGES[offset], "offset": offset, **_describe_bytes(data)}
                for offset, data in parts.items()
            ],
            "flash": {"name": "flash.bin", "offset": 0, **_describe_bytes(flash)},
        }
        _publish(work_dir, out_dir, parts, flash, report)
    return BuildResult(report, size, compiled)


def _find_sources(
    profile: Profile, request: BuildRequest, progress: Progress
) -> dict[str, SourceTree]:
    wanted = {"mbedtls": profile.mbedtls.version, "lwip": LWIP_VERSION, "lua": LUA_VERSION}
    return {
        name: find_source(
            name,
            wanted_version,
            archive_dir=request.archive_dir,
            cache_dir=request.cache_dir,
            report=progress.status,
        )
        for name, wanted_version in wanted.items()
    }


@contextmanager
def _hold(work_dir: Path) -> Iterator[None]:
    """Keep a second build out of the work directory; the lock goes when the process does."""
    make_directory(work_dir)
    path = work_dir / ".lock"
    try:
        file = path.open("w")
    except OSError as error:
        raise explain_write_error(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another build is running in {work_dir.parent}",
                "Wait for it to end, or build into another directory with --out.",
            ) from error
        yield


def _render(
    profile: Profile,
    bundle: CaBundle | None,
    compiler: Compiler,
    trees: dict[str, SourceTree],
    work_dir: Path,
) -> None:
    """Write what ninja works from; a file that is already right keeps its time."""
    roots = {name: tree.path for name, tree in trees.items()}
    graph = make_graph(profile, compiler, roots, app_dir(), work_dir)
    write_file(work_dir / "gen" / "user_mbedtls.h", render_user_mbedtls(profile))
    write_file(work_dir / "gen" / "server_ca.c", render_server_ca(bundle))
    write_file(work_dir / "gen" / "toolchain.txt", f"{compiler.version}\n")
    write_file(work_dir / "build.ninja", render_graph(graph))


def _publish(
    work_dir: Path, out_dir: Path, parts: dict[int, bytes], flash: bytes, report: dict[str, Any]
) -> None:
    """Put the finished files in place, `build.json` last: it vouches for the others."""
    for name in ("firmware.elf", "firmware.map", "bootrom.elf"):
        write_file(out_dir / name, (work_dir / name).read_bytes())
    for offset, data in parts.items():
        write_file(out_dir / IMAGES[offset], data)
    write_file(out_dir / "flash.bin", flash)
    write_file(out_dir / "build.json", json.dumps(report, indent=2) + "\n")


def _describe_ca(bundle: CaBundle | None) -> list[dict[str, str]]:
    if bundle is None:
        return []
    return [
        {"subject": subject, "sha256": sha256(der).hexdigest()}
        for subject, der in zip(bundle.subjects, bundle.der, strict=True)
    ]


def _describe_source(tree: SourceTree) -> dict[str, str]:
    return {
        "name": tree.name,
        "version": tree.version,
        "archive": tree.archive,
        "sha256": tree.sha256,
    }


def _describe_bytes(data: bytes) -> dict[str, Any]:
    return {"length": len(data), "sha256": sha256(data).hexdigest()}
