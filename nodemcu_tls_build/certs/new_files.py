"""Write several files together: all of them or none, and none that is there already."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nodemcu_tls_build.errors import OutputError
from nodemcu_tls_build.files import (
    explain_write_error,
    make_directory,
    share_lock,
    stage_file,
    try_lock,
)

SECRET, PUBLIC = 0o600, 0o644
_LEFTOVER = re.compile(r"\.[0-9a-f]{24}\.(tmp|old)")


@dataclass(frozen=True)
class NewFile:
    """A file to be written; it has its mode from the first byte on."""

    path: Path
    data: bytes = field(repr=False)
    mode: int


@dataclass(frozen=True)
class _Staged:
    """A file under a temporary name, and where the one goes that it replaces."""

    path: Path
    temp_path: Path
    old_path: Path
    inode: int


def check_free(paths: Sequence[Path], *, replace: bool) -> None:
    """Raise OutputError unless files of these names may be written."""
    for path in paths:
        if path.is_dir():
            raise explain_write_error(path, OSError(errno.EISDIR, "Is a directory"))
    taken = [str(path) for path in paths if os.path.lexists(path)]
    if taken and not replace:
        raise OutputError(
            f"{', '.join(taken)} exist{'s' * (len(taken) == 1)} already: nothing was written",
            "Choose another name or directory, or give --force to replace what is there.",
        )


def write_together(files: Sequence[NewFile], *, replace: bool) -> None:
    """Write all of the files, or none: what is replaced comes back when another one fails.

    Raises OutputError, also for a file that is there when `replace` is not said.
    """
    check_free([file.path for file in files], replace=replace)
    with contextlib.ExitStack() as leftovers, contextlib.ExitStack() as undoing:
        for directory in dict.fromkeys(file.path.parent for file in files):
            make_directory(directory)
            leftovers.enter_context(_write_in(directory))
        staged = [_stage(file, leftovers) for file in files]
        for one in staged:
            undoing.callback(_undo, one)
            try:
                _put_in_place(one, replace=replace)
            except FileExistsError:  # somebody made it a moment ago
                check_free([one.path], replace=False)
                raise
            except OSError as error:
                raise explain_write_error(one.path, error) from error
        undoing.pop_all()


@contextlib.contextmanager
def _write_in(directory: Path) -> Iterator[None]:
    """Have others know that files are written there; remove what runs that were killed left."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # one that may be written to, but not listed
        yield
        return
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            if try_lock(descriptor):  # so nobody else is writing
                for path in directory.iterdir():
                    if _LEFTOVER.fullmatch(path.name):
                        _drop(path)
            share_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _stage(file: NewFile, leftovers: contextlib.ExitStack) -> _Staged:
    token = secrets.token_hex(12)
    temp_path, old_path = (file.path.with_name(f".{token}.{end}") for end in ("tmp", "old"))
    leftovers.callback(_drop, temp_path)
    leftovers.callback(_drop, old_path)
    try:
        stage_file(temp_path, file.data, mode=file.mode)
        return _Staged(file.path, temp_path, old_path, temp_path.stat().st_ino)
    except OSError as error:
        raise explain_write_error(file.path, error) from error


def _put_in_place(one: _Staged, *, replace: bool) -> None:
    if replace and os.path.lexists(one.path):
        _save(one.path, one.old_path)
        one.temp_path.rename(one.path)  # at no moment there is neither
        return
    try:
        os.link(one.temp_path, one.path)  # unlike a rename, it replaces nothing
    except FileExistsError:
        raise
    except OSError as error:  # a file system without links
        if os.path.lexists(one.path):
            raise FileExistsError(errno.EEXIST, "File exists") from error
        one.temp_path.rename(one.path)


def _save(path: Path, old_path: Path) -> None:
    try:
        os.link(path, old_path, follow_symlinks=False)
    except OSError:  # a file system without links
        stage_file(old_path, path.read_bytes(), mode=stat.S_IMODE(path.stat().st_mode))


def _undo(one: _Staged) -> None:
    with contextlib.suppress(OSError):
        if not os.path.lexists(one.path) or one.path.lstat().st_ino != one.inode:
            return
        if os.path.lexists(one.old_path):
            one.old_path.rename(one.path)
        else:
            one.path.unlink()


def _drop(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
