"""Explain a profile setting by setting: the macros it sets, why, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nodemcu_tls_build.profile.costs import (
    CostTable,
    Variant,
    list_changes,
    list_nearest,
    load_costs,
    read_settings,
)
from nodemcu_tls_build.profile.heap_table import find_free_heap
from nodemcu_tls_build.profile.load import load_with_layers
from nodemcu_tls_build.profile.macro import Macro
from nodemcu_tls_build.profile.mbedtls import list_macros
from nodemcu_tls_build.profile.model import Profile
from nodemcu_tls_build.profile.settings import Setting, find_setting_keys, list_settings
from nodemcu_tls_build.profile.suites import Suite, list_suites

# What settings do that set no macro of mbedTLS.
_ELSEWHERE = {
    "board.name": "chooses the board's C files",
    "board.flash_size": "goes into the image's header; the credentials lie at the flash's end",
    "board.flash_mode": "goes into the image's header",
    "board.flash_frequency": "goes into the image's header",
    "mbedtls.version": "chooses the sources, and the macros that these have",
    "tls.cipher_suites": "empty: every suite that the other settings allow",
    "tls.heap_budget": "is what the predicted peak of a handshake is compared with; a script of ten"
    f" lines with a stored CA has {find_free_heap():,} bytes free",
}
_OPTIMISE = {"size": "compiles with -Os", "speed": "compiles with -O2"}
_SUITE_PARTS = {
    "tls.versions": "version",
    "tls.key_exchanges": "key_exchange",
    "tls.ciphers": "cipher",
    "tls.modes": "mode",
    "tls.digests": "digest",
}


@dataclass(frozen=True)
class Explanation:
    """A setting, the macros it sets, what it does besides, and what was measured of it.

    `suites` are those of the profile, each with the part of it that this setting decides.
    """

    setting: Setting
    macros: tuple[Macro, ...]
    effect: str | None
    variants: tuple[Variant, ...]
    unmeasured: str | None
    suites: tuple[tuple[Suite, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as JSON-able data."""
        return self.setting.to_dict() | {
            "macros": [
                {"name": macro.name, "value": macro.value, "reason": macro.reason}
                for macro in self.macros
            ],
            "effect": self.effect,
            "costs": [
                {"value": variant.value, "with": dict(variant.needs), **variant.cost.to_dict()}
                for variant in self.variants
            ],
            "unmeasured": self.unmeasured,
        }


@dataclass(frozen=True)
class ProfileExplanation:
    """What a profile is made of, and the cipher suites that result, in order."""

    profile: Profile
    settings: tuple[Explanation, ...]
    suites: tuple[Suite, ...]
    table: CostTable

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as JSON-able data."""
        return {
            "profile": self.profile.name,
            "sha256": self.profile.digest(),
            "settings": [item.to_dict() for item in self.settings],
            "cipher_suites": [suite.name for suite in self.suites],
            "conditions": dict(self.table.conditions),
        }


def explain_profile(
    name_or_path: str, settings: Sequence[str] = (), *, key: str | None = None
) -> ProfileExplanation:
    """Explain every setting of a profile, or those that `key`, maybe a table's, stands for."""
    profile, layers = load_with_layers(name_or_path, settings)
    table, suites = load_costs(), list_suites(profile.tls)
    wanted = None if key is None else find_setting_keys(key)
    macros = group_macros(profile)
    explained = tuple(
        _explain(setting, macros.get(setting.key, ()), table, profile)
        for setting in list_settings(profile, layers)
        if wanted is None or setting.key in wanted
    )
    return ProfileExplanation(profile, explained, suites, table)


def group_macros(profile: Profile) -> dict[str, tuple[Macro, ...]]:
    """Return a profile's macros by the key of the setting that sets them."""
    grouped: dict[str, tuple[Macro, ...]] = {}
    for section in list_macros(profile):
        for macro in section.macros:
            if macro.key is not None:
                grouped[macro.key] = (*grouped.get(macro.key, ()), macro)
    return grouped


def _explain(
    setting: Setting, macros: tuple[Macro, ...], table: CostTable, profile: Profile
) -> Explanation:
    key, suites, settings = setting.key, list_suites(profile.tls), read_settings(profile)
    effect = _ELSEWHERE.get(key)
    if key.startswith("optimise."):
        effect = _OPTIMISE[setting.value]
    if effect is None and not macros:
        effect = "sets no macro"
    part = _SUITE_PARTS.get(key)
    return Explanation(
        setting=setting,
        macros=macros,
        effect=effect,
        variants=tuple(
            variant
            for variant in list_nearest(table, key, settings)
            if _can_be_changed(table.base_settings[key], variant.value, setting.value)
        ),
        unmeasured=table.unmeasured.get(key),
        suites=tuple((suite, getattr(suite, part) or "") for suite in suites) if part else (),
    )


def _can_be_changed(base: Any, value: Any, own: Any) -> bool:
    """Tell whether a measured list is `own`, or differs from the base as `own` could be changed."""
    if not isinstance(base, list) or not isinstance(own, list) or value == own:
        return True
    return all((member in own) == (word == "without") for word, member in list_changes(base, value))
