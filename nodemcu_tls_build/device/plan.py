"""Say what a build wants where in a device's flash, and whether it fits into one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nodemcu_tls_build.build_output import (
    BuildOutput,
    hint_to_build,
    load_build_output,
    read_images,
)
from nodemcu_tls_build.device.chip import DeviceChip, format_size
from nodemcu_tls_build.device.regions import Region
from nodemcu_tls_build.errors import DeviceError, ImageError
from nodemcu_tls_build.image import FlashSettings, parse_flash_settings
from nodemcu_tls_build.memmap import (
    BOARDS,
    BOOT_OFFSET,
    CREDENTIALS_SECTORS,
    IROM_OFFSET,
    SECTOR,
    find_credentials,
)

Range = tuple[int, int]  # start and end, bytes from the beginning of flash


@dataclass(frozen=True)
class Plan:
    """A build's images, and the flash settings in the header of the first."""

    output: BuildOutput
    regions: tuple[Region, ...]
    settings: FlashSettings

    @property
    def credentials(self) -> Range:
        """Return where the firmware keeps its credentials."""
        return find_credentials_range(self.output.flash_size)


def find_credentials_range(flash_size: int) -> Range:
    """Return where the sectors of credentials are in a flash of that size."""
    start = find_credentials(flash_size)
    return start, start + CREDENTIALS_SECTORS * SECTOR


def load_plan(build_dir: Path) -> Plan:
    """Read a build; raise ImageError when it is damaged, or not one for its own board."""
    output = load_build_output(build_dir)
    hint = hint_to_build(build_dir)
    if output.board not in BOARDS:
        raise ImageError(
            f"the build in {build_dir} is for another board: {output.board}, which is not known",
            f"Use the nodemcu-tls that made it, or build for one of: {', '.join(BOARDS)}.",
        )
    regions = tuple(
        Region(image.path.name, image.offset, data)
        for image, data in zip(output.images, read_images(output), strict=True)
    )
    by_offset = {region.offset: region.data for region in regions}
    if BOOT_OFFSET not in by_offset or IROM_OFFSET not in by_offset:
        raise ImageError(f"the build in {build_dir} is for another board: it lacks an image", hint)
    settings = parse_flash_settings(by_offset[BOOT_OFFSET])
    if settings.size != output.flash_size:
        raise ImageError(
            f"the build in {build_dir} is for another board: its boot image says a flash of "
            f"{format_size(settings.size)}, build.json says {format_size(output.flash_size)}",
            hint,
        )
    limit = find_credentials(output.flash_size)
    for region in regions:
        if region.offset + len(region.data) > limit:
            raise ImageError(
                f"{build_dir / region.name} is larger than the flash: it ends at "
                f"{region.offset + len(region.data):#x}, credentials begin at {limit:#x}",
                "Build a smaller profile, or for a board with more flash.",
            )
    return Plan(output, regions, settings)


def check_fits(plan: Plan, chip: DeviceChip, *, port: str) -> None:
    """Raise DeviceError when the device has less flash than the build is for."""
    if chip.flash_size is not None and chip.flash_size < plan.output.flash_size:
        raise DeviceError(
            f"the build is for a flash of {format_size(plan.output.flash_size)}, "
            f"the one on {port} has {format_size(chip.flash_size)}",
            "Build it for that board: flash_size under [board] in the profile.",
        )
