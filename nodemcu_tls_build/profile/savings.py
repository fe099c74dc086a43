"""Say which settings of a profile take most flash, for an image that is too large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nodemcu_tls_build.profile.conflicts import find_conflicts
from nodemcu_tls_build.profile.costs import find_cost, load_costs, read_settings
from nodemcu_tls_build.profile.mbedtls import list_macros
from nodemcu_tls_build.profile.names import show_size
from nodemcu_tls_build.profile.settings import replace_settings, show_setting

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile

_MOST = 4  # to be named


@dataclass(frozen=True)
class Saving:
    """A change of one setting that takes less flash, in words, and how many bytes less."""

    text: str
    flash: int


def suggest_smaller(profile: Profile) -> str:
    """Return the hint for an image that the profile's flash has no room for."""
    savings = sorted(_list_savings(profile), key=lambda saving: -saving.flash)[:_MOST]
    told = "; ".join(f"{saving.text} saves about {saving.flash:,}" for saving in savings)
    size = show_size(profile.board.flash_size)
    larger = "" if profile.board.flash_size >= 2**20 else ', or take "1MiB" if the board has it'
    return f'board.flash_size is "{size}"{larger}. What takes most: {told}.'


def _list_savings(profile: Profile) -> Iterator[Saving]:
    """Yield the best change of each setting that goes with all the others."""
    table, settings = load_costs(), read_settings(profile)
    for key in dict.fromkeys(variant.key for variant in table.variants):
        best: Saving | None = None
        here = find_cost(table, key, settings[key], settings=settings)
        for value, text in _list_changes(key, settings[key]):
            there = find_cost(table, key, value, settings=settings)
            changed = replace_settings(profile, {key: value})
            if here is None or there is None or find_conflicts(changed):
                continue
            saved = here.flash - there.flash
            matters = key.startswith("optimise.") or list_macros(changed) != list_macros(profile)
            if matters and saved > (best.flash if best else 0):
                best = Saving(text, saved)
        if best is not None:
            yield best


def _list_changes(key: str, value: Any) -> Iterator[tuple[Any, str]]:
    """Yield other values of a setting: those measured, of a list those with a member less."""
    if isinstance(value, list):
        for member in value:
            rest = [other for other in value if other != member]
            yield rest, f'{key} without "{member}"'
        return
    table = load_costs()
    values = [table.base_settings[key], *(it.value for it in table.list_variants(key))]
    for other in values:
        if other != value and key != "mbedtls.version":
            yield other, f"{key} = {show_setting(key, other)}"
