"""Compare a device with a build: its firmware, its header, its credentials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from nodemcu_tls_build.certs.store import CredentialSet, read_credentials
from nodemcu_tls_build.device.chip import DeviceChip, format_size
from nodemcu_tls_build.device.plan import Plan
from nodemcu_tls_build.device.regions import Region, compare_regions, read_flash
from nodemcu_tls_build.device.tool import Line
from nodemcu_tls_build.errors import DeviceError, ImageError
from nodemcu_tls_build.image import FlashSettings, find_build_id, parse_flash_settings
from nodemcu_tls_build.memmap import BOOT_OFFSET, IROM_OFFSET


@dataclass(frozen=True)
class RegionVerdict:
    """What a region of the device holds; `first_difference` is a flash offset, None: the same."""

    region: Region
    device: bytes
    first_difference: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "name": self.region.name,
            "offset": self.region.offset,
            "length": len(self.region.data),
            "same": self.first_difference is None,
            "build_sha256": sha256(self.region.data).hexdigest(),
            "device_sha256": sha256(self.device).hexdigest(),
            "first_difference": self.first_difference,
        }


@dataclass(frozen=True)
class Comparison:
    """A device beside a build; `credentials` None: the flash ends before them.

    Credentials are the device's own: whatever they are, the firmware may be the build's.
    """

    port: str
    plan: Plan
    chip: DeviceChip
    verdicts: tuple[RegionVerdict, ...]
    credentials: tuple[CredentialSet, ...] | None

    @property
    def settings(self) -> FlashSettings | None:
        """Return the flash settings in the device's header, if it has one."""
        return find_settings(self._get_device(BOOT_OFFSET))

    @property
    def build_id(self) -> str | None:
        """Return the id of the build that is on the device, if there is one."""
        return find_build_id(self._get_device(IROM_OFFSET))

    @property
    def problems(self) -> list[str]:
        """Return what is not as the build has it, one sentence each."""
        found = [
            f"{verdict.region.name} differs from offset {verdict.first_difference:#x} on"
            for verdict in self.verdicts
            if verdict.first_difference is not None
        ]
        wanted, there = self.plan.output.build_id, self.build_id
        if there != wanted:
            found.append(
                f"its build id is {there}, the build's is {wanted}"
                if there
                else "it has no build id"
            )
        size, chip_size = self.plan.output.flash_size, self.chip.flash_size
        if chip_size is not None and chip_size < size:
            found.append(
                f"the build is for a flash of {format_size(size)}, "
                f"the device has {format_size(chip_size)}"
            )
        return found

    @property
    def same(self) -> bool:
        """Tell whether the device holds the build."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        settings = self.settings
        return {
            "port": self.port,
            "result": "same" if self.same else "different",
            "problems": self.problems,
            "chip": self.chip.to_dict(),
            "build_id": {"build": self.plan.output.build_id, "device": self.build_id},
            "regions": [verdict.to_dict() for verdict in self.verdicts],
            "header": {
                "build": asdict(self.plan.settings),
                "device": asdict(settings) if settings else None,
            },
            "credentials": list_credentials(self.credentials),
        }

    def _get_device(self, offset: int) -> bytes:
        return next(v.device for v in self.verdicts if v.region.offset == offset)


def compare_device(line: Line, plan: Plan, chip: DeviceChip) -> Comparison:
    """Compare the device with the build; raise DeviceError when that cannot be told.

    Digests are compared first; only a region that differs is read back.
    """
    end = chip.flash_size or plan.output.flash_size
    inside = [r for r in plan.regions if r.offset + len(r.data) <= end]
    same = compare_regions(line, inside, what="comparing digests") if inside else []
    verdicts = []
    for region in plan.regions:
        if region not in inside:
            verdicts.append(RegionVerdict(region, b"", region.offset))
        elif same[inside.index(region)]:
            verdicts.append(RegionVerdict(region, region.data, None))
        else:
            verdicts.append(_find_difference(line, region))
    credentials = load_credentials(line, plan.credentials) if plan.credentials[1] <= end else None
    return Comparison(line.port, plan, chip, tuple(verdicts), credentials)


def load_credentials(line: Line, place: tuple[int, int]) -> tuple[CredentialSet, ...]:
    """Read the sectors of credentials and judge them; what they hold is not kept."""
    start, end = place
    return read_credentials(read_flash(line, start, end - start, what="reading the credentials"))


def find_settings(header: bytes) -> FlashSettings | None:
    """Return the flash settings of a boot image, None when there is none."""
    try:
        return parse_flash_settings(header)
    except ImageError:
        return None


def list_credentials(sets: Sequence[CredentialSet] | None) -> list[dict[str, Any]] | None:
    """Return sets of credentials as JSON-able data."""
    return None if sets is None else [found.to_dict() for found in sets]


def _find_difference(line: Line, region: Region) -> RegionVerdict:
    length = len(region.data)
    device = read_flash(line, region.offset, length, what=f"reading {region.name} back")
    pairs = zip(device, region.data, strict=True)
    at = next((n for n, (found, wanted) in enumerate(pairs) if found != wanted), None)
    if at is None:
        raise DeviceError(
            f"the device on {line.port} cannot be compared: {region.name} has another digest, "
            "but reads the same",
            "Check cable and supply, try a lower --baud, then run the command again.",
        )
    return RegionVerdict(region, device, region.offset + at)
