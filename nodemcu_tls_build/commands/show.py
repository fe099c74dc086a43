"""Tables for people to read."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from nodemcu_tls_build.size import RegionUse, SizeReport

_REGION_ROWS = {
    "flash": ("Flash, mapped", ""),
    "iram": ("IRAM", ""),
    "dram": ("DRAM, application", "for the heap"),
    "sdk": ("DRAM, SDK's share", ""),
}
_COLUMNS = ("flash", "iram", "data", "bss", "sdk")


def format_layout(build: dict[str, Any]) -> RenderableType:
    """Lay out what goes where in flash, from a build's report; at most 79 columns."""
    table = _make_table("Flash", ("offset", "end", "bytes"))
    table.add_column("SHA-256", no_wrap=True)
    for image in build["images"]:
        start, length = image["offset"], image["length"]
        row = (image["name"], f"{start:#07x}", f"{start + length:#07x}", f"{length:,}")
        table.add_row(*row, image["sha256"][:16])
    return table


def format_size_table(report: SizeReport) -> RenderableType:
    """Lay out the report: how full each memory is, then who fills it; at most 79 columns."""
    from rich.console import Group

    return Group(_format_regions(report), "", _format_components(report))


def _format_regions(report: SizeReport) -> Table:
    table = _make_table("Memory", ("used", "limit", "free", "full", ""))
    for name, (title, remark) in _REGION_ROWS.items():
        use = report.regions[name]
        table.add_row(title, *_format_use(use), remark, style=_choose_style(use))
    emulator = report.regions["emulator"]
    if emulator.used:
        table.add_row(
            "Emulator only", f"{emulator.used:,}", "", "", "", "not on the chip", style="dim"
        )
    return table


def _format_components(report: SizeReport) -> Table:
    table = _make_table("Component", _COLUMNS)
    for name, size in report.components.items():
        table.add_row(name, *(_format_bytes(getattr(size, column)) for column in _COLUMNS))
    total = report.total
    table.add_row("total", *(f"{getattr(total, column):,}" for column in _COLUMNS), style="bold")
    return table


def _make_table(title: str, columns: tuple[str, ...]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(title, min_width=18, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    return table


def _format_use(use: RegionUse) -> tuple[str, ...]:
    return f"{use.used:,}", f"{use.limit:,}", f"{use.free:,}", f"{use.used / use.limit:.1%}"


def _format_bytes(size: int) -> str:
    return f"{size:,}" if size else "-"


def _choose_style(use: RegionUse) -> str:
    return "red" if use.free < 0 else "yellow" if use.used > 0.9 * use.limit else ""
