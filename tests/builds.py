"""Builds, run the way a user runs them, and what they leave behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

BUILD = (sys.executable, "-m", "nodemcu_tls_build", "build")
PUBLISHED = (
    *("firmware.elf", "firmware.map", "bootrom.elf"),
    *("0x00000.bin", "0x10000.bin", "flash.bin", "build.json"),
)
LINK_STEPS = ["LINK firmware.elf", "IMAGE image/0x00000.bin image/0x10000.bin"]

_STEP = re.compile(r"\[(\d+)/(\d+)\] (.*)")
_LIMIT = 900


def run_build(
    *args: str | Path,
    cwd: Path,
    command: Sequence[str] = BUILD,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run `nodemcu-tls build` in a directory to its end."""
    return subprocess.run(
        [*command, *map(str, args)],
        check=False,
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT,
    )


@contextmanager
def start_build(*args: str | Path, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a build in a session of its own; wait for its first step; end it at last."""
    process = subprocess.Popen(
        [*BUILD, *map(str, args)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr
        line = process.stderr.readline()
        while not _STEP.match(line):
            assert line, "the build ended before its first step"
            line = process.stderr.readline()
        yield process
    finally:
        process.terminate()
        process.communicate()


def list_steps(result: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what a successful build did, step by step, without what it only said."""
    assert result.returncode == 0, result.stderr
    matches = [_STEP.fullmatch(line) for line in result.stderr.splitlines()]
    steps = [match for match in matches if match]
    assert [int(step[1]) for step in steps] == list(range(1, len(steps) + 1))
    assert all(int(step[2]) == len(steps) for step in steps)
    return [step[3] for step in steps]


def load_report(build_dir: Path) -> Any:
    """Return what `build.json` says."""
    return json.loads((build_dir / "build.json").read_text(encoding="utf-8"))


def hash_published(build_dir: Path) -> dict[str, str]:
    """Return the hashes of the files that a build is made for."""
    return {name: sha256((build_dir / name).read_bytes()).hexdigest() for name in PUBLISHED}


def describe_tree(root: Path) -> dict[str, tuple[str, int]]:
    """Return hash and time of every file below a directory: equal only when nothing was touched."""
    return {
        str(path.relative_to(root)): (
            sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mtime_ns,
        )
        for path in root.rglob("*")
        if path.is_file()
    }


def describe_published(build_dir: Path) -> dict[str, tuple[str, int]]:
    """Return hash and time of every file that a build is made for, and of others beside them."""
    tree = describe_tree(build_dir)
    return {name: state for name, state in tree.items() if not name.startswith("work/")}
