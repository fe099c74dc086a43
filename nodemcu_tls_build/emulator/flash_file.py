"""The file that a flash is kept in: one emulator has it at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from nodemcu_tls_build.errors import DeviceError, ImageError
from nodemcu_tls_build.files import explain_write_error, try_lock


class FlashFile:
    """The flash in `path`, which holds `fresh` when it is new; locked until `close`.

    Raises DeviceError for a file in use, ImageError for one that is no flash of that size or is
    cut off meanwhile, and OutputError for one that cannot be written.
    """

    def __init__(self, path: Path, fresh: bytes) -> None:
        self._path = path
        try:
            self._descriptor = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600
            )
        except OSError as error:
            raise explain_write_error(path, error) from error
        try:
            self._prepare(fresh)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Unlock and close the file; doing it twice does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on."""
        data = os.pread(self._descriptor, length, offset)
        if len(data) < length:
            raise ImageError(
                f"{self._path} was cut off while it was in use: {offset + len(data):,} bytes are "
                "left of it",
                "Delete it for a fresh one, or put a copy in its place.",
            )
        return data

    def write(self, offset: int, data: bytes) -> None:
        """Write all of `data` at `offset`."""
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._descriptor, view, offset)
                offset += written
                view = view[written:]
        except OSError as error:
            raise explain_write_error(self._path, error) from error

    def _prepare(self, fresh: bytes) -> None:
        try:
            is_mine = try_lock(self._descriptor)
        except OSError as error:
            raise explain_write_error(self._path, error) from error
        if not is_mine:
            raise DeviceError(
                f"{self._path} is the flash of an emulator that is running",
                "Wait for it to end, or give this one another --flash FILE.",
            )
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(
                f"{self._path} is not a regular file", "Name a file to keep the flash in."
            )
        if status.st_size == 0:
            self._fill(fresh)
        elif status.st_size != len(fresh):
            raise ImageError(
                f"{self._path} has {status.st_size:,} bytes, the flash has {len(fresh):,}",
                "Delete it for a fresh one, or name the file of a flash of that size.",
            )

    def _fill(self, fresh: bytes) -> None:
        """Write the new flash while nobody else can have the lock; on failure leave no file."""
        try:
            self.write(0, fresh)
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise
