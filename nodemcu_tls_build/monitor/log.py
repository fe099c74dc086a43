"""Keep what a device says in a file, whatever happens to that file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from nodemcu_tls_build.errors import OutputError
from nodemcu_tls_build.files import explain_write_error


class Log:
    """A file that is appended to; trouble with it is a warning, told once, and no failure."""

    def __init__(self, path: Path, on_warning: Callable[[str], None]) -> None:
        """Open the file, for its owner alone when it is new; raise OutputError."""
        self._path = path
        self._on_warning = on_warning
        self._works = True
        self._last = b"\n"
        try:
            self._file = self._open()
        except OSError as error:
            if error.errno == errno.ENXIO:
                reason = "a pipe that nothing reads"
                raise OutputError(
                    f"cannot write {path}: {reason}", "Start its reader first."
                ) from error
            if error.errno == errno.ENOENT:
                raise OutputError(
                    f"cannot write {path}: {error.strerror}",
                    f"Make the directory {path.parent} first.",
                ) from error
            raise explain_write_error(path, error) from error

    def write_line(self, text: str) -> None:
        """Append a text that starts and ends a line."""
        self.write((b"" if self._last == b"\n" else b"\n") + text.encode())

    def write(self, data: bytes) -> None:
        """Append the bytes; those that do not fit are lost."""
        if not data:
            return
        self._last = data[-1:]
        try:
            if os.fstat(self._file).st_nlink == 0:
                self._warn(f"{self._path} was removed, the log goes on in a new file")
                os.close(self._file)
                self._file = -1
            if self._file < 0:
                self._file = self._open()
            while data:
                data = data[os.write(self._file, data) :]
            self._works = True
        except OSError as error:
            if self._works:
                self._warn(f"cannot write {self._path}: {error.strerror}; what is said now is lost")
            self._works = False

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> int:
        # Not blocking: a pipe without a reader would be waited for.
        flags = os.O_NONBLOCK | os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        return os.open(self._path, flags, 0o600)

    def _warn(self, text: str) -> None:
        self._on_warning(f"Warning: {text}.")
