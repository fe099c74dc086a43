"""Run ninja and follow what it does."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

from nodemcu_tls_build.errors import OutputError, ToolFailed
from nodemcu_tls_build.process import describe_exit, run_live

_STATUS = "@%f/%t@ "
_STEP = re.compile(r"@(\d+)/(\d+)@ (.*)")
_NO_SPACE = ("No space left on device", "Disk quota exceeded")


class Steps(Protocol):
    """Who is told about each step."""

    def status(self, text: str) -> None:
        """Take a line that is not a step: a tool's own words."""

    def step(self, done: int, total: int, text: str) -> None:
        """Take the number of steps done, of all there are, and what the last one was."""


def run_ninja(
    ninja_path: Path, work_dir: Path, *, jobs: int | None, verbose: bool, progress: Steps
) -> int:
    """Bring the work directory up to date and return how many steps that took.

    Raises ToolFailed with what the failed tools printed, OutputError when the disk is full.
    """
    command = [str(ninja_path), "-C", str(work_dir)]
    command += [f"-j{jobs}"] if jobs else []
    command += ["-v"] if verbose else []
    output: list[str] = []
    done = 0

    def take_line(line: str) -> None:
        nonlocal done
        match = _STEP.fullmatch(line)
        if match:
            done = int(match[1])
            progress.step(done, int(match[2]), match[3])
        elif not line.startswith("ninja: "):
            output.append(line)
            progress.status(line) if verbose else None

    code = run_live(command, on_line=take_line, env=os.environ | {"NINJA_STATUS": _STATUS})
    if code == 0:
        return done
    text = "\n".join(output)
    if any(words in text for words in _NO_SPACE):
        raise OutputError(
            f"the disk is full: the build in {work_dir.parent} could not be finished",
            "Free some space and run the command again: it goes on where it stopped.",
        )
    raise ToolFailed(
        f"the firmware could not be built: ninja {describe_exit(code)}",
        "The first FAILED line names the file. -v shows every command.",
        command,
        text,
        code,
    )
