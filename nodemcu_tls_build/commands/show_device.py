"""What a device is and holds, for people to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nodemcu_tls_build.certs.store import CredentialSet, Sector, SectorState
from nodemcu_tls_build.commands.show import Row, format_table
from nodemcu_tls_build.device.chip import DeviceChip, format_size
from nodemcu_tls_build.memmap import SECTOR

if TYPE_CHECKING:
    from nodemcu_tls_build.device.compare import Comparison
    from nodemcu_tls_build.device.flash import FlashResult
    from nodemcu_tls_build.device.whole import DeviceInfo
    from nodemcu_tls_build.image import FlashSettings

_NONE = "none"


def describe_flashed(result: FlashResult) -> str:
    """Say in one line for a port what was written and what was not."""
    parts = [f"{name} written" for name in result.written]
    parts += [f"{name} unchanged, skipped" for name in result.skipped]
    parts += [f"{start:#x} to {end:#x} erased before" for start, end in result.erased]
    if result.comparison:
        parts.append("verified")
        if result.comparison.credentials is not None:
            parts.append(describe_credentials(result.comparison.credentials))
    return f"{result.port} ({result.chip.mac}): {'; '.join(parts)}"


def describe_credentials(sets: Sequence[CredentialSet]) -> str:
    """Say in a few words which credentials are in force, and what is wrong in their sectors."""
    stored = [f"{found.name}: {_count(found.stored)}" for found in sets if found.stored]
    trouble = [
        f"{found.name}: {'both sectors are' if count == 2 else 'one sector is'} {state}"
        for found in sets
        for state in (SectorState.INTERRUPTED, SectorState.DAMAGED)
        if (count := [sector.state for sector in found.sectors].count(state))
    ]
    return f"credentials: {', '.join(stored + trouble) or 'none stored'}"


def format_chip(chip: DeviceChip, port: str, *more: tuple[str, str]) -> str:
    """Lay out what a device is, with `more` lines at the end."""
    cells = [
        ("Port", port),
        ("Chip", f"{chip.chip}, crystal of {chip.crystal} MHz"),
        ("MAC address", chip.mac),
        ("Flash", f"{format_size(chip.flash_size)}, id {chip.flash_id}"),
        *more,
    ]
    return format_table(("Device", ""), [Row(pair) for pair in cells], "<<")


def format_comparison(comparison: Comparison) -> str:
    """Lay out a device beside a build, and end with the verdict."""
    plan = comparison.plan
    tables = [
        format_chip(comparison.chip, comparison.port),
        _format_regions(comparison),
        _format_settings(comparison.settings, plan.settings, comparison.chip),
        _format_build_ids(comparison.build_id, plan.output.build_id),
    ]
    if comparison.credentials is not None:
        tables.append(format_credentials(comparison.credentials, plan.credentials[0]))
    if comparison.same:
        end = f"{comparison.port} holds the build in {plan.output.build_dir}."
    else:
        end = f"{comparison.port} does not hold the build in {plan.output.build_dir}:\n  - "
        end += "\n  - ".join(comparison.problems)
    return "\n\n".join([*tables, end])


def format_info(info: DeviceInfo) -> str:
    """Lay out what a device is and holds."""
    tables = [
        format_chip(info.chip, info.port, ("Build id", info.build_id or _NONE)),
        _format_settings(info.settings, None, info.chip),
        format_credentials(info.credentials, info.place[0]),
    ]
    return "\n\n".join(tables)


def format_credentials(sets: Sequence[CredentialSet], offset: int) -> str:
    """Lay out the sectors of credentials; `offset` is the first one's in flash."""
    rows: list[Row] = []
    for found in sets:
        for copy, sector in enumerate(found.sectors):
            remark = "in force" if copy == found.current else sector.problem or ""
            if copy == found.current and not found.stored:
                remark = "in force: nothing is stored"
            colour = "yellow" if sector.state is SectorState.DAMAGED else None
            place = f"{offset + SECTOR * len(rows):#07x}"
            rows.append(Row((found.name, place, _describe(sector), remark), colour))
    return format_table(("Credentials", "sector", "holds", ""), rows, "<><<")


def _format_regions(comparison: Comparison) -> str:
    rows = []
    for verdict in comparison.verdicts:
        start, length = verdict.region.offset, len(verdict.region.data)
        place = (f"{start:#07x}", f"{start + length:#07x}", f"{length:,}")
        at = verdict.first_difference
        ends = ("same", "") if at is None else ("differs", f"first at {at:#07x}")
        rows.append(Row((verdict.region.name, *place, *ends), None if at is None else "red"))
    return format_table(("Firmware", "offset", "end", "bytes", "device", ""), rows, "<>>><<")


def _format_settings(
    device: FlashSettings | None, build: FlashSettings | None, chip: DeviceChip
) -> str:
    columns = ("device", "build", "chip") if build else ("device", "chip")
    rows = []
    for title, name in (("Flash mode", "mode"), ("Flash size", "size"), ("Frequency", "frequency")):
        cells = [_describe_setting(device, name)]
        if build:
            cells.append(_describe_setting(build, name))
        cells.append(format_size(chip.flash_size) if name == "size" else "")
        rows.append(Row((title, *cells), "red" if build and cells[0] != cells[1] else None))
    return format_table(("Header", *columns), rows, "<" * (1 + len(columns)))


def _describe_setting(settings: FlashSettings | None, name: str) -> str:
    if settings is None:
        return _NONE
    value = getattr(settings, name)
    if name == "size":
        return format_size(value)
    return f"{value[:-1]} MHz" if name == "frequency" else str(value)


def _format_build_ids(device: str | None, build: str) -> str:
    rows = [Row(("device", device or _NONE), None if device == build else "red")]
    return format_table(("Build id", ""), [*rows, Row(("build", build))], "<<")


def _describe(sector: Sector) -> str:
    if sector.state is not SectorState.VALID:
        return "an interrupted change" if sector.state is SectorState.INTERRUPTED else sector.state
    return f"{_count(sector)}, number {sector.sequence}"


def _count(sector: Sector | None) -> str:
    if sector is None or sector.certificates + sector.keys == 0:
        return "nothing"
    counts = ((sector.certificates, "certificate"), (sector.keys, "key"))
    return ", ".join(f"{n} {noun}{'s' if n != 1 else ''}" for n, noun in counts if n)
