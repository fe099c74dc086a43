"""Find the credentials of a device that is about to be erased."""

from __future__ import annotations

from nodemcu_tls_build.certs.store import SectorState
from nodemcu_tls_build.device.compare import find_settings, load_credentials
from nodemcu_tls_build.device.plan import Range, find_credentials_range
from nodemcu_tls_build.device.regions import read_flash
from nodemcu_tls_build.device.tool import Line
from nodemcu_tls_build.image import FLASH_SIZES, FlashSettings
from nodemcu_tls_build.memmap import BOOT_OFFSET

_HEADER = 16  # bytes to read for a boot image's header


def read_settings(line: Line) -> FlashSettings | None:
    """Return the flash settings in the device's header, None when there is no header."""
    return find_settings(read_flash(line, BOOT_OFFSET, _HEADER, what="reading the header"))


def find_kept_credentials(line: Line, flash_size: int) -> list[Range]:
    """Return the places of credentials that an erase has to leave alone.

    It is the one place of the firmware that is there, or, without a header that says it, each
    place for a flash of some size where a valid sector is found: there may be none.
    """
    settings = read_settings(line)
    if settings and settings.size <= flash_size:
        return [find_credentials_range(settings.size)]
    sizes = sorted(size for size in set(FLASH_SIZES.values()) if size <= flash_size)
    places = [find_credentials_range(size) for size in sizes]
    return [place for place in places if _holds_credentials(line, place)]


def _holds_credentials(line: Line, place: Range) -> bool:
    return any(
        sector.state is SectorState.VALID
        for found in load_credentials(line, place)
        for sector in found.sectors
    )
