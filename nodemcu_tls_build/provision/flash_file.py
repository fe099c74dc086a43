"""Put credentials into a flash image in a file, or into a file of their own."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nodemcu_tls_build.certs.store_write import Credentials
from nodemcu_tls_build.errors import DeviceError, ImageError, OutputError
from nodemcu_tls_build.files import explain_write_error, read_file, try_lock, write_file
from nodemcu_tls_build.image import (
    ERASED,
    FLASH_SIZES,
    MAGIC,
    find_build_id,
    parse_flash_settings,
)
from nodemcu_tls_build.memmap import BOOT_OFFSET, IROM_OFFSET
from nodemcu_tls_build.provision.layout import Format, check_place
from nodemcu_tls_build.provision.result import Provisioned, Stored

OWNER_ONLY = stat.S_IRUSR | stat.S_IWUSR  # what has a key in it

_NOTE = 64  # bytes that the note of the build id fits into
_FLASH_HINT = "Name the flash.bin of a build, or a flash that `nodemcu-tls run --flash` keeps."


def provision_flash_file(path: Path, credentials: Credentials, layout: Format) -> Provisioned:
    """Put the credentials into a flash image, which grows to the whole flash; the rest stays.

    Only its owner can read the file then. Raises ImageError, DeviceError, OutputError and
    CertificateError, with the file as it was.
    """
    with _hold(path):
        flash, stored = _load(path, layout)
        start = stored.offset or 0
        check_place(layout, stored.store, build_id=_find_build_id(flash), where=str(path))
        store = layout.update(stored.store, credentials)
        new = flash[:start] + store + flash[start + len(store) :]
        write_file(path, new, mode=OWNER_ONLY)
    return Provisioned(stored.store, Stored(str(path), layout, start, store))


def make_store_file(
    path: Path, credentials: Credentials, layout: Format, *, force: bool
) -> Provisioned:
    """Write sectors with these credentials and no others to a file that only its owner can read.

    Another file stays unless `force` is given. Raises OutputError and CertificateError.
    """
    store = layout.update(layout.erased, credentials)
    if os.path.lexists(path) and not force and not _is_that(path, store):
        raise OutputError(
            f"{path} exists already", "Give --force to replace it, or choose another name."
        )
    if not path.parent.is_dir():
        raise OutputError(
            f"cannot write {path}: there is no directory {path.parent}", "Make it first."
        )
    write_file(path, store, mode=OWNER_ONLY)
    return Provisioned(layout.erased, Stored(str(path), layout, None, store))


def read_stored(path: Path, layout: Format) -> Stored:
    """Return the credentials in a file, of a whole flash or of their own; raise ImageError."""
    data = _read(path)
    if len(data) == layout.size and data[0] != MAGIC:
        return Stored(str(path), layout, None, data)
    return _load(path, layout)[1]


def _load(path: Path, layout: Format) -> tuple[bytes, Stored]:
    """Return the flash, erased where the file ends too early, and what it stores.

    The emulator takes a whole flash; NodeMCU's tools take one that ends with its firmware.
    """
    data = _read(path)
    size = _find_size(path, data)
    start, end = layout.find_place(size)
    flash = data.ljust(size if layout is Format.NTLS else end, ERASED)
    return flash, Stored(str(path), layout, start, flash[start:end])


def _find_size(path: Path, data: bytes) -> int:
    """Return the size of the flash by its header, which the firmware goes by, or the file's."""
    if data[BOOT_OFFSET : BOOT_OFFSET + 1] == bytes([MAGIC]):
        try:
            size = parse_flash_settings(data).size
        except ImageError as error:
            raise ImageError(f"{path}: {error.message}", _FLASH_HINT) from error
        if len(data) <= size or len(data) in FLASH_SIZES.values():
            return size
    elif len(data) in FLASH_SIZES.values():
        return len(data)
    raise ImageError(f"{path} is not a flash image: it has {len(data):,} bytes", _FLASH_HINT)


def _find_build_id(flash: bytes) -> str | None:
    return find_build_id(flash[IROM_OFFSET : IROM_OFFSET + _NOTE])


def _read(path: Path) -> bytes:
    try:
        data = read_file(path, max(FLASH_SIZES.values()))
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}", _FLASH_HINT) from error
    if not data:
        raise ImageError(f"{path} is empty", _FLASH_HINT)
    return data


def _is_that(path: Path, data: bytes) -> bool:
    try:
        return read_file(path, len(data)) == data
    except OSError:
        return False


@contextmanager
def _hold(path: Path) -> Iterator[None]:
    """Keep emulators away from a flash, which have it locked while they run."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist", _FLASH_HINT) from error
    except OSError as error:
        raise explain_write_error(path, error) from error
    try:
        if not try_lock(descriptor):
            raise DeviceError(
                f"{path} is the flash of an emulator that is running", "Wait for it to end."
            )
        yield
    except OSError as error:
        raise explain_write_error(path, error) from error
    finally:
        os.close(descriptor)
