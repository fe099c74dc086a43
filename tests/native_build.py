"""Programs for this machine: the firmware's own C under sanitizers, with mbedTLS where it needs it.

The flash of such a program is `tests/native/host_flash.c`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nodemcu_tls_build.profile import load_profile
from nodemcu_tls_build.render import render_user_mbedtls
from nodemcu_tls_build.sources import SourceTree, default_cache_dir, find_source

ROOT = Path(__file__).parent.parent
MBEDTLS_VERSIONS = ("3.6.6", "2.28.3")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Werror")
MBEDTLS_BASE64 = ("base64.c", "constant_time.c", "platform.c", "platform_util.c")

CC = ("clang", "-std=gnu99", "-g", "-O1", "-fno-omit-frame-pointer", "-ffunction-sections")
_INCLUDES = ("app/include", "app/boot", "app/tls", "app/net", "app/board", "tests/native")
_LIMIT = 300


def compile_native(
    program: Path,
    sources: Sequence[str],
    *,
    mbedtls: Sequence[str] = (),
    version: str = MBEDTLS_VERSIONS[0],
    flags: Sequence[str] = SANITIZE,
) -> Path:
    """Compile and link a program of sources below the repository's root, and return it.

    `mbedtls` names files of mbedTLS's library, or patterns of such names; they are configured as
    the default profile's are. `flags` go to every file and to the linker.
    """
    objects: list[Path] = []
    upstream: list[str] = []
    if mbedtls:
        tree = find_tree("mbedtls", version)
        library_dir = program.parent / f"{program.name}-mbedtls-{version}"
        upstream = _configure_mbedtls(tree, library_dir)
        files = [path for name in mbedtls for path in sorted((tree.path / "library").glob(name))]
        objects = compile_objects(files, ("-w", *flags, *upstream), library_dir)
    own = [ROOT / name for name in sources]
    includes = [f"-I{ROOT / name}" for name in _INCLUDES]
    # What nobody calls goes, so that only its users need what it calls itself.
    link = ["-Wl,--gc-sections", "-o", program]
    run_tool(*CC, *WARNINGS, *flags, *includes, *upstream, *own, *objects, *link)
    return program


def compile_objects(sources: Iterable[Path], flags: Sequence[str], out_dir: Path) -> list[Path]:
    """Compile C files, as many at a time as there are processors."""
    out_dir.mkdir(parents=True, exist_ok=True)

    def compile_one(source: Path) -> Path:
        target = out_dir / f"{source.stem}.o"
        run_tool(*CC, *flags, "-c", source, "-o", target)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, sources))


def find_tree(name: str, version: str) -> SourceTree:
    """Return an upstream tree as a build finds it."""
    given = os.environ.get("NODEMCU_TLS_SOURCES")
    return find_source(
        name,
        version,
        archive_dir=Path(given) if given else None,
        cache_dir=default_cache_dir(),
        report=print,
    )


def run_tool(*command: str | Path) -> None:
    """Run a compiler, and show what it says when it fails."""
    words = [str(word) for word in command]
    result = subprocess.run(words, check=False, capture_output=True, text=True, timeout=_LIMIT)
    assert result.returncode == 0, result.stderr


def _configure_mbedtls(tree: SourceTree, directory: Path) -> list[str]:
    """Write the default profile's configuration; return the flags that put it to use."""
    directory.mkdir(exist_ok=True)
    default = load_profile("default")
    mbedtls = default.mbedtls.model_copy(update={"version": tree.version})
    header = render_user_mbedtls(
        default.model_copy(update={"mbedtls": mbedtls}), tree.path / "include"
    )
    (directory / "user_mbedtls.h").write_text(header, encoding="utf-8")
    include_dir = tree.path / "include"
    return ['-DMBEDTLS_CONFIG_FILE="user_mbedtls.h"', f"-I{directory}", f"-isystem{include_dir}"]
