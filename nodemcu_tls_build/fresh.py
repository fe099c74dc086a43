"""Tell from a build's stamp that building again would change nothing, and do so quickly.

The stamp holds what the build was made from and the files it wrote, as they were. Whatever it
cannot vouch for is left to the build itself: C files and headers to ninja, which is asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from nodemcu_tls_build.errors import BuildError
from nodemcu_tls_build.files import write_file
from nodemcu_tls_build.ninja import has_work
from nodemcu_tls_build.request import BuildRequest, BuildResult
from nodemcu_tls_build.resources import app_dir, templates_dir
from nodemcu_tls_build.toolchain import Compiler, find_compiler, find_ninja, find_python

STAMP_NAME = "stamp.json"

_MAX_BYTES = 1 << 20  # neither a profile nor a CA file may be as large
_PACKAGES = ("site-packages", "dist-packages")


def find_fresh_build(request: BuildRequest) -> BuildResult | None:
    """Return the build in `out_dir` if building again would change nothing; None when unsure."""
    try:
        stamp = json.loads((request.work_dir / STAMP_NAME).read_bytes())
        if not _is_fresh(stamp, request):
            return None
        report = json.loads((request.out_dir / "build.json").read_bytes())
    except (BuildError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # what is wrong, the build will say
    return BuildResult(report, compiled=0)


def describe_inputs(request: BuildRequest) -> dict[str, Any]:
    """Describe, as JSON has it, what a build is made from but tools and what those read."""
    archive_dir = request.archive_dir
    return {
        "profile": [request.profile, list(request.settings), *_hash_profile(request.profile)],
        "ca": request.ca_path and [_hash_file(request.ca_path)],
        "archives": archive_dir and describe_files([archive_dir, *_list_directory(archive_dir)]),
        "source_date": os.environ.get("SOURCE_DATE_EPOCH"),
        "python": [str(find_python()), sys.version],
        "packages": describe_files(path for path in map(Path, sys.path) if path.name in _PACKAGES),
        "program": describe_files(_list_program()),
    }


def describe_tools(compiler: Compiler, ninja_path: Path) -> dict[str, list[int] | None]:
    """Describe the tools whose versions a build reports, as `describe_files` does."""
    return describe_files([compiler.path, compiler.path.resolve(), compiler.specs, ninja_path])


def describe_files(paths: Iterable[Path]) -> dict[str, list[int] | None]:
    """Return what changes when a file is written to or replaced; None for one that is not there.

    The time of its last change (ctime) cannot be set back, as that of its content can.
    """
    return {str(path): _describe_file(path) for path in paths}


def save_stamp(
    request: BuildRequest,
    inputs: dict[str, Any],
    *,
    tools: dict[str, list[int] | None],
    written: Iterable[Path],
    valid_until: datetime | None,
) -> None:
    """Leave the stamp of a finished build.

    `inputs` are as they were when it began, `tools` what `describe_tools` says, `written` the
    files below `out_dir` that it wrote itself, `valid_until` when its first CA expires.
    """
    stamp = {
        "inputs": inputs,
        "tools": tools,
        "files": {str(path.relative_to(request.out_dir)): _describe_file(path) for path in written},
        "made": time.time(),
        "valid_until": valid_until and valid_until.timestamp(),
    }
    write_file(request.work_dir / STAMP_NAME, json.dumps(stamp))


def _is_fresh(stamp: dict[str, Any], request: BuildRequest) -> bool:
    now, until = time.time(), stamp["valid_until"]
    if now < stamp["made"] or (until is not None and now > until):
        return False  # a clock that went back: the day of the build is not to be trusted either
    for name, state in stamp["files"].items():
        if _describe_file(request.out_dir / name) != state:
            return False
    if stamp["inputs"] != describe_inputs(request):
        return False
    ninja_path = find_ninja()
    if stamp["tools"] != describe_tools(find_compiler(), ninja_path):
        return False
    return not has_work(ninja_path, request.work_dir)


def _describe_file(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _hash_file(path: Path) -> str | None:
    """Return a hash of the file's bytes; None when it is none that a build can read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.sha256(file.read(_MAX_BYTES)).hexdigest()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None


def _hash_profile(name: str) -> list[list[str | None]]:
    """Return path and hash of a profile's file and of every file that it extends.

    Presets belong to the program. The rules are those of profile/layers.py, read here without
    pydantic; where that would find an error, this list just ends.
    """
    found: dict[str, str | None] = {}
    directory = Path()
    while os.sep in name or name.endswith(".toml"):
        path = directory / name
        if str(path) in found:
            break
        digest = found[str(path)] = _hash_file(path)
        if digest is None:
            break
        try:
            name = tomllib.loads(path.read_bytes()[:_MAX_BYTES].decode("utf-8-sig"))["extends"]
        except (OSError, ValueError, LookupError, RecursionError):
            break
        if not isinstance(name, str):
            break
        directory = path.parent
    return [[path, digest] for path, digest in found.items()]


def _list_directory(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError:
        return []


def _list_program() -> Iterator[Path]:
    """Yield every file of this package, the templates and the C sources."""
    for root in (Path(__file__).parent, templates_dir(), app_dir()):
        for directory, subdirectories, names in os.walk(root):
            subdirectories[:] = [name for name in subdirectories if name != "__pycache__"]
            yield from (Path(directory, name) for name in names)
