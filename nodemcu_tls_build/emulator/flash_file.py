"""The file that a flash is kept in: one emulator has it at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from nodemcu_tls_build.errors import DeviceError, ImageError
from nodemcu_tls_build.files import explain_write_error, try_lock


def open_flash_file(path: Path, fresh: bytes) -> int:
    """Open the flash in `path`, which holds `fresh` when it is new; return its descriptor.

    It is locked until that is closed. Raises DeviceError for a file in use, ImageError for one
    that is no flash of that size and OutputError for one that cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise explain_write_error(path, error) from error
    try:
        if not try_lock(descriptor):
            raise DeviceError(
                f"{path} is the flash of an emulator that is running",
                "Wait for it to end, or give this one another --flash FILE.",
            )
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path} is not a regular file", "Name a file to keep the flash in.")
        if status.st_size == 0:
            _fill(path, descriptor, fresh)
        elif status.st_size != len(fresh):
            raise ImageError(
                f"{path} has {status.st_size:,} bytes, the flash has {len(fresh):,}",
                "Delete it for a fresh one, or name the file of a flash of that size.",
            )
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def write_at(descriptor: int, offset: int, data: bytes) -> None:
    """Write all of `data` there; raises OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        offset += written
        view = view[written:]


def _fill(path: Path, descriptor: int, fresh: bytes) -> None:
    """Write the new flash while nobody else can have the lock; on failure leave no file."""
    try:
        write_at(descriptor, 0, fresh)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise explain_write_error(path, error) from error
        raise
