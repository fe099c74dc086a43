"""Build the tests' own TLS servers: on Debian's libraries, and on the mbedTLS that is pinned."""

from __future__ import annotations

import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_SOURCES = Path(__file__).parent / "native"
_COMPILE = ("gcc", "-std=gnu99", "-O1")
_WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Werror")
_LIMIT = 120  # seconds for one call of the compiler


def build_server(library: str, directory: Path, mbedtls_archive: Path) -> Path:
    """Build a server unless it is there, and return its path. Keep others out meanwhile."""
    program = directory / library
    if program.exists():
        return program
    link = [f"-l{library}"]
    if library == "mbedtls":
        tree = _unpack(mbedtls_archive, directory)
        objects = _compile_all(sorted((tree / "library").glob("*.c")), tree / "include", directory)
        link = [f"-I{tree / 'include'}", *map(str, objects)]
    sources = [str(_SOURCES / name) for name in ("tls_server.c", f"tls_server_{library}.c")]
    _run(*_COMPILE, *_WARNINGS, *sources, *link, "-o", f"{program}.new")
    return Path(f"{program}.new").rename(program)


def _unpack(archive: Path, directory: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
        return directory / tar.getnames()[0].split("/")[0]


def _compile_all(sources: list[Path], include_dir: Path, directory: Path) -> list[Path]:
    def compile_one(source: Path) -> Path:
        target = directory / f"{source.stem}.o"
        _run(*_COMPILE, f"-I{include_dir}", "-c", str(source), "-o", str(target))
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, sources))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=_LIMIT)
