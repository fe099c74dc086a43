"""Put credentials into the flash of a device, and see that they and nothing else changed."""

from __future__ import annotations

from nodemcu_tls_build.certs.store_write import Credentials
from nodemcu_tls_build.device.credentials import read_settings
from nodemcu_tls_build.device.plan import Range
from nodemcu_tls_build.device.regions import Region, read_flash, write_regions
from nodemcu_tls_build.device.tool import Line
from nodemcu_tls_build.device.use import use_device
from nodemcu_tls_build.device.whole import find_flash_size
from nodemcu_tls_build.errors import DeviceError
from nodemcu_tls_build.image import find_build_id
from nodemcu_tls_build.memmap import IROM_OFFSET, SECTOR
from nodemcu_tls_build.provision.layout import Firmware, Format, check_place, list_changes
from nodemcu_tls_build.provision.result import Provisioned, Stored

_NOTE = 64  # bytes to read for the note of the build id


def provision_device(line: Line, credentials: Credentials, layout: Format) -> Provisioned:
    """Put the credentials into the device's flash, one sector after another; read all back.

    What is in force stays so until its sector is whole: a sector is written whole, and one that
    was cut short fails its checksum. Raises DeviceError, ImageError and CertificateError.
    """
    with use_device(line) as (device, chip):
        settings = read_settings(device)
        place = layout.find_place(find_flash_size(chip, settings, device.port))
        before = _read_store(device, place, "reading the credentials")
        note = read_flash(device, IROM_OFFSET, _NOTE, what="reading the build id")
        firmware = Firmware(settings is not None, find_build_id(note))
        check_place(layout, before, firmware, line.port)
        wanted = layout.update(before, credentials)
        for at in list_changes(before, wanted):
            write_regions(device, [Region("", place[0] + at, wanted[at : at + SECTOR])])
        if wanted != before:
            _check(wanted, _read_store(device, place, "reading them back"), place, line.port)
    return Provisioned(before, Stored(line.port, layout, place[0], wanted))


def read_device(line: Line, layout: Format) -> Stored:
    """Return the credentials in the device's flash; raise DeviceError."""
    with use_device(line) as (device, chip):
        place = layout.find_place(find_flash_size(chip, read_settings(device), device.port))
        return Stored(
            line.port, layout, place[0], _read_store(device, place, "reading the credentials")
        )


def _read_store(device: Line, place: Range, what: str) -> bytes:
    return read_flash(device, place[0], place[1] - place[0], what=what)


def _check(wanted: bytes, found: bytes, place: Range, port: str) -> None:
    for at in list_changes(wanted, found):
        raise DeviceError(
            f"the credentials on {port} are not what was written, in the sector at "
            f"{place[0] + at:#x}",
            "Try again; when it stays so, the flash is worn out or its supply too weak.",
        )
