"""Say what a build is asked for, how it tells what it does, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Progress(Protocol):
    """How a build tells what it is doing."""

    def status(self, text: str) -> None:
        """Say in one line what begins now, or what a tool says."""

    def step(self, done: int, total: int, text: str) -> None:
        """Say that `done` of `total` steps of the compilation are done, `text` being the last."""


@dataclass(frozen=True)
class BuildRequest:
    """What to build, and where.

    `cache_dir` None is the user's own cache; `jobs` None leaves their number to ninja; `settings`
    are laid over the profile, each `table.key=value`.
    """

    profile: str
    ca_path: Path | None
    out_dir: Path
    archive_dir: Path | None
    cache_dir: Path | None = None
    jobs: int | None = None
    verbose: bool = False
    settings: tuple[str, ...] = ()

    @property
    def work_dir(self) -> Path:
        """Return where ninja works; what it finished is copied to `out_dir` from there."""
        return self.out_dir / "work"


@dataclass(frozen=True)
class BuildResult:
    """A finished build: its report is what `build.json` holds."""

    report: dict[str, Any]
    compiled: int  # steps that ninja had to do
