"""Write a build to a device, and see that it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from nodemcu_tls_build.device.chip import DeviceChip
from nodemcu_tls_build.device.compare import Comparison, compare_device
from nodemcu_tls_build.device.credentials import find_kept_credentials
from nodemcu_tls_build.device.plan import Plan, Range, check_fits
from nodemcu_tls_build.device.regions import compare_regions, erase_ranges, write_regions
from nodemcu_tls_build.device.tool import Line
from nodemcu_tls_build.device.use import use_device
from nodemcu_tls_build.errors import DeviceError

Erase = Literal["none", "firmware", "all"]


@dataclass(frozen=True)
class FlashRequest:
    """What to write; `erase` is what of the flash is erased before, beside what is written."""

    plan: Plan
    erase: Erase = "none"
    keep_credentials: bool = True
    verify: bool = True


@dataclass(frozen=True)
class FlashResult:
    """What was done to a device; `comparison` is None when it was not asked for."""

    port: str
    chip: DeviceChip
    written: tuple[str, ...]
    skipped: tuple[str, ...]
    erased: tuple[Range, ...]
    comparison: Comparison | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "port": self.port,
            "ok": True,
            "chip": self.chip.to_dict(),
            "written": list(self.written),
            "skipped": list(self.skipped),
            "erased": [list(place) for place in self.erased],
            "verify": self.comparison.to_dict() if self.comparison else None,
        }


def flash_device(line: Line, request: FlashRequest) -> FlashResult:
    """Write the build to the device on `line`; raise DeviceError when it is not there then."""
    plan = request.plan
    with use_device(line) as (device, chip):
        check_fits(plan, chip, port=line.port)
        ranges = list_erased(request, chip.flash_size or plan.output.flash_size)
        if ranges:
            if request.keep_credentials:
                _check_kept(device, plan, ranges, chip.flash_size or plan.output.flash_size)
            erase_ranges(device, ranges)
        same = [False] * len(plan.regions)
        if request.erase == "none":
            same = compare_regions(device, plan.regions, what="looking for what has changed")
        changed = [r for r, is_same in zip(plan.regions, same, strict=True) if not is_same]
        if changed:
            write_regions(device, changed)
        comparison = compare_device(device, plan, chip) if request.verify else None
        if comparison and not comparison.same:
            raise DeviceError(
                f"{line.port} does not hold the build after it was written: "
                f"{'; '.join(comparison.problems)}",
                "Try again; when it stays so, the flash is worn out or its supply too weak.",
            )
    skipped = tuple(r.name for r in plan.regions if r not in changed)
    written = tuple(r.name for r in changed)
    return FlashResult(line.port, chip, written, skipped, tuple(ranges), comparison)


def verify_device(line: Line, plan: Plan) -> Comparison:
    """Compare the device on `line` with the build; raise DeviceError when that cannot be told."""
    with use_device(line) as (device, chip):
        return compare_device(device, plan, chip)


def _check_kept(line: Line, plan: Plan, ranges: list[Range], flash_size: int) -> None:
    """Raise DeviceError when credentials that are to be kept lie where the flash is erased.

    So it is when the firmware that is there takes the flash to be of another size.
    """
    for start, end in find_kept_credentials(line, flash_size):
        if any(start < stop and first < end for first, stop in ranges):
            raise DeviceError(
                f"the credentials of {line.port} are at {start:#x}, where its firmware wants them; "
                f"this build wants them at {plan.credentials[0]:#x} and would erase them",
                "Give --no-keep-credentials to erase them, or `--erase none`.",
            )


def list_erased(request: FlashRequest, flash_size: int) -> list[Range]:
    """Return what has to be erased before writing, the credentials left out unless asked for."""
    start, end = request.plan.credentials
    ranges = {
        "none": [],
        "firmware": [(0, start)],
        "all": [(0, start), (end, flash_size)],
    }[request.erase]
    if request.keep_credentials:
        return ranges
    return join_ranges([*ranges, (start, end)])


def join_ranges(ranges: list[Range]) -> list[Range]:
    """Return the ranges in order, neighbours as one."""
    joined: list[Range] = []
    for start, end in sorted(ranges):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
