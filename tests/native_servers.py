"""Build the tests' own TLS servers: on Debian's libraries, and on the mbedTLS that is pinned."""

from __future__ import annotations

import tarfile
from pathlib import Path

from native_build import CC, WARNINGS, compile_objects, run_tool

_SOURCES = Path(__file__).parent / "native"


def build_server(library: str, directory: Path, mbedtls_archive: Path) -> Path:
    """Build a server unless it is there, and return its path. Keep others out meanwhile."""
    program = directory / library
    if program.exists():
        return program
    link = [f"-l{library}"]
    if library == "mbedtls":
        tree = _unpack(mbedtls_archive, directory)
        files = sorted((tree / "library").glob("*.c"))
        objects = compile_objects(files, ["-w", f"-I{tree / 'include'}"], directory)
        link = [f"-I{tree / 'include'}", *map(str, objects)]
    sources = [_SOURCES / name for name in ("tls_server.c", f"tls_server_{library}.c")]
    run_tool(*CC, *WARNINGS, *sources, *link, "-o", f"{program}.new")
    return Path(f"{program}.new").rename(program)


def _unpack(archive: Path, directory: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
        return directory / tar.getnames()[0].split("/")[0]
