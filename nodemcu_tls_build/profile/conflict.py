"""Say that settings do not go together, and what would mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

# What a profile would have to list: keys of its [tls] table, and the member that each lacks.
Way = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Conflict:
    """A dotted key, what is wrong with its value, and the key that it does not go with."""

    key: str
    message: str
    other: str | None = None


def lacks(key: str, value: str, other: str, needed: str) -> Conflict:
    """Return the conflict of a member of a list that needs one of another list."""
    return Conflict(f"tls.{key}", f'"{value}" needs "{needed}" in tls.{other}', f"tls.{other}")


def find_shortest(ways: Iterable[Way]) -> list[Way]:
    """Return the ways that change least, in their order."""
    unique = list(dict.fromkeys(ways))
    least = min(map(len, unique), default=0)
    return [way for way in unique if len(way) == least]


def find_main_key(ways: Iterable[Way]) -> str | None:
    """Return the dotted key that most of the ways change."""
    counts = Counter(key for way in ways for key, _ in sorted(way))
    return f"tls.{counts.most_common(1)[0][0]}" if counts else None


def describe_ways(ways: Iterable[Way]) -> str:
    """Put ways to choose from into words, those that add to one list together."""
    by_key: dict[str, list[str]] = {}
    texts = []
    for way in ways:
        if len(way) == 1:
            ((key, value),) = way
            by_key.setdefault(key, []).append(f'"{value}"')
        else:
            texts.append(" and ".join(f'"{value}" in tls.{key}' for key, value in sorted(way)))
    keys = sorted(by_key, key=lambda key: -len(by_key[key]))  # where there is most to choose from
    single = [f"{_list_choices(by_key[key])} in tls.{key}" for key in keys]
    return ", or ".join([*single, *texts])


def _list_choices(values: list[str]) -> str:
    *first, last = values
    return f"{', '.join(first)} or {last}" if first else last
