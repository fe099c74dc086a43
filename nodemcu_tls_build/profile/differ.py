"""Find what is different in two profiles: settings, macros, cipher suites and cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nodemcu_tls_build.profile.costs import read_settings
from nodemcu_tls_build.profile.estimate import Estimate, estimate_cost
from nodemcu_tls_build.profile.mbedtls import list_macros
from nodemcu_tls_build.profile.model import Profile
from nodemcu_tls_build.profile.suites import list_suites


@dataclass(frozen=True)
class Difference:
    """What two profiles have each, of that in which they differ; macros None where not set.

    Of the suites all are told: how many each has before which others is a difference, too.
    """

    names: tuple[str, str]
    settings: dict[str, tuple[Any, Any]]
    macros: dict[str, tuple[str | None, str | None]]
    suites: tuple[tuple[str, ...], tuple[str, ...]]
    costs: tuple[Estimate, Estimate]

    def to_dict(self) -> dict[str, Any]:
        """Return the difference as JSON-able data."""
        return {
            "profiles": list(self.names),
            "settings": {key: list(pair) for key, pair in self.settings.items()},
            "macros": {name: list(pair) for name, pair in self.macros.items()},
            "suites": [list(names) for names in self.suites],
            "costs": [estimate.to_dict() for estimate in self.costs],
        }


def compare_profiles(first: Profile, second: Profile) -> Difference:
    """Compare two profiles."""
    one, other = read_settings(first), read_settings(second)
    values = _read_macros(first), _read_macros(second)
    macros = {name: (values[0].get(name), values[1].get(name)) for name in values[0] | values[1]}
    return Difference(
        names=(first.name, second.name),
        settings={key: (one[key], other[key]) for key in one if one[key] != other[key]},
        macros={name: pair for name, pair in macros.items() if pair[0] != pair[1]},
        suites=(_name_suites(first), _name_suites(second)),
        costs=(estimate_cost(first), estimate_cost(second)),
    )


def _read_macros(profile: Profile) -> dict[str, str]:
    """Return the macros that are defined, "" for those without a value."""
    return {
        macro.name: join_lines(macro.value or "")
        for section in list_macros(profile)
        for macro in section.macros
    }


def join_lines(value: str) -> str:
    """Return a macro's value in one line."""
    return " ".join(value.replace("\\\n", " ").split())


def _name_suites(profile: Profile) -> tuple[str, ...]:
    return tuple(suite.name for suite in list_suites(profile.tls))
