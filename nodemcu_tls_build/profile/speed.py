"""Estimate the instructions of a handshake: of its key exchange, with what makes that faster.

A setting makes a handshake faster by a share: shares are multiplied. One that was not measured with
the profile's key exchange, and makes a difference to others, leaves the number unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from nodemcu_tls_build.profile.costs import CostTable, Variant, find_cost
from nodemcu_tls_build.profile.usual import UsualHandshake

_CURVES = "tls.curves"
_NIST = "crypto.nist_reduction"
_NOISE = 0.01  # of a handshake: code and data lie elsewhere, and names in it are longer


def estimate_instructions(
    table: CostTable, handshake: UsualHandshake, settings: Mapping[str, Any], keys: Iterable[str]
) -> int | None:
    """Return the instructions of a handshake with the base profile and what these keys change."""
    total = _find_start(table, handshake)
    seen = _see_as(table, handshake.kind)
    for key in keys:
        share = 1.0 if key == _CURVES else _find_share(seen, handshake, key, settings[key])
        if total is None or share is None:
            return None
        total *= share
    return None if total is None else round(total)


def _find_start(table: CostTable, handshake: UsualHandshake) -> float | None:
    """Return the instructions that the base profile takes for a key exchange in a group."""
    start = table.handshakes[handshake.kind].instructions if handshake.kind else None
    favourite = table.base_settings[_CURVES][0]
    if start is None or handshake.group in {None, favourite}:
        return start
    more = next(
        (
            variant.cost.instructions
            for variant in table.list_variants(_CURVES)
            if variant.value[0] == handshake.group and favourite in variant.value
        ),
        None,
    )
    return None if more is None else start + more


def _see_as(table: CostTable, kind: str | None) -> CostTable:
    """Return the table with the instructions of a kind of handshake."""
    return replace(table, variants=tuple(_see_variant_as(table, it, kind) for it in table.variants))


def _see_variant_as(table: CostTable, variant: Variant, kind: str | None) -> Variant:
    measured = {**variant.instructions, variant.handshake: variant.cost.instructions}
    more, start = variant.cost.instructions, table.handshakes[variant.handshake].instructions
    if kind in measured:
        more = measured[kind]
    elif more is None or start is None or abs(more) >= _NOISE * start:
        more = None
    else:
        more = 0
    return replace(variant, cost=replace(variant.cost, instructions=more))


def _find_share(table: CostTable, handshake: UsualHandshake, key: str, value: Any) -> float | None:
    """Return the instructions with a setting as a share of those without."""
    if value == table.base_settings[key]:
        return 1.0
    if key == _NIST and handshake.group not in {None, table.base_settings[_CURVES][0]}:
        return None  # each curve has a reduction of its own
    cost = find_cost(table, key, value)
    start = table.handshakes[handshake.kind].instructions if handshake.kind else None
    if cost is None or cost.instructions is None or start is None:
        return None
    return 1 + cost.instructions / start
