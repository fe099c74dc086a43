"""Write files whole or not at all, read, lock and hash them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import IO, Any, BinaryIO

from nodemcu_tls_build.errors import OutputError

_HINTS = {
    errno.EACCES: "Make it writable for this user, or choose another place.",
    errno.EPERM: "Make it writable for this user, or choose another place.",
    errno.EROFS: "The file system is read-only: choose another place.",
    errno.ENOSPC: "The disk is full: free some space and run the command again.",
    errno.EDQUOT: "The disk quota is used up: free some space and run the command again.",
    errno.EFBIG: "The file is larger than this user may write (see `ulimit -f`).",
    errno.ENOTDIR: "Something on the way to it is a file: remove that, or choose another place.",
    errno.EEXIST: "Something on the way to it is a file: remove that, or choose another place.",
    errno.EISDIR: "A directory stands there: remove it, or choose another place.",
    errno.ENOENT: "No directory can be made there: choose another place.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


def explain_write_error(path: Path, error: OSError) -> OutputError:
    """Return the OutputError, with a fitting hint, for `error` met while writing `path`."""
    reason = error.strerror or type(error).__name__
    return OutputError(f"cannot write {path}: {reason}", _HINTS.get(error.errno or 0))


def make_directory(path: Path) -> None:
    """Make `path` and its parents; raise OutputError when that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain_write_error(path, error) from error


def try_lock(file: int | IO[Any]) -> bool:
    """Lock an open file for this process alone, until it is closed; False: another has it.

    Raises OSError on a file system without locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def share_lock(file: int | IO[Any]) -> None:
    """Keep others from locking an open file for themselves alone, until it is closed.

    Waits for one that has it so. Raises OSError on a file system without locks.
    """
    fcntl.flock(file, fcntl.LOCK_SH)


def write_file(path: Path, data: bytes | str, *, mode: int | None = None) -> bool:
    """Put `data` at `path`, so that a reader sees the old file or the new one, never a part.

    Text is written as UTF-8. Returns False, and touches nothing, when the file is already that.
    Raises OutputError, with the old file still in place, when it cannot be written.
    """
    content = data.encode() if isinstance(data, str) else data
    if _holds(path, content, mode):
        return False
    make_directory(path.parent)
    temp_path = path.with_name(f"{_start_temp_name(path)}{secrets.token_hex(6)}.tmp")
    try:
        _create(temp_path, content, mode)
        temp_path.replace(path)
    except OSError as error:
        raise explain_write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # gone when it was renamed
            temp_path.unlink(missing_ok=True)
    return True


def remove_leftovers(path: Path) -> None:
    """Remove what `write_file` left of this file when it was killed.

    The caller sees to it that nobody writes the file meanwhile.
    """
    pattern = re.compile(rf"{re.escape(_start_temp_name(path))}[0-9a-f]{{12}}\.tmp")
    with contextlib.suppress(OSError):
        for found in path.parent.iterdir():
            if pattern.fullmatch(found.name):
                found.unlink(missing_ok=True)


def open_input(path: Path, *, allow_pipe: bool = False) -> BinaryIO:
    """Open a regular file to read, or a pipe where that is allowed, whose writer is waited for.

    A pipe that nobody has open to write is empty. Raises OSError for other files, which might
    never end, and for those that cannot be read.
    """
    # Without O_NONBLOCK the open would wait for somebody to write to a named pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not (stat.S_ISREG(mode) or (allow_pipe and stat.S_ISFIFO(mode))):
            raise OSError(errno.EINVAL, "it is not a regular file")
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_file(path: Path, limit: int, *, allow_pipe: bool = False) -> bytes:
    """Return the contents of a file that `open_input` opens.

    Raises OSError as that does, and when there are more than `limit` bytes.
    """
    with open_input(path, allow_pipe=allow_pipe) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit:,} bytes")
    return data


def hash_file(path: Path) -> str:
    """Return the SHA-256 of the file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stage_file(path: Path, data: bytes, *, mode: int) -> None:
    """Write a new file that is renamed later; one of that name that is there goes.

    Raises OSError, with no file left.
    """
    path.unlink(missing_ok=True)
    try:
        _create(path, data, mode)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _start_temp_name(path: Path) -> str:
    return f".{path.name[:200]}."


def _holds(path: Path, content: bytes, mode: int | None) -> bool:
    try:
        status = path.stat()
        if status.st_size != len(content) or not stat.S_ISREG(status.st_mode):
            return False
        if mode is not None and stat.S_IMODE(status.st_mode) != mode:
            return False
        return path.read_bytes() == content
    except OSError:
        return False


def _create(path: Path, content: bytes, mode: int | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(path, flags, 0o666 if mode is None else mode), "wb") as file:
        file.write(content)
        if mode is not None:
            os.fchmod(file.fileno(), mode)
