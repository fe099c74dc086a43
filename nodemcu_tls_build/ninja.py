"""Run ninja and follow what it does."""

from __future__ import annotations

import os
import re
from pathlib import Path

from nodemcu_tls_build.errors import OutputError, ToolFailed
from nodemcu_tls_build.process import describe_exit, run_capture, run_live
from nodemcu_tls_build.request import Progress

_STATUS = "@%f/%t@ "
_STEP = re.compile(r"@(\d+)/(\d+)@ (.*)")
_NO_WORK = "ninja: no work to do."
_CHATTER = re.compile(r"ninja: (Entering directory|no work to do|build stopped).*")
_NO_SPACE = ("No space left on device", "Disk quota exceeded")

# Variables that would have the compiler look elsewhere for its files, or write more of them.
_NOT_PASSED_ON = {
    *("CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX"),
    *("DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES", "MAKEFLAGS"),
}


def run_ninja(  # noqa: PLR0913 -- by keyword
    ninja_path: Path,
    work_dir: Path,
    *,
    jobs: int | None,
    verbose: bool,
    progress: Progress,
    lock: int,
) -> int:
    """Bring the work directory up to date and return how many steps that took.

    Whatever ninja starts has the file descriptor `lock` until it ends. Raises ToolFailed with
    what the failed tools printed, OutputError when the disk is full.
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
        elif not _CHATTER.fullmatch(line):
            output.append(line)
            if verbose:
                progress.status(line)

    environment = _environment() | {"NINJA_STATUS": _STATUS}
    code = run_live(command, on_line=take_line, env=environment, keep_open=[lock])
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


def has_work(ninja_path: Path, work_dir: Path) -> bool:
    """Tell whether ninja would do anything; nothing is done. Raises ToolFailed when it cannot."""
    told = run_capture([ninja_path, "-C", work_dir, "-n"], env=_environment())
    return _NO_WORK not in told.splitlines()


def _environment() -> dict[str, str]:
    """Return this process's environment, with messages in English and nothing that adds flags."""
    kept = {name: text for name, text in os.environ.items() if name not in _NOT_PASSED_ON}
    return kept | {"LC_ALL": "C"}
