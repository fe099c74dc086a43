"""Hold a build's output directory, and put the finished files there all together."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nodemcu_tls_build.errors import OutputError
from nodemcu_tls_build.files import explain_write_error, make_directory, try_lock, write_file


@contextmanager
def hold_directory(path: Path) -> Iterator[int]:
    """Keep other builds out of an output's work directory, which is made when there is none.

    Yields the descriptor of the lock. Processes that inherit it hold the lock too: when a build
    is killed, the next one cannot start before the last of its compilers has ended. Raises
    OutputError, also when the directory or the one above it cannot be written.
    """
    lock_path = path / ".lock"
    if not lock_path.exists() and path.is_dir() and any(path.iterdir()):
        raise OutputError(
            f"{path}, where the build would work, has other files in it",
            "Choose another output directory with --out.",
        )
    make_directory(path)
    for directory in (path.parent, path):
        if not os.access(directory, os.W_OK | os.X_OK):
            denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            raise explain_write_error(directory, denied)
    try:
        file = lock_path.open("a")  # its time does not change
    except OSError as error:
        raise explain_write_error(lock_path, error) from error
    with file:
        try:
            is_ours = try_lock(file)
        except OSError as error:  # a file system without locks
            raise explain_write_error(lock_path, error) from error
        if not is_ours:
            raise OutputError(
                f"another build is running in {path.parent}",
                "Wait for it to end, or build into another directory with --out.",
            )
        yield file.fileno()


def publish_files(files: Mapping[str, bytes], out_dir: Path, *, stage_dir: Path) -> None:
    """Put the files into `out_dir` in their order, those that are there already left alone.

    All of them are written to `stage_dir`, of the same file system, before the first takes its
    place: when the disk is full, nothing has changed. Raises OutputError.
    """
    changed = [name for name, data in files.items() if not _holds(out_dir / name, data)]
    try:
        for name in changed:
            write_file(stage_dir / name, files[name])
        for name in changed:
            _rename(stage_dir / name, out_dir / name)
    finally:
        shutil.rmtree(stage_dir, ignore_errors=True)


def _rename(path: Path, target: Path) -> None:
    try:
        path.replace(target)
    except OSError as error:
        raise explain_write_error(target, error) from error


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False
    except OSError as error:  # a directory stands there, or what is there belongs to another
        raise explain_write_error(path, error) from error
