"""The table of costs: complete, up to date, and what a build takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from handshake_cost import measure_build, measure_size, run_sites
from measure_costs import Plan, list_plans

from nodemcu_tls_build.profile import list_presets, load_profile
from nodemcu_tls_build.profile.costs import (
    Cost,
    CostTable,
    Variant,
    describe_change,
    find_cost,
    hash_keys,
    hash_settings,
    load_costs,
    read_settings,
)
from nodemcu_tls_build.profile.estimate import estimate_cost
from nodemcu_tls_build.profile.settings import list_setting_keys

_STALE = "measure anew: make costs"


def test_the_table_is_of_these_settings() -> None:
    table = load_costs()
    assert table.keys == hash_keys(), _STALE
    assert dict(table.base_settings) == read_settings(load_profile("default")), _STALE
    measured = {variant.key for variant in table.variants}
    assert sorted([*measured, *table.unmeasured]) == sorted(list_setting_keys()), _STALE
    assert table.conditions["mbedtls"] == load_profile("default").mbedtls.version, _STALE


def test_every_variant_was_measured() -> None:
    def name(key: str, value: object) -> str:
        return f"{key}={json.dumps(value)}"

    found = [name(variant.key, variant.value) for variant in load_costs().variants]
    assert found == [name(plan.key, plan.value) for plan in list_plans()], _STALE


def test_every_preset_was_measured() -> None:
    table = load_costs()
    assert list(table.presets) == list_presets(), _STALE
    for name, (digest, cost) in table.presets.items():
        profile = load_profile(name)
        assert digest == hash_settings(read_settings(profile)), _STALE
        estimate = estimate_cost(profile)
        assert (estimate.cost, estimate.nearest) == (cost, name)
        assert estimate.is_measured


# A number in the table may be off by this much: code that changes elsewhere changes it a little.
_FLASH_SHARE, _FLASH, _HEAP, _SHARE = 0.02, 400, 200, 0.03


def is_near(found: int | None, told: int | None, tolerance: float) -> bool:
    assert found is not None
    assert told is not None
    return abs(found - told) <= tolerance


def test_two_variants_are_what_the_table_says(
    whole_build: Path, build_profile: Callable[[str], Path], tmp_path: Path
) -> None:
    table = load_costs()
    with run_sites(tmp_path) as sites:
        base = measure_build(whole_build, sites["ecdsa"], tmp_path / "base")
        assert is_near(base.flash, table.base.flash, _FLASH_SHARE * base.flash), _STALE
        assert is_near(base.heap, table.base.heap, _HEAP), _STALE
        assert base.instructions is not None
        tolerance = _SHARE * base.instructions
        assert is_near(base.instructions, table.base.instructions, tolerance), _STALE

        larger = build_profile('[tls]\nin_buffer = "8KiB"\n')
        cost = measure_build(larger, sites["ecdsa"], tmp_path / "larger") - base
    told = find_cost(table, "tls.in_buffer", 8192)
    assert told
    assert is_near(cost.flash, told.flash, _FLASH)
    assert is_near(cost.heap, told.heap, _HEAP)
    assert is_near(cost.heap, 4096, _HEAP)
    assert is_near(cost.idle, told.idle, _HEAP)

    without = measure_size(build_profile('[tls]\nciphers = ["AES"]\n')) - measure_size(whole_build)
    told = find_cost(table, "tls.ciphers", ["AES"])
    assert told
    assert is_near(without.flash, told.flash, _FLASH)
    assert without.flash < -1000


def make_table(*variants: Variant, **base: object) -> CostTable:
    return CostTable(
        base_settings=base,
        handshakes={"ecdsa": Cost(flash=1000)},
        variants=variants,
        presets={},
        unmeasured={"free": "it costs nothing"},
        keys="",
        conditions={},
    )


def test_lists_add_up() -> None:
    def vary(value: list[str], flash: int) -> Variant:
        return Variant("list", value, {}, "ecdsa", Cost(flash=flash, heap=None))

    table = make_table(
        *(vary(["b"], -10), vary(["a"], -20), vary(["a", "b", "c"], 5), vary([], -70)),
        list=["a", "b"],
    )
    for value, flash in ((["b"], -10), (["c", "b"], -5), (["b", "a"], 0), ([], -70), (["c"], -65)):
        cost = find_cost(table, "list", value)
        assert cost is not None
        assert cost.flash == flash, value
    assert find_cost(table, "list", ["a", "b", "d"]) is None
    assert find_cost(table, "free", ["x"]) == Cost()


def test_numbers_lie_between_those_that_were_measured() -> None:
    table = make_table(
        Variant("size", 200, {}, "ecdsa", Cost(heap=100, instructions=None)),
        Variant("size", 400, {}, "ecdsa", Cost(heap=500)),
        size=100,
    )
    for value, heap in ((100, 0), (150, 50), (200, 100), (300, 300), (400, 500), (500, 700)):
        cost = find_cost(table, "size", value)
        assert cost is not None
        assert cost.heap == heap, value
    cost = find_cost(table, "size", 300)
    assert cost
    assert cost.instructions is None
    assert find_cost(table, "size", "none") is None


def test_what_had_to_be_changed_too_is_not_counted_twice() -> None:
    table = make_table(
        Variant("a", True, {"b": 1}, "ecdsa", Cost(flash=30)),
        Variant("b", 1, {}, "ecdsa", Cost(flash=20)),
        a=False,
        b=0,
    )
    assert find_cost(table, "a", True) == Cost(flash=10)
    assert find_cost(table, "b", 1) == Cost(flash=20)


def test_an_estimate_starts_from_the_preset_most_like_it() -> None:
    estimate = estimate_cost(load_profile("ecdsa", ["tls.in_buffer=16KiB"]))
    near, base = estimate_cost(load_profile("ecdsa")), load_costs()
    told = find_cost(base, "tls.in_buffer", 16384)
    assert told
    assert (estimate.nearest, estimate.is_measured, estimate.unknown) == ("ecdsa", False, ())
    assert estimate.cost == replace(
        near.cost + told, instructions=estimate.cost.instructions, heap=estimate.cost.heap
    )
    assert not estimate_cost(load_profile("ecdsa", ["tls.sni=false"])).is_measured
    assert estimate_cost(load_profile("ecdsa", ["tls.heap_budget=30KiB"])).is_measured


@pytest.mark.parametrize(
    ("base", "value", "text"),
    [
        (["a", "b"], ["a"], "without b"),
        (["a"], ["a", "b", "c"], "with b, c"),
        (["a", "b"], ["c"], "with c, without a, b"),
        (["a", "b"], ["b", "a"], "b first"),
        (["a", "b"], ["c", "a", "b"], "c first"),
        (["a", "b", "c"], ["c", "b", "a"], '["c", "b", "a"]'),
        (1, 2, "2"),
    ],
)
def test_changes_in_words(base: object, value: object, text: str) -> None:
    assert describe_change(base, value, json.dumps) == text


def test_plans_are_profiles_that_load() -> None:
    needs = {"tls.keep_peer_certificate": True, "tls.max_fragment": "none"}
    assert Plan("tls.versions", ["1.3"], needs) in list(list_plans())
