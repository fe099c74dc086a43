"""Tables for people to read, at most 79 columns wide."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

_REGION_ROWS = {
    "flash": ("Flash, mapped", ""),
    "iram": ("IRAM", ""),
    "dram": ("DRAM, application", "for the heap"),
    "sdk": ("DRAM, SDK's share", ""),
}
_COLUMNS = ("flash", "iram", "data", "bss", "sdk")
_TITLE_WIDTH = 18  # of the first column, so that tables one below the other are in line


@dataclass(frozen=True)
class Row:
    """A line of a table: its cells, and how the whole of it looks."""

    cells: Sequence[str]
    colour: str | None = None
    bold: bool = False
    dim: bool = False


def show(text: str) -> None:
    """Print on standard output, with colours on a terminal that has them unless NO_COLOR is set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    click.echo(text, color=False if plain else None)


def format_layout(report: dict[str, Any]) -> str:
    """Lay out what goes where in flash, from a build's report."""
    rows = []
    for image in report["images"]:
        start, length = image["offset"], image["length"]
        place = (f"{start:#07x}", f"{start + length:#07x}", f"{length:,}")
        rows.append(Row((image["name"], *place, image["sha256"][:16])))
    return format_table(("Flash", "offset", "end", "bytes", "SHA-256"), rows, "<>>><")


def format_sizes(sizes: dict[str, Any]) -> str:
    """Lay out the sizes of a build's report: how full each memory is, then who fills it."""
    return f"{_format_regions(sizes['regions'])}\n\n{_format_components(sizes)}"


def _format_regions(regions: dict[str, dict[str, int]]) -> str:
    rows = []
    for name, (title, remark) in _REGION_ROWS.items():
        used, limit, free = (regions[name][key] for key in ("used", "limit", "free"))
        cells = (title, f"{used:,}", f"{limit:,}", f"{free:,}", f"{used / limit:.1%}", remark)
        colour = "red" if free < 0 else "yellow" if used > 0.9 * limit else None
        rows.append(Row(cells, colour))
    used = regions["emulator"]["used"]
    if used:
        cells = ("Emulator only", f"{used:,}", "", "", "", "not on the chip")
        rows.append(Row(cells, dim=True))
    return format_table(("Memory", "used", "limit", "free", "full", ""), rows, "<>>>><")


def _format_components(sizes: dict[str, Any]) -> str:
    rows = [
        Row((name, *(f"{size[column]:,}" if size[column] else "-" for column in _COLUMNS)))
        for name, size in sizes["components"].items()
    ]
    total = sizes["total"]
    rows.append(Row(("total", *(f"{total[column]:,}" for column in _COLUMNS)), bold=True))
    return format_table(("Component", *_COLUMNS), rows, "<>>>>>")


def format_table(header: Sequence[str], rows: Sequence[Row], alignment: str) -> str:
    """Put the cells into columns, each aligned as the character of `alignment` for it says."""
    rows = [Row(header, bold=True), *rows]
    widths = [max(map(len, column)) for column in zip(*(row.cells for row in rows), strict=True)]
    widths[0] = max(widths[0], _TITLE_WIDTH)
    lines = []
    for row in rows:
        columns = zip(row.cells, alignment, widths, strict=True)
        line = "  ".join(f"{cell:{side}{width}}" for cell, side, width in columns).rstrip()
        if row.colour or row.bold or row.dim:
            line = click.style(line, fg=row.colour, bold=row.bold or None, dim=row.dim or None)
        lines.append(line)
    return "\n".join(lines)
