"""A device's flash as a whole: what is in it, saving it, putting it back, erasing it."""

from __future__ import annotations

import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nodemcu_tls_build.certs.store import CredentialSet
from nodemcu_tls_build.device.chip import DeviceChip, format_size
from nodemcu_tls_build.device.compare import list_credentials, load_credentials
from nodemcu_tls_build.device.credentials import find_kept_credentials, read_settings
from nodemcu_tls_build.device.plan import Range, find_credentials_range
from nodemcu_tls_build.device.regions import (
    Region,
    compare_regions,
    erase_ranges,
    read_flash,
    write_regions,
)
from nodemcu_tls_build.device.tool import Line
from nodemcu_tls_build.device.use import use_device
from nodemcu_tls_build.errors import DeviceError, ImageError, OutputError
from nodemcu_tls_build.files import read_file, write_file
from nodemcu_tls_build.image import FLASH_SIZES, FlashSettings, find_build_id
from nodemcu_tls_build.memmap import IROM_OFFSET

_NOTE = 64  # bytes to read for the note of the build id
_CABLE = "Check cable and supply, try a lower --baud, then run the command again."


@dataclass(frozen=True)
class DeviceInfo:
    """What a device is and holds; `place` is where its credentials are."""

    port: str
    chip: DeviceChip
    settings: FlashSettings | None
    build_id: str | None
    place: Range
    credentials: tuple[CredentialSet, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "port": self.port,
            "chip": self.chip.to_dict(),
            "header": asdict(self.settings) if self.settings else None,
            "build_id": self.build_id,
            "credentials": list_credentials(self.credentials),
        }


def read_info(line: Line) -> DeviceInfo:
    """Ask the device what it is and holds; raise DeviceError."""
    with use_device(line) as (device, chip):
        settings = read_settings(device)
        note = read_flash(device, IROM_OFFSET, _NOTE, what="reading the build id")
        place = find_credentials_range(find_flash_size(chip, settings, line.port))
        credentials = load_credentials(device, place)
    return DeviceInfo(line.port, chip, settings, find_build_id(note), place, credentials)


def back_up(line: Line, path: Path, *, force: bool = False) -> int:
    """Save the whole flash to a new file that nobody else may read; return its size.

    The file is there only when its digest is the device's. With `force` it takes the place of
    another one, which stays until then. Raises DeviceError or OutputError.
    """
    if os.path.lexists(path):  # false for a name that is too long: writing will say so
        if not force:
            raise OutputError(
                f"{path} exists already", "Give --force to replace it, or choose another name."
            )
        if not path.is_file():
            raise OutputError(f"{path} is not a regular file", "Choose another name.")
    if not path.parent.is_dir():
        raise OutputError(
            f"cannot write {path}: there is no directory {path.parent}", "Make it first."
        )
    with use_device(line) as (device, chip):
        size = _get_size(chip, line.port)
        data = read_flash(device, 0, size, what="reading the flash")
        _check_digest(device, data, "the backup is not what the flash holds")
    write_file(path, data, mode=stat.S_IRUSR | stat.S_IWUSR)
    return size


def restore(line: Line, path: Path) -> int:
    """Write a backup of the whole flash back; return its size; raise DeviceError or ImageError."""
    try:
        data = read_file(path, max(FLASH_SIZES.values()))
    except OSError as error:
        hint = "Name a backup that `nodemcu-tls device backup` made."
        raise ImageError(f"cannot read {path}: {error.strerror}", hint) from error
    with use_device(line) as (device, chip):
        size = _get_size(chip, line.port)
        if len(data) != size:
            raise ImageError(
                f"{path} has {len(data):,} bytes, the flash of {line.port} has {size:,}",
                "Only a backup of a whole flash of that size can be restored.",
            )
        write_regions(device, [Region(path.name, 0, data)], force=True)
        _check_digest(device, data, "the flash is not what the backup holds")
    return size


def erase(line: Line, *, keep_credentials: bool) -> tuple[list[Range], list[Range]]:
    """Erase the whole flash, the credentials only if asked for; return what went and what stayed.

    Where no firmware says how large it takes the flash to be, they are looked for at every place.
    """
    with use_device(line) as (device, chip):
        size = _get_size(chip, line.port)
        kept = find_kept_credentials(device, size) if keep_credentials else []
        edges = [0, *(edge for place in sorted(kept) for edge in place), size]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        ranges = [(start, end) for start, end in pairs if start < end]
        erase_ranges(device, ranges)
    return ranges, kept


def find_flash_size(chip: DeviceChip, settings: FlashSettings | None, port: str) -> int:
    """Return how large its firmware takes the flash to be: it goes by its header, not the chip.

    Raises DeviceError when neither tells.
    """
    size = chip.flash_size
    if settings and (size is None or settings.size <= size):
        size = settings.size
    if size is None:
        raise _explain_unknown_size(chip, port)
    return size


def _get_size(chip: DeviceChip, port: str) -> int:
    if chip.flash_size is None:
        raise _explain_unknown_size(chip, port)
    return chip.flash_size


def _explain_unknown_size(chip: DeviceChip, port: str) -> DeviceError:
    return DeviceError(f"esptool does not know how large the flash {chip.flash_id} on {port} is")


def _check_digest(line: Line, data: bytes, problem: str) -> None:
    (same,) = compare_regions(line, [Region("flash", 0, data)], what="comparing digests")
    if not same:
        raise DeviceError(f"{problem} ({format_size(len(data))} on {line.port})", _CABLE)
