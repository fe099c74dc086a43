"""One process a port: a lock file that goes away with its holder."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from nodemcu_tls_build.errors import DeviceError
from nodemcu_tls_build.files import try_lock

_DIRECTORY = Path("/tmp")  # noqa: S108 -- the one that all users and environments share


def find_lock(key: str) -> Path:
    """Return the path of the lock file of a port: the same for everybody on this machine."""
    digest = hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
    return _DIRECTORY / f"nodemcu-tls-{digest[:24]}.lock"


@contextlib.contextmanager
def take_lock(path: Path, port: str) -> Iterator[None]:
    """Hold a lock file, which goes away with its holder.

    A file that was opened before its last holder removed it locks nothing: it is opened again.
    """
    while True:
        descriptor = _open_lock(path)
        try:
            if not try_lock(descriptor):
                raise DeviceError(
                    f"{port} is in use by another nodemcu-tls",
                    "Wait for it to end, or end it (a monitor?).",
                )
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
