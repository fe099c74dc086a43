"""What a profile offers and costs, for people to read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from nodemcu_tls_build.commands.show import Row, format_table
from nodemcu_tls_build.commands.show_heap import list_heap_lines
from nodemcu_tls_build.profile.costs import Cost, Estimate, describe_change
from nodemcu_tls_build.profile.differ import join_lines
from nodemcu_tls_build.profile.names import show_size
from nodemcu_tls_build.profile.settings import show_setting

if TYPE_CHECKING:
    from nodemcu_tls_build.profile import Profile
    from nodemcu_tls_build.profile.costs import CostTable, Variant
    from nodemcu_tls_build.profile.differ import Difference
    from nodemcu_tls_build.profile.explain import Explanation, ProfileExplanation
    from nodemcu_tls_build.profile.heap import Prediction
    from nodemcu_tls_build.profile.macro import Macro
    from nodemcu_tls_build.profile.offer import Offer

WIDTH = 79
_TITLE = 15
_COST_HEADER = ("flash", "DRAM", "heap", "idle", "instructions")
_LEGEND = (
    "Flash and DRAM are the image's. Heap is what a handshake takes at its peak, idle what an open "
    "connection takes, instructions those of the handshake's own computing."
)


def format_list(entries: Iterable[tuple[Profile, int, Estimate]]) -> str:
    """Lay out profiles, each with the number of its suites and its cost, and whom they are for."""
    rows, texts = [], []
    for profile, suites, estimate in entries:
        cost = estimate.cost
        versions = ", ".join(profile.tls.versions)
        cells = (profile.name, versions, str(suites), *_format_cost(cost, signed=False))
        rows.append(Row(cells))
        texts.append(f"{bold(profile.name)}\n{_indent(profile.description)}")
    header = ("Preset", "TLS", "suites", *_COST_HEADER)
    return "\n\n".join([format_table(header, rows, "<<>>>>>>"), *texts, _wrap(_LEGEND)])


def format_profile(
    profile: Profile, offer: Offer, estimate: Estimate, heap: Prediction | None = None
) -> str:
    """Lay out what a profile offers to servers, and what it costs, with a given chain, too."""
    asked = "" if offer.max_fragment is None else f"; asks for {_size(offer.max_fragment)} at most"
    extensions = sorted(offer.extensions)
    lines: list[tuple[str, Sequence[str]]] = [
        ("Profile", [profile.name]),
        ("For", textwrap.wrap(" ".join(profile.description.split()), WIDTH - _TITLE)),
        ("mbedTLS", [profile.mbedtls.version]),
        ("TLS", [", ".join(offer.versions)]),
        ("Cipher suites", [suite.name for suite in offer.suites]),
        ("Groups", _join(group.name for group in offer.groups)),
        ("Signatures", _join(algorithm.name for algorithm in offer.signature_algorithms)),
        ("Extensions", _join(extensions)),
        ("ALPN", _join(offer.alpn)),
        ("Records", [f"{_size(offer.in_buffer)} in, {_size(offer.out_buffer)} out{asked}"]),
        ("Resumption", _join(_describe_resumption(profile))),
        ("Servers", ["verified from boot on" if profile.tls.verify else _UNVERIFIED]),
        ("Cost", list(_describe_estimate(estimate))),
        ("Handshake", [] if heap is None else list_heap_lines(profile, heap)),
        ("SHA-256", [profile.digest()]),
    ]
    return "\n".join(_format_entry(title, texts) for title, texts in lines if texts)


def format_explanation(found: ProfileExplanation) -> str:
    """Lay out every setting with its macros and costs, and the suites that result."""
    blocks = [f"{bold('Profile')} {found.profile.name}, mbedTLS {found.profile.mbedtls.version}"]
    blocks += [_format_brief(item, found.table) for item in found.settings]
    blocks.append(_format_suites(found.suites))
    blocks.append(
        _wrap(f"{_LEGEND} Costs are differences from the preset default, {_where(found.table)}")
    )
    return "\n\n".join(blocks)


def format_setting(found: ProfileExplanation) -> str:
    """Lay out one setting in full."""
    (item,) = found.settings
    setting, table = item.setting, found.table
    blocks = [_format_heading(item), _indent(setting.text)]
    if item.effect:
        blocks.append(_indent(f"It {item.effect}."))
    if item.macros:
        rows = [Row((_define(m.name, m.value), m.reason)) for m in item.macros]
        blocks.append(_format_loose(("Macro", "why"), rows))
    if item.variants:
        rows = [_make_cost_row(item, variant, table) for variant in item.variants]
        header = (f"Against {show_setting(setting.key, table.base_settings[setting.key])}",)
        blocks.append(_format_costs(header[0], rows))
        blocks.append(_wrap(f"{_LEGEND} Measured with {_where(table)}"))
    if item.unmeasured:
        blocks.append(_indent(f"Not measured: {item.unmeasured}."))
    if item.suites:
        rows = [Row((suite.name, part)) for suite, part in item.suites]
        blocks.append(format_table(("Cipher suite", "uses of it"), rows, "<<"))
    return "\n\n".join(blocks)


def format_difference(found: Difference) -> str:
    """Lay out two profiles side by side where they differ."""
    first, second = found.names
    rows = [
        Row((key, *(show_setting(key, value) for value in pair)))
        for key, pair in found.settings.items()
    ]
    tables = [_format_sides("Setting", found.names, rows)]
    rows = [Row((name, *map(_show_macro, pair))) for name, pair in found.macros.items()]
    tables.append(_format_sides("Macro", found.names, rows))
    rows = [
        Row((name, *(_rank(name, suites) for suites in found.suites)))
        for name in dict.fromkeys([*found.suites[0], *found.suites[1]])
    ]
    tables.append(_format_sides("Cipher suite, place", found.names, rows))
    costs = [estimate.cost for estimate in found.costs]
    difference = costs[1] - costs[0]
    cost_rows = [
        Row((first, *_format_cost(costs[0], signed=False))),
        Row((second, *_format_cost(costs[1], signed=False))),
        Row(("difference", *_format_cost(difference, signed=True)), bold=True),
    ]
    tables.append(_format_costs("Cost", cost_rows))
    notes = [
        f"{name}: {_describe_source(estimate)}."
        for name, estimate in zip(found.names, found.costs, strict=True)
    ]
    return "\n\n".join([*tables, "\n".join(map(_wrap, notes)), _wrap(_LEGEND)])


def bold(text: str) -> str:
    """Return a text for a terminal to make bold."""
    return click.style(text, bold=True)


_UNVERIFIED = "not verified until a script calls tls.cert.verify(true)"


def _describe_resumption(profile: Profile) -> Iterator[str]:
    if profile.tls.resumption:
        yield f"sessions of {profile.tls.sessions} servers"


def _describe_estimate(estimate: Estimate) -> Iterator[str]:
    cost = estimate.cost
    yield f"{cost.flash:,} bytes of flash, {cost.dram:,} of static DRAM"
    if cost.heap is not None:
        yield f"{cost.heap:,} bytes of heap at the peak of a handshake"
    if cost.idle is not None:
        yield f"{cost.idle:,} bytes of heap for an open connection"
    if cost.instructions is not None:
        yield f"{_millions(cost.instructions)} million instructions for a handshake"
    yield from textwrap.wrap(_describe_source(estimate), WIDTH - _TITLE)


def _describe_source(estimate: Estimate) -> str:
    if estimate.is_measured:
        return "measured"
    text = f"estimated: measured changes added to the preset {estimate.nearest}"
    return f"{text}, without {', '.join(estimate.unknown)}" if estimate.unknown else text


def _format_brief(item: Explanation, table: CostTable) -> str:
    parts = [_format_heading(item), _indent(item.setting.text)]
    if item.macros:
        parts.append(_indent(", ".join(map(_name_macro, item.macros))))
    if item.effect:
        parts.append(_indent(item.effect))
    for variant in item.variants:
        parts.append(
            _indent(f"{_name_change(item, variant, table)}: {_describe_cost(variant.cost)}")
        )
    if item.unmeasured:
        parts.append(_indent(f"not measured: {item.unmeasured}"))
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
    return Row((name, *_format_cost(variant.cost, signed=True)), bold=is_own)


def _format_cost(cost: Cost, *, signed: bool) -> tuple[str, ...]:
    numbers = (cost.flash, cost.dram, cost.heap, cost.idle)
    cells = ["-" if n is None else f"{n:+,}" if signed else f"{n:,}" for n in numbers]
    if cost.instructions is None:
        return (*cells, "-")
    return (*cells, f"{_millions(cost.instructions, signed=signed)} M")


def _millions(number: int, *, signed: bool = False) -> str:
    return f"{number / 1e6:+,.1f}" if signed else f"{number / 1e6:,.1f}"


def _format_costs(title: str, rows: Sequence[Row]) -> str:
    """Lay out a table of costs, long names on lines of their own."""
    widest = WIDTH - 50
    lines = []
    for row in rows:
        *above, last = textwrap.wrap(row.cells[0], widest, break_long_words=False)
        blank = [""] * len(_COST_HEADER)
        lines += [Row((part, *blank), bold=row.bold) for part in above]
        lines.append(Row((last, *row.cells[1:]), bold=row.bold))
    return format_table((title, *_COST_HEADER), lines, "<>>>>>")


def _format_sides(title: str, names: tuple[str, str], rows: Sequence[Row]) -> str:
    """Lay out what two sides have, long values on lines of their own."""
    if not rows:
        return f"{bold(title)}: no difference"
    room = (WIDTH - 4 - max(len(row.cells[0]) for row in rows)) // 2
    wrapped = []
    for row in rows:
        name, *values = row.cells
        columns = [[name], *(_wrap_value(value, room) for value in values)]
        height = max(map(len, columns))
        cells = [[*column, *[""] * (height - len(column))] for column in columns]
        wrapped += [Row(line) for line in zip(*cells, strict=True)]
    return format_table((title, *names), wrapped, "<<<")


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
        lines += [*textwrap.wrap(name, WIDTH, subsequent_indent="    "), _indent(reason)]
    return "\n".join(lines)


def _wrap_value(value: str, room: int) -> list[str]:
    return textwrap.wrap(value, room, break_on_hyphens=False)


def _show_macro(value: str | None) -> str:
    """Return what a table has room for of a macro's value."""
    if value is None:
        return "not set"
    return f"{value.count(',') + 1} members" if "," in value else value or "set"


def _rank(name: str, suites: Sequence[str]) -> str:
    return str(suites.index(name) + 1) if name in suites else "-"


def _where(table: CostTable) -> str:
    told = table.conditions
    return f"mbedTLS {told['mbedtls']} and gcc {told['compiler']}; {told['handshake']}."


def _define(name: str, value: str | None) -> str:
    return name if value is None else f"{name} {join_lines(value)}"


def _name_macro(macro: Macro) -> str:
    """Return a macro with its value, where that is short."""
    has_list = macro.value is not None and "," in macro.value
    return macro.name if has_list else _define(macro.name, macro.value)


def _format_entry(title: str, texts: Sequence[str]) -> str:
    return "\n".join(
        f"{bold(f'{title:{_TITLE}}') if number == 0 else ' ' * _TITLE}{text}"
        for number, text in enumerate(texts)
    )


def _join(words: Iterable[str]) -> list[str]:
    return textwrap.wrap(", ".join(words), WIDTH - _TITLE, break_on_hyphens=False)


def _size(size: int) -> str:
    text = show_size(size)
    return text.replace("KiB", " KiB") if not text.isdecimal() else f"{text} bytes"


def _wrap(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)


def _indent(text: str) -> str:
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
    )
