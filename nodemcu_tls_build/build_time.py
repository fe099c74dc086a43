"""Decide what a firmware takes for the time of its build: certificates are not judged before it.

It is the day, so that two builds of one day are the same, and it is no reason to build again.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nodemcu_tls_build.errors import BuildError, ToolFailed
from nodemcu_tls_build.files import write_file
from nodemcu_tls_build.ninja import has_work
from nodemcu_tls_build.render import render_template

VARIABLE = "SOURCE_DATE_EPOCH"
_LAST = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
_VALUE = re.compile(r"build_time = (\d{1,12});")


@dataclass(frozen=True)
class BuildTime:
    """Seconds since 1970, UTC; `is_given` when SOURCE_DATE_EPOCH says so, else it is a day."""

    seconds: int
    is_given: bool

    @property
    def iso_text(self) -> str:
        """Return the time as ISO 8601 has it."""
        return f"{datetime.fromtimestamp(self.seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def choose_build_time(now: datetime) -> BuildTime:
    """Return the time that SOURCE_DATE_EPOCH gives, or else the day; raise BuildError."""
    text = os.environ.get(VARIABLE)
    if text is None:
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return BuildTime(int(midnight.timestamp()), is_given=False)
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) > _LAST:
        raise BuildError(
            f"{VARIABLE} is {text!r}, not a number of seconds since 1970",
            f"Unset it, or set it as in: {VARIABLE}=$(git log -1 --format=%ct)",
        )
    return BuildTime(int(text), is_given=True)


def settle_build_time(wanted: BuildTime, ninja_path: Path, work_dir: Path) -> BuildTime:
    """Write the build time as C, when all else that ninja works from is written; return it.

    An earlier day that is there already stays when nothing else is to be built.
    """
    path = work_dir / "gen" / "build_time.c"
    there = _load_build_time(path)
    if there and not there.is_given and not wanted.is_given and there.seconds < wanted.seconds:
        try:
            if not has_work(ninja_path, work_dir):
                return there
        except ToolFailed:
            pass  # the build itself will say what is wrong
    write_file(path, render_build_time(wanted))
    return wanted


def render_build_time(build_time: BuildTime) -> str:
    """Return the C source that holds the time."""
    return render_template("build_time.c.j2", build_time=build_time)


def _load_build_time(path: Path) -> BuildTime | None:
    """Return the time of an earlier build; None unless the file is whole."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    match = _VALUE.search(text)
    if match and int(match[1]) <= _LAST:
        for is_given in (False, True):
            build_time = BuildTime(int(match[1]), is_given)
            if render_build_time(build_time) == text:
                return build_time
    return None
