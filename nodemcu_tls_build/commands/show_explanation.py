"""What the settings of a profile mean and cost, for people to read."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from nodemcu_tls_build.commands.show import Row, format_table
from nodemcu_tls_build.commands.show_costs import (
    LEGEND,
    WIDTH,
    bold,
    format_cost,
    format_costs,
    indent,
    wrap,
)
from nodemcu_tls_build.profile.costs import Cost, describe_change
from nodemcu_tls_build.profile.differ import join_lines
from nodemcu_tls_build.profile.settings import show_setting

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.costs import CostTable, Variant
    from nodemcu_tls_build.profile.explain import Explanation, ProfileExplanation
    from nodemcu_tls_build.profile.macro import Macro

_ROOM = 20  # characters, for a value in the heading of a table


def format_explanation(found: ProfileExplanation) -> str:
    """Lay out every setting with its macros and costs, and the suites that result."""
    blocks = [f"{bold('Profile')} {found.profile.name}, mbedTLS {found.profile.mbedtls.version}"]
    blocks += [_format_brief(item, found.table) for item in found.settings]
    blocks.append(_format_suites(found.suites))
    blocks.append(
        wrap(f"{LEGEND} Costs are differences from the preset default, {_where(found.table)}")
    )
    return "\n\n".join(blocks)


def format_setting(found: ProfileExplanation) -> str:
    """Lay out one setting in full."""
    (item,) = found.settings
    setting, table = item.setting, found.table
    blocks = [_format_heading(item), indent(setting.text)]
    if item.effect:
        blocks.append(indent(f"It {item.effect}."))
    if item.macros:
        rows = [Row((_define(m.name, m.value), m.reason)) for m in item.macros]
        blocks.append(_format_loose(("Macro", "why"), rows))
    if item.variants:
        rows = [_make_cost_row(item, variant, table) for variant in item.variants]
        base = show_setting(setting.key, table.base_settings[setting.key])
        blocks.append(format_costs(f"Against {base if len(base) < _ROOM else 'the default'}", rows))
        blocks.append(wrap(f"{LEGEND} Measured with {_where(table)}"))
    if item.unmeasured:
        blocks.append(indent(f"Not measured: {item.unmeasured}."))
    if item.suites:
        rows = [Row((suite.name, part)) for suite, part in item.suites]
        blocks.append(format_table(("Cipher suite", "uses of it"), rows, "<<"))
    return "\n\n".join(blocks)


def _format_brief(item: Explanation, table: CostTable) -> str:
    parts = [_format_heading(item), indent(item.setting.text)]
    if item.macros:
        parts.append(indent(", ".join(map(_name_macro, item.macros))))
    if item.effect:
        parts.append(indent(item.effect))
    for variant in item.variants:
        parts.append(
            indent(f"{_name_change(item, variant, table)}: {_describe_cost(variant.cost)}")
        )
    if item.unmeasured:
        parts.append(indent(f"not measured: {item.unmeasured}"))
    return "\n".join(parts)


def _format_heading(item: Explanation) -> str:
    setting = item.setting
    text = f"{setting.key} = {show_setting(setting.key, setting.value)}"
    first, *rest = textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_long_words=False)
    heading = "\n".join([bold(first), *map(bold, rest)])
    return f"{heading}\n  {click.style(f'from {setting.origin}', dim=True)}"


def _name_change(item: Explanation, variant: Variant, table: CostTable) -> str:
    key = item.setting.key
    base = table.base_settings.get(key)
    name = describe_change(base, variant.value, partial(show_setting, key))
    if variant.needs:
        name += f" ({_show_needs(variant, table)})"
    return name


def _show_needs(variant: Variant, table: CostTable) -> str:
    changes = []
    for key, value in variant.needs.items():
        name = key.partition(".")[2]
        base = table.base_settings.get(key)
        text = describe_change(base, value, partial(show_setting, key))
        changes.append(f"{name} {text}")
    return "; ".join(changes)


def _describe_cost(cost: Cost) -> str:
    """Say in a few words what a change costs, leaving out what it leaves as it is."""
    parts = [
        f"{value:+,} {unit}"
        for value, unit in (
            (cost.flash, "flash"),
            (cost.dram, "DRAM"),
            (cost.heap, "heap"),
            (cost.idle, "idle"),
        )
        if value
    ]
    if cost.instructions is not None and abs(cost.instructions) >= 1_000_000:
        parts.append(f"{cost.instructions / 1e6:+,.0f} M instructions")
    if cost.heap is None:
        parts.append("no room for the handshake")
    return ", ".join(parts) or "nothing"


def _make_cost_row(item: Explanation, variant: Variant, table: CostTable) -> Row:
    name = _name_change(item, variant, table)
    is_own = variant.value == item.setting.value
    return Row((name, *format_cost(variant.cost, signed=True)), bold=is_own)


def _format_suites(suites: Sequence[Any]) -> str:
    lines = [f"  {place:2}  {suite.name}" for place, suite in enumerate(suites, start=1)]
    return "\n".join([bold("Cipher suites, in order"), *lines])


def _format_loose(header: tuple[str, str], rows: Sequence[Row]) -> str:
    """Lay out two columns, the second below the first where a line would be too long."""
    if all(len(row.cells[0]) + len(row.cells[1]) < WIDTH - 2 for row in rows):
        return format_table(header, rows, "<<")
    lines = [bold(header[0])]
    for row in rows:
        name, reason = row.cells
        lines += [*textwrap.wrap(name, WIDTH, subsequent_indent="    "), indent(reason)]
    return "\n".join(lines)


def _where(table: CostTable) -> str:
    told = table.conditions
    return f"mbedTLS {told['mbedtls']} and gcc {told['compiler']}; {told['handshake']}."


def _define(name: str, value: str | None) -> str:
    return name if value is None else f"{name} {join_lines(value)}"


def _name_macro(macro: Macro) -> str:
    """Return a macro with its value, where that is short."""
    has_list = macro.value is not None and "," in macro.value
    return macro.name if has_list else _define(macro.name, macro.value)
