"""What a profile offers and costs, for people to read."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from nodemcu_tls_build.commands.show import Row, format_table
from nodemcu_tls_build.commands.show_costs import (
    COST_HEADER,
    LEGEND,
    WIDTH,
    bold,
    describe_source,
    format_cost,
    format_costs,
    indent,
    millions,
    wrap,
)
from nodemcu_tls_build.commands.show_heap import list_heap_lines
from nodemcu_tls_build.profile.names import show_size
from nodemcu_tls_build.profile.settings import show_setting
from nodemcu_tls_build.profile.usual import describe_misfit

if TYPE_CHECKING:
    from nodemcu_tls_build.profile import Profile
    from nodemcu_tls_build.profile.differ import Difference
    from nodemcu_tls_build.profile.estimate import Estimate
    from nodemcu_tls_build.profile.heap import Prediction
    from nodemcu_tls_build.profile.offer import Offer

_TITLE = 15
_SUITES = "MBEDTLS_SSL_CIPHERSUITES"
_FRONT = re.compile(r"^MBEDTLS_(SSL_IANA_TLS_GROUP|ECP_DP|SSL_MAX_FRAG_LEN|MD)_")
_COMMENTED = re.compile(r"\w+ /\* (\w+) \*/")
_UNVERIFIED = "not verified until a script calls tls.cert.verify(true)"


def format_list(entries: Iterable[tuple[Profile, int, Estimate]]) -> str:
    """Lay out profiles, each with the number of its suites and its cost, and whom they are for."""
    rows, texts = [], []
    for profile, suites, estimate in entries:
        cost = estimate.cost
        versions = ", ".join(profile.tls.versions)
        cells = (profile.name, versions, str(suites), *format_cost(cost, signed=False))
        rows.append(Row(cells))
        texts.append(f"{bold(profile.name)}\n{indent(profile.description)}")
    header = ("Preset", "TLS", "suites", *COST_HEADER)
    return "\n\n".join([format_table(header, rows, "<<>>>>>>"), *texts, wrap(LEGEND)])


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
        ("Extensions", [*_join(extensions), *_note_resumed(profile)]),
        ("ALPN", _join(offer.alpn)),
        ("Records", [f"{_size(offer.in_buffer)} in, {_size(offer.out_buffer)} out{asked}"]),
        ("Resumption", _join(_describe_resumption(profile))),
        ("Servers", ["verified from boot on" if profile.tls.verify else _UNVERIFIED]),
        ("Cost", [*_describe_estimate(estimate), *_describe_gap(profile, estimate)]),
        ("Handshake", [] if heap is None else list_heap_lines(profile, heap)),
        ("SHA-256", [profile.digest()]),
    ]
    return "\n".join(_format_entry(title, texts) for title, texts in lines if texts)


def format_difference(found: Difference, names: tuple[str, str]) -> str:
    """Lay out two profiles side by side where they differ, under these names."""
    first, second = names
    rows = [
        Row((key, *(show_setting(key, value) for value in pair)))
        for key, pair in found.settings.items()
    ]
    tables = [_format_sides("Setting", names, rows)]
    rows = [
        Row((name, *_show_macros(pair)))
        for name, pair in found.macros.items()
        if name != _SUITES  # which have a table of their own
    ]
    tables.append(_format_sides("Macro", names, rows))
    rows = [
        Row((name, *(_rank(name, suites) for suites in found.suites)))
        for name in dict.fromkeys([*found.suites[0], *found.suites[1]])
        if found.suites[0] != found.suites[1]
    ]
    tables.append(_format_sides("Cipher suite, place", names, rows))
    costs = [estimate.cost for estimate in found.costs]
    difference = costs[1] - costs[0]
    cost_rows = [
        Row((first, *format_cost(costs[0], signed=False))),
        Row((second, *format_cost(costs[1], signed=False))),
        Row(("difference", *format_cost(difference, signed=True)), bold=True),
    ]
    tables.append(format_costs("Cost", cost_rows))
    notes = [
        f"{name}: {describe_source(estimate)}."
        for name, estimate in zip(names, found.costs, strict=True)
    ]
    return "\n\n".join([*tables, "\n".join(map(wrap, notes)), wrap(LEGEND)])


def _note_resumed(profile: Profile) -> list[str]:
    if "1.3" in profile.tls.versions and profile.tls.resumption:
        return ["of a first handshake: one that resumes a session of TLS 1.3 has others"]
    return []


def _describe_resumption(profile: Profile) -> Iterator[str]:
    if profile.tls.resumption:
        yield f"sessions of {profile.tls.sessions} servers"


def _describe_estimate(estimate: Estimate) -> Iterator[str]:
    cost = estimate.cost
    heap, idle = (_tell(size, "bytes") for size in (cost.heap, cost.idle))
    speed = "not measured: instructions"
    if cost.instructions is not None:
        speed = f"{millions(cost.instructions)} million instructions"
    yield f"{cost.flash:,} bytes of flash, {cost.dram:,} of static DRAM"
    yield f"{heap} of heap at the peak of a handshake"
    yield f"{idle} of heap for an open connection"
    yield f"{speed} for a handshake"
    yield f"handshake: {estimate.handshake}"
    yield from textwrap.wrap(describe_source(estimate), WIDTH - _TITLE, break_on_hyphens=False)


def _describe_gap(profile: Profile, estimate: Estimate) -> list[str]:
    """Return why the heap is not known, where that is the buffers' fault."""
    misfit = describe_misfit(profile) if estimate.cost.heap is None else None
    return [] if misfit is None else textwrap.wrap(misfit, WIDTH - _TITLE, break_on_hyphens=False)


def _tell(number: int | None, unit: str) -> str:
    return f"not measured: {unit}" if number is None else f"{number:,} {unit}"


def _format_sides(title: str, names: tuple[str, str], rows: Sequence[Row]) -> str:
    """Lay out what two sides have, in columns where no word is too long for one."""
    if not rows:
        return f"{bold(title)}: no difference"
    room = (WIDTH - 4 - max(len(row.cells[0]) for row in rows)) // 2
    fitting = [row for row in rows if all(_fits(value, room) for value in row.cells[1:])]
    wrapped = []
    for row in fitting:
        name, *values = row.cells
        columns = [[name], *(_wrap_value(value, room) for value in values)]
        height = max(map(len, columns))
        cells = [[*column, *[""] * (height - len(column))] for column in columns]
        wrapped += [Row(line) for line in zip(*cells, strict=True)]
    blocks = [format_table((title, *names), wrapped, "<<<")]
    blocks += [_stack(row, names) for row in rows if row not in fitting]
    return "\n".join(blocks)


def _fits(value: str, room: int) -> bool:
    return all(len(line) <= room for line in _wrap_value(value, room))


def _stack(row: Row, names: tuple[str, str]) -> str:
    """Lay out the values of both sides one below the other."""
    name, *values = row.cells
    lines = [name]
    for side, value in zip(names, values, strict=True):
        first, *rest = _wrap_value(value, WIDTH - 6) or [""]
        alone = len(f"  {side}: {first}") > WIDTH
        lines += [f"  {side}:", f"    {first}"] if alone else [f"  {side}: {first}"]
        lines += [f"    {line}" for line in rest]
    return "\n".join(lines)


def _wrap_value(value: str, room: int) -> list[str]:
    return textwrap.wrap(value, room, break_on_hyphens=False, break_long_words=False)


def _show_macros(values: Sequence[str | None]) -> list[str]:
    """Return macros' values without what all members of a list have in front, and its end."""
    lists = [[] if value is None else _split_members(value) for value in values]
    shown = [", ".join(_FRONT.sub("", name) for name in members) for members in lists]
    return [
        "not set" if value is None else text or "set"
        for value, text in zip(values, shown, strict=True)
    ]


def _split_members(value: str) -> list[str]:
    """Return the members of a list, by the names in the comments where it has such; no end."""
    members = [_COMMENTED.sub(r"\1", member.strip()) for member in value.split(",")]
    ended = len(members) > 1 and members[-1].endswith(("_NONE", "NULL"))
    return members[:-1] if ended else members


def _rank(name: str, suites: Sequence[str]) -> str:
    return str(suites.index(name) + 1) if name in suites else "-"


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
