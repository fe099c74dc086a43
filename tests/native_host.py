"""Programs for this machine, compiled from the firmware's C and from mbedTLS."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from conftest import hold

from nodemcu_tls_build.build import LWIP_VERSION
from nodemcu_tls_build.profile import load_profile
from nodemcu_tls_build.render import render_user_mbedtls
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.sources import default_cache_dir, find_source

NATIVE = Path(__file__).parent / "native"
WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Werror")
SANITIZERS = (
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    f"-fsanitize-ignorelist={NATIVE / 'mbedtls.ignore'}",
)
_COMPILER = ("clang", "-std=gnu99", "-g", "-O1", "-fno-omit-frame-pointer")
_LIMIT = 300


@dataclass(frozen=True)
class Native:
    """A directory for objects, what is compiled into them, and with which flags."""

    work_dir: Path
    flags: tuple[str, ...]
    mbedtls: Path
    lwip: Path

    @property
    def own_flags(self) -> tuple[str, ...]:
        """Return the flags of the firmware's own files and those of tests."""
        names = ("tls", "net", "board", "runtime", "include")
        own = (f"-I{app_dir() / name}" for name in names)
        return (*self.flags, *WARNINGS, *own, f"-I{NATIVE}", *self._upstream_flags)

    @property
    def _upstream_flags(self) -> tuple[str, ...]:
        config = (f"-I{self.work_dir}", '-DMBEDTLS_CONFIG_FILE="user_mbedtls.h"')
        trees = (self.mbedtls / "include", self.lwip / "src/include")
        return (*config, *(f"-isystem{tree}" for tree in trees))

    def compile_upstream(self) -> list[Path]:
        """Compile mbedTLS and lwIP's addresses, unless another worker has done it."""
        flags = (*self.flags, "-w", *self._upstream_flags, f"-I{app_dir() / 'net'}")
        sources = sorted((self.mbedtls / "library").glob("*.c"))
        sources += [self.lwip / "src/core" / name for name in ("def.c", "ipv4/ip4_addr.c")]
        flags = (*flags, f"-I{app_dir() / 'runtime'}")
        directory = self.work_dir / "upstream"
        with hold(self.work_dir):
            if not (directory / "done").exists():
                compile_objects(sources, flags, directory)
                (directory / "done").touch()
        return sorted(directory.glob("*.o"))


def prepare(shared_dir: Path, *flags: str, profile: str = "default") -> Native:
    """Return what is compiled with these flags for a profile's mbedTLS."""
    settings = load_profile(profile)
    header = render_user_mbedtls(settings)
    key = sha256("\n".join((header, *flags)).encode()).hexdigest()[:16]
    work_dir = shared_dir / f"native-{key}"
    work_dir.mkdir(exist_ok=True)
    with hold(work_dir):
        (work_dir / "user_mbedtls.h").write_text(header)
    trees = [
        find_source(
            name, version, archive_dir=_archive_dir(), cache_dir=default_cache_dir(), report=print
        ).path
        for name, version in (("mbedtls", settings.mbedtls.version), ("lwip", LWIP_VERSION))
    ]
    return Native(work_dir, flags, *trees)


def list_client_sources() -> list[Path]:
    """Return the firmware's files that make a TLS client, but for its network and board."""
    return [*sorted((app_dir() / "tls").glob("*.c")), app_dir() / "runtime/calendar.c"]


def compile_objects(sources: Iterable[Path], flags: Sequence[str], out_dir: Path) -> list[Path]:
    """Compile C files, as many at a time as there are processors."""
    out_dir.mkdir(parents=True, exist_ok=True)

    def compile_one(source: Path) -> Path:
        target = out_dir / f"{source.stem}.o"
        run_tool([*_COMPILER, *flags, "-c", str(source), "-o", str(target)])
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, sources))


def link_program(objects: Iterable[Path], flags: Sequence[str], program: Path) -> Path:
    """Link objects; unused functions of upstream are left out."""
    command = [*_COMPILER, *flags, *map(str, objects), "-o", str(program)]
    run_tool(command)
    return program


def run_tool(command: Sequence[str]) -> None:
    """Run a compiler, and show what it says when it fails."""
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_LIMIT)
    assert result.returncode == 0, result.stderr


def _archive_dir() -> Path | None:
    given = os.environ.get("NODEMCU_TLS_SOURCES")
    return Path(given) if given else None
