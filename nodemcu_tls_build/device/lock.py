"""One process a port: a lock file that goes away with its holder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nodemcu_tls_build.errors import DeviceError


def find_lock(key: str) -> Path:
    """Return the path of the lock file of a port."""
    name = f"nodemcu-tls-{hashlib.sha256(key.encode(errors='surrogateescape')).hexdigest()[:24]}"
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = runtime_dir and os.access(runtime_dir, os.W_OK | os.X_OK)
    return Path(runtime_dir if usable else tempfile.gettempdir()) / f"{name}.lock"


@contextlib.contextmanager
def take_lock(path: Path, port: str) -> Iterator[None]:
    """Hold a lock file, which goes away with its holder.

    A file that was opened before its last holder removed it locks nothing: it is opened again.
    """
    while True:
        descriptor = _open_lock(path)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DeviceError(
                    f"{port} is in use by another nodemcu-tls",
                    "Wait for it to end, or end it (a monitor?).",
                ) from error
            if not _is_at(descriptor, path):
                continue
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # another user's, in a directory of all users
                    path.unlink()
            return
        finally:
            os.close(descriptor)


def _open_lock(path: Path) -> int:
    """Open a lock file, made when there is none; to lock another user's, reading is enough."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            return os.open(path, flags | os.O_CREAT, 0o644)
    except OSError as error:
        raise DeviceError(
            f"cannot lock the port: {path}: {error.strerror}", "Remove that file."
        ) from error


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
