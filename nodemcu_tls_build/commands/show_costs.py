"""What a profile costs, for people to read."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import click

from nodemcu_tls_build.commands.show import Row, format_table
from nodemcu_tls_build.profile.costs import Cost
from nodemcu_tls_build.profile.estimate import Estimate

WIDTH = 79
COST_HEADER = ("flash", "DRAM", "heap", "idle", "instructions")
LEGEND = (
    "Flash and DRAM are the image's. Heap is what a handshake takes at its peak, idle what an open "
    "connection takes, instructions those of the handshake's own computing."
)


def format_cost(cost: Cost, *, signed: bool) -> tuple[str, ...]:
    """Return the cells of a cost, with signs when it is a difference."""
    numbers = (cost.flash, cost.dram, cost.heap, cost.idle)
    cells = ["-" if n is None else f"{n:+,}" if signed else f"{n:,}" for n in numbers]
    if cost.instructions is None:
        return (*cells, "-")
    return (*cells, f"{millions(cost.instructions, signed=signed)} M")


def format_costs(title: str, rows: Sequence[Row]) -> str:
    """Lay out a table of costs, long names on lines of their own."""
    widest = WIDTH - 50
    lines = []
    for row in rows:
        *above, last = textwrap.wrap(row.cells[0], widest, break_long_words=False)
        blank = [""] * len(COST_HEADER)
        lines += [Row((part, *blank), bold=row.bold) for part in above]
        lines.append(Row((last, *row.cells[1:]), bold=row.bold))
    return format_table((title, *COST_HEADER), lines, "<>>>>>")


def describe_source(estimate: Estimate) -> str:
    """Say what a cost is made of: measured, or estimated from what."""
    if estimate.is_measured:
        return "measured"
    text = f"estimated, from the preset {estimate.nearest} and changes measured singly"
    return f"{text}, without {', '.join(estimate.unknown)}" if estimate.unknown else text


def millions(number: int, *, signed: bool = False) -> str:
    """Return a number in millions, without a sign where it is next to none."""
    text = f"{number / 1e6:+,.1f}" if signed else f"{number / 1e6:,.1f}"
    return text if text.strip("+-") != "0.0" else "0.0"


def bold(text: str) -> str:
    """Return a text for a terminal to make bold."""
    return click.style(text, bold=True)


def wrap(text: str) -> str:
    """Return a text in lines of the usual width."""
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)


def indent(text: str) -> str:
    """Return a text in lines of the usual width, two spaces in."""
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
    )
