"""Change several files of a tree: all of them or none."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nodemcu_tls_build.errors import TreeError
from nodemcu_tls_build.files import explain_write_error


@dataclass(frozen=True)
class Change:
    """A file and what it holds before and after, None when it is not there.

    `path` is the file itself, behind any link; `mode` is what it gets, None for the usual one.
    """

    name: str
    path: Path
    old: bytes | None
    new: bytes | None
    mode: int | None = None

    @property
    def action(self) -> str:
        """Return in one word what happens to the file."""
        if self.old == self.new:
            return "unchanged"
        if self.old is None:
            return "created"
        return "removed" if self.new is None else "changed"


def check_writable(change: Change) -> None:
    """Raise TreeError when the file is not to be written, or is on another's behalf."""
    if change.old is None or change.old == change.new:
        return
    mode = change.path.stat().st_mode
    if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(
        change.path, os.W_OK
    ):
        raise TreeError(f"{change.path} is read-only", f"Allow it: chmod u+w {change.path}")


def write_changes(changes: Sequence[Change]) -> None:
    """Make every change; when one fails, or is interrupted, take back those that were made.

    A reader sees a file as it was or as it is to be, never a part. Raises OutputError.
    """
    real = [change for change in changes if change.old != change.new]
    done: list[Change] = []
    current = real[0] if real else None
    try:
        for current in real:
            if current.new is not None:
                _stage(current, current.new)
        for current in real:
            done.append(current)  # before: an interruption may come right behind the renaming
            _put(current, current.new)
    except BaseException as error:
        for change in reversed(done):
            _take_back(change)
        if isinstance(error, OSError) and current is not None:
            raise explain_write_error(current.path, error) from error
        raise
    finally:
        for change in changes:  # those of an apply that was killed, too
            with contextlib.suppress(OSError):
                _temp_path(change).unlink(missing_ok=True)


def _temp_path(change: Change) -> Path:
    return change.path.with_name(f".{change.path.name}.nodemcu-tls.tmp")


def _stage(change: Change, content: bytes) -> None:
    temp_path = _temp_path(change)
    temp_path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(temp_path, flags, 0o666), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if change.mode is not None:
            os.fchmod(file.fileno(), change.mode)
        with contextlib.suppress(OSError):  # the file stays its owner's, as far as that is allowed
            owner = change.path.stat()
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)


def _put(change: Change, content: bytes | None) -> None:
    if content is None:
        change.path.unlink(missing_ok=True)
    else:
        _temp_path(change).replace(change.path)


def _take_back(change: Change) -> None:
    with contextlib.suppress(OSError):
        if change.old is not None:
            if change.path.exists() and change.path.read_bytes() == change.old:
                return
            _stage(change, change.old)
        _put(change, change.old)
