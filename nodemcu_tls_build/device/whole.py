"""A device's flash as a whole: what is in it, saving it, putting it back, erasing it."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nodemcu_tls_build.certs.store import CredentialSet
from nodemcu_tls_build.device.chip import DeviceChip, format_size
from nodemcu_tls_build.device.compare import find_settings, list_credentials, load_credentials
from nodemcu_tls_build.device.plan import Range, find_credentials_range
from nodemcu_tls_build.device.regions import (
    Region,
    compare_regions,
    erase_ranges,
    read_flash,
    write_regions,
)
from nodemcu_tls_build.device.tool import Line, open_memory
from nodemcu_tls_build.device.use import use_device
from nodemcu_tls_build.errors import DeviceError, ImageError, OutputError
from nodemcu_tls_build.files import write_file
from nodemcu_tls_build.image import FlashSettings, find_build_id
from nodemcu_tls_build.memmap import BOOT_OFFSET, IROM_OFFSET

_HEADER = 16  # bytes to read for a boot image's header
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
        settings = _read_settings(device)
        note = read_flash(device, IROM_OFFSET, _NOTE, what="reading the build id")
        place = _find_place(chip, settings, line.port)
        credentials = load_credentials(device, place)
    return DeviceInfo(line.port, chip, settings, find_build_id(note), place, credentials)


def back_up(line: Line, path: Path) -> int:
    """Save the whole flash to a new file that nobody else may read; return its size.

    The file is there only when its digest is the device's. Raises DeviceError or OutputError.
    """
    if path.exists() or path.is_symlink():
        raise OutputError(f"{path} exists already", "Remove it, or choose another name.")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no directory {path.parent}")
    with use_device(line) as (device, chip):
        size = _get_size(chip, line.port)
        data = read_flash(device, 0, size, what="reading the flash")
        _check_digest(device, data, "the backup is not what the flash holds")
    write_file(path, data, mode=stat.S_IRUSR | stat.S_IWUSR)
    return size


def restore(line: Line, path: Path) -> int:
    """Write a backup of the whole flash back; return its size; raise DeviceError or ImageError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}", "Check its name.") from error
    with use_device(line) as (device, chip):
        size = _get_size(chip, line.port)
        if len(data) != size:
            raise ImageError(
                f"{path} has {len(data):,} bytes, the flash of {line.port} has {size:,}",
                "Only a backup of a whole flash of that size can be restored.",
            )
        with open_memory(data) as (descriptor, memory_path):
            region = Region(path.name, 0, data, memory_path)
            write_regions(device, [region], force=True, keep_open=[descriptor])
        _check_digest(device, data, "the flash is not what the backup holds")
    return size


def erase(line: Line, *, keep_credentials: bool) -> list[Range]:
    """Erase the whole flash, the credentials only if asked for; return what was erased."""
    with use_device(line) as (device, chip):
        size = _get_size(chip, line.port)
        ranges: list[Range] = [(0, size)]
        if keep_credentials:
            start, end = _find_place(chip, _read_settings(device), line.port)
            ranges = [(0, start), (end, size)]
        erase_ranges(device, ranges)
    return ranges


def _read_settings(line: Line) -> FlashSettings | None:
    return find_settings(read_flash(line, BOOT_OFFSET, _HEADER, what="reading the header"))


def _find_place(chip: DeviceChip, settings: FlashSettings | None, port: str) -> Range:
    """Return where the credentials are: the firmware goes by its header, not by the chip."""
    size = chip.flash_size
    if settings and (size is None or settings.size <= size):
        size = settings.size
    if size is None:
        raise _explain_unknown_size(chip, port)
    return find_credentials_range(size)


def _get_size(chip: DeviceChip, port: str) -> int:
    if chip.flash_size is None:
        raise _explain_unknown_size(chip, port)
    return chip.flash_size


def _explain_unknown_size(chip: DeviceChip, port: str) -> DeviceError:
    return DeviceError(f"esptool does not know how large the flash {chip.flash_id} on {port} is")


def _check_digest(line: Line, data: bytes, problem: str) -> None:
    with open_memory(data) as (descriptor, path):
        region: Sequence[Region] = [Region("flash", 0, data, path)]
        (same,) = compare_regions(line, region, what="comparing digests", keep_open=[descriptor])
    if not same:
        raise DeviceError(f"{problem} ({format_size(len(data))} on {line.port})", _CABLE)
