"""Where a firmware has its credentials in flash, and how they are changed there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nodemcu_tls_build.certs.store import read_credentials
from nodemcu_tls_build.certs.store_write import (
    ERASED_STORE,
    STORE_SIZE,
    Credentials,
    update_nodemcu_store,
    update_store,
)
from nodemcu_tls_build.certs.stored import StoredSet, describe, read_nodemcu_store, read_store
from nodemcu_tls_build.device.plan import Range, find_credentials_range
from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.memmap import SECTOR

_NODEMCU_PLACE = (0x11000, 0x13000)  # one sector for the CA, one for the client
_START = 32  # bytes of a sector's header
_NOT_OURS = "Flash the firmware first: nodemcu-tls flash. For NodeMCU's own, give --format nodemcu."
_NOT_NODEMCU = "Give --format nodemcu for NodeMCU's own firmware only, built with its tls module."


class Format(StrEnum):
    """Whose firmware is to read the credentials."""

    NTLS = "ntls"
    NODEMCU = "nodemcu"

    def find_place(self, flash_size: int) -> Range:
        """Return where in a flash of that size the sectors are."""
        return find_credentials_range(flash_size) if self is Format.NTLS else _NODEMCU_PLACE

    @property
    def size(self) -> int:
        """Return how many bytes the sectors have."""
        return STORE_SIZE if self is Format.NTLS else _NODEMCU_PLACE[1] - _NODEMCU_PLACE[0]

    @property
    def erased(self) -> bytes:
        """Return the sectors without credentials."""
        return ERASED_STORE[: self.size]

    def update(self, store: bytes, credentials: Credentials) -> bytes:
        """Return the sectors with the credentials in force; raise CertificateError."""
        if self is Format.NTLS:
            return update_store(store, credentials)
        return update_nodemcu_store(store, credentials)

    def read(self, store: bytes) -> Credentials:
        """Return the credentials in force; raise ValueError for sectors of something else."""
        return read_store(store) if self is Format.NTLS else read_nodemcu_store(store)

    def describe(self, store: bytes) -> tuple[StoredSet, ...]:
        """Return what is stored, the keys only by their kind; raise ValueError as `read` does."""
        return describe(self.read(store))


@dataclass(frozen=True)
class Firmware:
    """What is in a flash: whether there is a boot image, and the build id of this project's."""

    is_there: bool
    build_id: str | None


def check_place(layout: Format, store: bytes, firmware: Firmware, where: str) -> None:
    """Raise ImageError when no credentials of the firmware belong there."""
    build_id = firmware.build_id
    if layout is Format.NODEMCU:
        if build_id is not None:
            raise ImageError(f"{where} has the firmware of build {build_id}", _NOT_NODEMCU)
        try:
            layout.read(store)
        except ValueError as error:
            start, end = _NODEMCU_PLACE
            raise ImageError(
                f"{where} is not NodeMCU firmware: it has something else between {start:#x} and "
                f"{end:#x}",
                _NOT_NODEMCU,
            ) from error
    elif build_id is None and firmware.is_there:
        raise ImageError(
            f"{where} has no firmware of this project, which alone would use the credentials",
            _NOT_OURS,
        )
    elif build_id is None and not _is_free(store):
        raise ImageError(
            f"{where} has something else where the credentials belong, and no firmware",
            _NOT_OURS,
        )


def list_changes(before: bytes, after: bytes) -> list[int]:
    """Return the offsets, in the sectors of credentials, of those that differ."""
    places = range(0, len(before), SECTOR)
    return [at for at in places if before[at : at + SECTOR] != after[at : at + SECTOR]]


def list_sectors(layout: Format, store: bytes) -> list[dict[str, Any]] | None:
    """Return the state of each sector as JSON-able data; None where sectors have no state."""
    if layout is Format.NODEMCU:
        return None
    return [found.to_dict() for found in read_credentials(store)]


def _is_free(store: bytes) -> bool:
    """Tell whether every sector is erased, or was being written as one of credentials."""
    starts = (store[at : at + _START] for at in range(0, len(store), SECTOR))
    return all(start.startswith(b"NTLS") or start == b"\xff" * _START for start in starts)
