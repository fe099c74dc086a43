"""Estimate what a profile costs, from the preset most like it and what was measured one by one.

What composes is added, each where it changes anything at all: flash and DRAM. The heap of a
handshake is that of the heap model, which knows what takes it at the same time, put right by what
was measured of the preset. Of an open connection the record buffers are computed, the rest is
added. Instructions are those of the key exchange that the profile would use (speed.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.profile.buffers import measure_idle
from nodemcu_tls_build.profile.costs import (
    Cost,
    CostTable,
    Variant,
    find_cost,
    hash_settings,
    load_costs,
    read_settings,
)
from nodemcu_tls_build.profile.heap import predict_heap
from nodemcu_tls_build.profile.layers import BASE, list_presets
from nodemcu_tls_build.profile.load import load_profile
from nodemcu_tls_build.profile.mbedtls import list_macros
from nodemcu_tls_build.profile.model import Profile
from nodemcu_tls_build.profile.settings import get_setting, replace_settings
from nodemcu_tls_build.profile.speed import estimate_instructions
from nodemcu_tls_build.profile.usual import UsualHandshake, find_usual, make_chain

# They change no code, and nothing that a handshake or a connection takes.
_FREE = {
    *("board.name", "board.flash_size", "board.flash_mode", "board.flash_frequency"),
    "tls.heap_budget",
}
_COMPILED = "optimise."  # settings that set no macro


@dataclass(frozen=True)
class Estimate:
    """What a profile costs: what its nearest preset does, and changes measured one by one.

    `is_measured` when it is that preset. `unknown` are settings that differ from all measured.
    Heap and instructions are those of `handshake`.
    """

    cost: Cost
    handshake: UsualHandshake
    nearest: str
    is_measured: bool
    unknown: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON-able data."""
        return self.cost.to_dict() | {
            "handshake": str(self.handshake),
            "measured": self.is_measured,
            "nearest": self.nearest,
            "unknown": list(self.unknown),
        }


def estimate_cost(profile: Profile) -> Estimate:
    """Return what was measured of this profile, or what it must be by what was."""
    table = load_costs()
    settings = read_settings(profile)
    anchors = [*_list_anchors(table), (BASE, table.base_settings, table.base)]
    name, near_settings, cost = min(anchors, key=lambda it: len(_list_keys(settings, it[1])))
    near = load_profile(name)
    keys = [
        key
        for key in _list_keys(settings, near_settings)
        if key not in _FREE and _changes(profile, near, key)
    ]
    handshake = find_usual(profile)
    if not keys:
        return Estimate(cost, handshake, name, is_measured=True)
    return Estimate(
        replace(
            _add_sizes(table, cost, keys, near_settings, settings),
            heap=_estimate_heap(cost, profile, near),
            idle=_estimate_idle(cost, profile, near, keys),
            instructions=_estimate_speed(table, cost, profile, near),
        ),
        handshake,
        name,
        is_measured=False,
        unknown=tuple(_list_unknown(table, keys, near_settings, settings)),
    )


def _list_anchors(table: CostTable) -> Iterator[tuple[str, Mapping[str, Any], Cost]]:
    """Yield the presets that are still as they were when they were measured."""
    for name, (digest, cost) in table.presets.items():
        settings = _read_preset(name)
        if hash_settings(settings) == digest:
            yield name, settings, cost


@cache
def _read_preset(name: str) -> dict[str, Any]:
    return read_settings(load_profile(name)) if name in list_presets() else {}


def _list_keys(settings: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    return [key for key, value in settings.items() if others.get(key) != value]


def _changes(profile: Profile, near: Profile, key: str) -> bool:
    """Tell whether a setting makes a difference to this profile, beside all its others."""
    if key.startswith(_COMPILED):
        return True
    return list_macros(profile) != list_macros(
        replace_settings(profile, {key: get_setting(near, key)})
    )


def _find_costs(
    table: CostTable, key: str, near: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[Cost, Cost] | None:
    """Return what a setting costs in the preset and in the profile; None when not measured."""
    there = find_cost(table, key, near[key], settings=near)
    here = find_cost(table, key, settings[key], settings=settings)
    return None if key in table.unmeasured or there is None or here is None else (there, here)


def _list_unknown(
    table: CostTable, keys: Sequence[str], near: Mapping[str, Any], settings: Mapping[str, Any]
) -> Iterator[str]:
    return (key for key in keys if _find_costs(table, key, near, settings) is None)


def _add_sizes(
    table: CostTable,
    cost: Cost,
    keys: Sequence[str],
    near: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Cost:
    besides = {
        variant.key
        for variant in table.variants
        if not variant.needs.keys().isdisjoint(keys) and near[variant.key] == settings[variant.key]
    }
    for key in (*keys, *sorted(besides)):
        found = _find_costs(table, key, near, settings)
        if found is not None:
            cost = cost + found[1] - found[0]
    return cost


def _estimate_heap(cost: Cost, profile: Profile, near: Profile) -> int | None:
    """Return the heap of the profile's handshake at its peak; None for one that has no room."""
    with suppress(CertificateError):
        here, there = (
            predict_heap(it, make_chain(find_usual(it).key)).peak.heap for it in (profile, near)
        )
        return None if cost.heap is None else cost.heap + here - there
    return None


def _estimate_idle(cost: Cost, profile: Profile, near: Profile, keys: Sequence[str]) -> int | None:
    """Return the heap of an open connection: its buffers, and what there is beside them.

    What TLS 1.3 leaves there depends on all that is built in: None but for what was measured.
    """
    table = load_costs()
    if "1.3" in profile.tls.versions and not _is_variant(table, "tls.versions", profile, keys):
        return None
    kinds = [find_usual(it).kind for it in (near, profile)]
    there, here = (table.handshakes[kind].idle if kind else None for kind in kinds)
    beside = _see_beside_buffers()
    rest = _add_sizes(beside, cost, keys, read_settings(near), read_settings(profile)).idle
    if rest is None or there is None or here is None:
        return None
    return rest + here - there + measure_idle(profile) - measure_idle(near)


def _is_variant(table: CostTable, key: str, profile: Profile, keys: Sequence[str]) -> bool:
    """Tell whether these keys are what one measured variant of a setting changes."""
    value = list(get_setting(profile, key))
    return any(
        {*keys} <= {key, *variant.needs}
        for variant in table.list_variants(key)
        if variant.value == value
    )


@cache
def _see_beside_buffers() -> CostTable:
    """Return the table with what variants take in an open connection beside the buffers."""
    table = load_costs()
    base = load_profile(BASE)

    def see(variant: Variant) -> Variant:
        # Where the heap had no room for the handshake there was no connection to look at.
        idle = variant.cost.idle or 0
        varied = replace_settings(base, {variant.key: variant.value, **variant.needs})
        buffers = measure_idle(varied) - measure_idle(base) if variant.cost.idle is not None else 0
        return replace(variant, cost=replace(variant.cost, idle=idle - buffers))

    return replace(table, variants=tuple(map(see, table.variants)))


def _estimate_speed(table: CostTable, cost: Cost, profile: Profile, near: Profile) -> int | None:
    """Return the instructions of the profile's handshake, put right by the preset's like it."""
    here, there = find_usual(profile), find_usual(near)
    found = [
        estimate_instructions(table, handshake, settings, _list_keys(settings, table.base_settings))
        for handshake, settings in ((here, read_settings(profile)), (there, read_settings(near)))
    ]
    if found[0] is None or here.kind != there.kind or not found[1] or cost.instructions is None:
        return found[0]
    return round(found[0] * cost.instructions / found[1])
