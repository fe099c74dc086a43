"""Put credentials into a flash image in a file, or into a file of their own."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from nodemcu_tls_build.certs.seal import is_sealed
from nodemcu_tls_build.certs.store_write import Credentials
from nodemcu_tls_build.errors import DeviceError, ImageError, OutputError
from nodemcu_tls_build.files import (
    explain_write_error,
    read_file,
    remove_leftovers,
    try_lock,
    write_file,
)
from nodemcu_tls_build.image import (
    ERASED,
    FLASH_SIZES,
    MAGIC,
    find_build_id,
    parse_flash_settings,
)
from nodemcu_tls_build.memmap import BOOT_OFFSET, IROM_OFFSET
from nodemcu_tls_build.provision.layout import Firmware, Format, check_place
from nodemcu_tls_build.provision.result import Provisioned, Stored

OWNER_ONLY = stat.S_IRUSR | stat.S_IWUSR  # what has a key in it

_ATTEMPTS = 5
_NOTE = 64  # bytes that the note of the build id fits into
_FLASH_HINT = "Name the flash.bin of a build, or a flash that `nodemcu-tls run --flash` keeps."


@dataclass(frozen=True)
class Use:
    """What a file is read for: the command that takes it, and what to give it."""

    command: str
    hint: str


SHOW = Use("provision show", "Name a flash image, such as a build's flash.bin, or a store image.")
STORE = Use("provision PORT --store", "Name a store image, such as one of a fleet's.")
_FLASH = Use(STORE.command, _FLASH_HINT)


def provision_flash_file(path: Path, credentials: Credentials, layout: Format) -> Provisioned:
    """Put the credentials into a flash image, which grows to the whole flash; the rest stays.

    Only its owner can read the file then. Raises ImageError, DeviceError, OutputError and
    CertificateError, with the file as it was.
    """
    path = _follow(path)
    with _hold(path):
        remove_leftovers(path)
        flash, stored = _find(path, _read(path, _FLASH), layout, _FLASH)
        start = stored.offset or 0
        check_place(layout, stored.store, _find_firmware(flash), str(path))
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
    if path.exists() and not path.is_file():  # before links are followed: to a pipe, by no path
        raise OutputError(
            f"{path} is not a regular file: it is not replaced", "Choose another name."
        )
    path = _follow(path)
    store = layout.update(layout.erased, credentials)
    if path.exists() and not force and not _is_that(path, store):
        raise OutputError(
            f"{path} exists already", "Give --force to replace it, or choose another name."
        )
    if not path.parent.is_dir():
        raise OutputError(
            f"cannot write {path}: there is no directory {path.parent}", "Make it first."
        )
    write_file(path, store, mode=OWNER_ONLY)
    return Provisioned(layout.erased, Stored(str(path), layout, None, store))


def read_stored(path: Path, layout: Format, use: Use) -> Stored:
    """Return the credentials in a file or a pipe, of a whole flash or of their own.

    Raises ImageError.
    """
    data = _read(path, use, allow_pipe=True)
    if data[0] != MAGIC:
        if len(data) == layout.size:
            return Stored(str(path), layout, None, data)
        for other in Format:
            if len(data) == other.size:
                raise ImageError(
                    f"{path} is no store image in the format {layout}: it has the size of one in "
                    f"the format {other}",
                    f"`nodemcu-tls provision show --format {other}` reads it.",
                )
    return _find(path, data, layout, use)[1]


def _find(path: Path, data: bytes, layout: Format, use: Use) -> tuple[bytes, Stored]:
    """Return the flash, erased where the file ends too early, and what it stores.

    The emulator takes a whole flash; NodeMCU's tools take one that ends with its firmware.
    """
    size = _find_size(path, data, use)
    start, end = layout.find_place(size)
    if layout is Format.NODEMCU and len(data) < end:
        raise ImageError(
            f"{path} ends at {len(data):#x}, before the sectors of NodeMCU firmware, {start:#x} to "
            f"{end:#x}",
            "Name the whole image, as it is written to the flash from 0 on.",
        )
    flash = data.ljust(size, ERASED) if layout is Format.NTLS else data
    return flash, Stored(str(path), layout, start, flash[start:end])


def _find_size(path: Path, data: bytes, use: Use) -> int:
    """Return the size of the flash by its header, which the firmware goes by, or the file's."""
    if data[BOOT_OFFSET : BOOT_OFFSET + 1] == bytes([MAGIC]):
        try:
            size = parse_flash_settings(data).size
        except ImageError as error:
            raise ImageError(f"{path}: {error.message}", use.hint) from error
        if len(data) <= size or len(data) in FLASH_SIZES.values():
            return size
    elif len(data) in FLASH_SIZES.values():
        return len(data)
    raise ImageError(f"{path} is not a flash image: it has {len(data):,} bytes", use.hint)


def _find_firmware(flash: bytes) -> Firmware:
    build_id = find_build_id(flash[IROM_OFFSET : IROM_OFFSET + _NOTE])
    return Firmware(flash[BOOT_OFFSET] == MAGIC, build_id)


def _read(path: Path, use: Use, *, allow_pipe: bool = False) -> bytes:
    try:
        data = read_file(path, max(FLASH_SIZES.values()), allow_pipe=allow_pipe)
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}", use.hint) from error
    if not data:
        raise ImageError(f"{path} is empty", use.hint)
    if is_sealed(data):
        decrypt = "openssl cms -decrypt -binary -inform DER"
        raise ImageError(
            f"{path} is encrypted",
            "Decrypt it into a pipe: "
            f"nodemcu-tls {use.command} <({decrypt} -in {shlex.quote(str(path))} -inkey KEY)",
        )
    return data


def _follow(path: Path) -> Path:
    """Return what a link leads to: that is written, and the link stays."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _is_that(path: Path, data: bytes) -> bool:
    try:
        return read_file(path, len(data)) == data
    except OSError:
        return False


@contextmanager
def _hold(path: Path) -> Iterator[None]:
    """Keep emulators away from a flash, which have it locked while they run, and others like us."""
    try:
        descriptor = _lock(path)
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist", _FLASH_HINT) from error
    except OSError as error:
        raise explain_write_error(path, error) from error
    try:
        yield
    except OSError as error:
        raise explain_write_error(path, error) from error
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Open and lock the file; one that was replaced meanwhile is not that file any more."""
    for _ in range(_ATTEMPTS):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        with ExitStack() as unless_locked:
            unless_locked.callback(os.close, descriptor)
            if try_lock(descriptor) and os.path.samestat(os.fstat(descriptor), path.stat()):
                unless_locked.pop_all()
                return descriptor
    raise DeviceError(
        f"{path} is in use, by an emulator or by another provision", "Wait for it to end."
    )
