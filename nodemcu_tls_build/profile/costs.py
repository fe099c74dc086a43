"""Say what settings cost, from the table that tests/measure_costs.py measured on real builds."""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from nodemcu_tls_build.profile.model import Profile
from nodemcu_tls_build.profile.settings import get_setting, list_setting_keys

_NO_SETTINGS: Mapping[str, Any] = {}
_FREE_NAMES = {"tls.alpn"}  # lists of any names: what one costs stands for them all


@dataclass(frozen=True)
class Cost:
    """What a build takes, or how much more than another one takes.

    Bytes of mapped flash and of static DRAM; heap at the peak of the handshake and while the
    connection is open and idle, in bytes; instructions of the handshake. None: not measured.
    """

    flash: int = 0
    dram: int = 0
    heap: int | None = 0
    idle: int | None = 0
    instructions: int | None = 0

    def __add__(self, other: Cost) -> Cost:
        return _combine(self, other, operator.add)

    def __sub__(self, other: Cost) -> Cost:
        return _combine(self, other, operator.sub)

    def to_dict(self) -> dict[str, int | None]:
        """Return the cost as JSON-able data."""
        return asdict(self)


@dataclass(frozen=True)
class Variant:
    """The base profile with one setting changed, and what it costs more than the base.

    `needs` are the settings that had to be changed with it, or that change what it costs: then it
    is there without them, too. `handshake` is the kind that was made with both. `instructions` are
    those of other kinds, None where the heap has no room.
    """

    key: str
    value: Any
    needs: Mapping[str, Any]
    handshake: str
    cost: Cost
    instructions: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class CostTable:
    """What was measured: the base profile, its variants, whole presets, and with what."""

    base_settings: Mapping[str, Any]
    handshakes: Mapping[str, Cost]  # of the base profile, by their kind
    variants: tuple[Variant, ...]
    presets: Mapping[str, tuple[str, Cost]]  # by name; the digest of the settings measured
    unmeasured: Mapping[str, str]  # keys that cost nothing, or differently each time, and why
    keys: str
    conditions: Mapping[str, str]

    @property
    def base(self) -> Cost:
        """Return what the base profile takes, with the handshake that it would make."""
        return self.handshakes["ecdsa"]

    def list_variants(self, key: str) -> list[Variant]:
        """Return what was measured of a setting."""
        return [variant for variant in self.variants if variant.key == key]


@cache
def load_costs() -> CostTable:
    """Return the table that belongs to this program."""
    path = resources.files("nodemcu_tls_build.profile") / "costs.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    variants = tuple(
        Variant(**{**entry, "cost": Cost(**entry["cost"])}) for entry in data["variants"]
    )
    presets = {
        entry["name"]: (entry["settings"], Cost(**entry["cost"])) for entry in data["presets"]
    }
    return CostTable(
        base_settings=data["base"]["settings"],
        handshakes={kind: Cost(**cost) for kind, cost in data["base"]["handshakes"].items()},
        variants=variants,
        presets=presets,
        unmeasured=data["unmeasured"],
        keys=data["keys"],
        conditions=data["conditions"],
    )


def hash_keys() -> str:
    """Return what changes when a setting is added to the model or taken away."""
    return hashlib.sha256("\n".join(sorted(list_setting_keys())).encode()).hexdigest()


def read_settings(profile: Profile) -> dict[str, Any]:
    """Return every setting of a profile by its key, as JSON has it."""
    return {key: get_setting(profile, key) for key in list_setting_keys()}


def hash_settings(settings: Mapping[str, Any]) -> str:
    """Return a digest of settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def find_cost(
    table: CostTable, key: str, value: Any, *, settings: Mapping[str, Any] = _NO_SETTINGS
) -> Cost | None:
    """Return how much more a value costs than the base's; None when that was not measured.

    With `settings`, that is beside them.
    """
    base = table.base_settings.get(key)
    if value == base or key in table.unmeasured:
        return Cost()
    variants = list_nearest(table, key, settings)
    for variant in variants:
        if variant.value == value:
            return _find_own_cost(table, variant)
    if isinstance(value, list) and isinstance(base, list):
        if key in _FREE_NAMES:
            return _find_own_cost(table, variants[0]) if variants else None
        costs = {
            frozenset(list_changes(base, variant.value)): _find_own_cost(table, variant)
            for variant in variants
            if not is_put_first(base, variant.value)
        }
        return _add_changes(set(list_changes(base, value)), costs)
    if type(value) is int and type(base) is int:
        numbers = [variant for variant in variants if type(variant.value) is int]
        costs_by_number = {it.value: _find_own_cost(table, it) for it in numbers}
        return _interpolate({base: Cost()} | costs_by_number, value)
    return None


def list_nearest(table: CostTable, key: str, settings: Mapping[str, Any]) -> list[Variant]:
    """Return what was measured of a setting, of each value what is nearest to these settings."""
    found: dict[str, Variant] = {}
    for variant in table.list_variants(key):
        value = json.dumps(variant.value)
        if value not in found or variant.needs.items() <= settings.items():
            found[value] = variant
    return list(found.values())


def describe_change(base: Any, value: Any, show: Callable[[Any], str]) -> str:
    """Say in a few words how a value differs from the base's; `show` writes a whole one."""
    if isinstance(base, list) and isinstance(value, list):
        if is_put_first(base, value):
            return f"{value[0]} first"
        changes = list(list_changes(base, value))
        if changes:
            parts = [
                f"{word} {', '.join(member for it, member in changes if it == word)}"
                for word in ("with", "without")
                if any(it == word for it, _ in changes)
            ]
            return ", ".join(parts)
    return show(value)


def _find_own_cost(table: CostTable, variant: Variant) -> Cost:
    """Return what a variant costs without what had to be changed with it."""
    cost = variant.cost
    for key, value in variant.needs.items():
        needed = find_cost(table, key, value)
        cost -= needed or Cost()
    return cost


def _add_changes(
    wanted: set[tuple[str, str]], costs: Mapping[frozenset[tuple[str, str]], Cost]
) -> Cost | None:
    """Add up what the members cost that a list has more or fewer."""
    total = Cost()
    for changes in sorted(costs, key=len, reverse=True):
        if changes and changes <= wanted:
            total += costs[changes]
            wanted -= changes
    return None if wanted else total


def is_put_first(base: list[str], value: list[str]) -> bool:
    """Tell whether a list is the base's, or has one member more, and another member in front."""
    return (
        bool(base)
        and value[:1] != base[:1]
        and value[1:] == [member for member in base if member not in value[:1]]
    )


def list_changes(base: list[str], value: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what a list has more than the base, and what it lacks."""
    yield from (("with", member) for member in value if member not in base)
    yield from (("without", member) for member in base if member not in value)


def _interpolate(points: Mapping[int, Cost], value: int) -> Cost | None:
    """Return the cost of a number on the line of the two nearest that were measured."""
    if len(points) < 2:
        return None
    low, high = sorted(sorted(points, key=lambda point: abs(point - value))[:2])
    part = (value - low) / (high - low)

    return _combine(
        points[low], points[high], lambda first, second: round(first + part * (second - first))
    )


def _combine(first: Cost, second: Cost, combine: Callable[[int, int], int]) -> Cost:
    """Combine two costs measure by measure, where both were measured."""

    def both(one: int | None, other: int | None) -> int | None:
        return None if one is None or other is None else combine(one, other)

    return Cost(
        flash=combine(first.flash, second.flash),
        dram=combine(first.dram, second.dram),
        heap=both(first.heap, second.heap),
        idle=both(first.idle, second.idle),
        instructions=both(first.instructions, second.instructions),
    )
