"""Find what mbedTLS's own headers refuse of a profile, and say it in the profile's terms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, product
from pathlib import Path
from typing import NamedTuple

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile.macro import Macro
from nodemcu_tls_build.profile.mbedtls import find_choices, list_macros
from nodemcu_tls_build.profile.model import Profile
from nodemcu_tls_build.profile.names import show_value
from nodemcu_tls_build.profile.options import read_options
from nodemcu_tls_build.profile.preprocessor import (
    Compare,
    Condition,
    Defined,
    Every,
    Not,
    Reading,
    Refusal,
    Some,
    holds,
    read_headers,
)

# Of the compiler: 8-bit characters, GNU C. And mbedTLS's own configuration header is not read.
_GIVEN = {
    "CHAR_BIT": "8",
    "__GNUC__": "12",
    "UINT32_MAX": "0xffffffff",
    "INT_MAX": "0x7fffffff",
    "MBEDTLS_CONFIG_FILE": "",
}

# mbedTLS 3 reads the configuration between other headers, which set what follows from it.
_ENTRY = ("build_info.h", "check_config.h")
_DEPTH = 4  # steps from one derived macro to the next
_MOST = 64  # ways to mend one thing

# What has to be defined (True) or undefined (False) for something to become right.
Repair = frozenset[tuple[str, bool]]


def find_refusals(profile: Profile, include_dir: Path) -> list[str]:
    """Return what the mbedTLS in `include_dir` refuses, a sentence each, its key in front."""
    sections = list_macros(profile)
    own = {macro.name: macro for section in sections for macro in section.macros}
    reading = read_configuration(own, include_dir)
    explainer = _Explainer(own, find_choices(profile.mbedtls.version), reading)
    sentences = [*_list_unknown(own, include_dir)]
    sentences += [line for refusal in reading.refusals for line in explainer.explain(refusal)]
    return list(dict.fromkeys(sentences))


def check_macros(profile: Profile, include_dir: Path) -> None:
    """Raise ConfigError when the mbedTLS in `include_dir` refuses the profile."""
    problems = find_refusals(profile, include_dir)
    if problems:
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        message = f"profile {profile.name} does not go with mbedTLS {profile.mbedtls.version}"
        raise ConfigError(f"{message}: {count}", "Change the keys that are named.", problems)


def read_configuration(own: Mapping[str, Macro], include_dir: Path) -> Reading:
    """Read the headers of the mbedTLS in `include_dir` with these macros."""
    macros = _GIVEN | {macro.name: macro.value or "" for macro in own.values()}
    paths = (include_dir / "mbedtls" / name for name in _ENTRY)
    entry = next(path for path in paths if path.is_file())
    return read_headers([entry], macros, include_dir)


def _list_unknown(own: Mapping[str, Macro], include_dir: Path) -> Iterator[str]:
    """Yield what is asked of an mbedTLS that does not know it."""
    known = {option.name for option in read_options(include_dir)}
    for macro in own.values():
        if macro.key is not None and macro.name.startswith("MBEDTLS_") and macro.name not in known:
            yield f"{macro.key}: {_show_subject(macro)} needs another mbedtls.version"


class _Explainer:
    """Put refusals into words."""

    def __init__(
        self, own: Mapping[str, Macro], choices: Mapping[str, Macro], reading: Reading
    ) -> None:
        self._own = own
        self._choices = choices
        self._reading = reading

    def explain(self, refusal: Refusal) -> Iterator[str]:
        """Yield a sentence for each setting that goes without what it needs."""
        # A header's guard, and macros that lasted for a few lines only, held then and not now.
        conditions = tuple(c for c in refusal.conditions if holds(c, self._reading.macros))
        subject = self._find_subject(conditions)
        repairs = set(self._find_repairs(Every(conditions), wanted=False, depth=_DEPTH))
        if subject is not None:
            repairs = {repair for repair in repairs if (subject.name, False) not in repair}
        repairs = {
            repair for repair in repairs if all(on or self._key(name) for name, on in repair)
        }
        adding = [repair for repair in repairs if all(on for _, on in repair)]
        told = self._describe(adding or sorted(repairs, key=sorted))
        need = f"needs {told}" if told else f"is refused: {refusal.text}"
        if subject is None:
            yield f"mbedtls.version: this mbedTLS {need}"
        else:
            yield f"{subject.key}: {_show_subject(subject)} {need}"

    def _find_subject(self, conditions: tuple[Condition, ...]) -> Macro | None:
        """Return the macro that was asked for: the first that the conditions want defined."""
        names = [name for part in conditions for name in _list_wanted(part)]
        asked = [self._own[name] for name in names if name in self._own]
        return next((macro for macro in asked if macro.key is not None), None)

    def _find_repairs(self, condition: Condition, *, wanted: bool, depth: int) -> list[Repair]:
        """Return the ways to make a condition true or false: for each, what has to change."""
        match condition:
            case Defined(name):
                if (name in self._reading.macros) == wanted:
                    return [frozenset()]
                return self._find_ways(name, wanted=wanted, depth=depth)
            case Not(inner):
                return self._find_repairs(inner, wanted=not wanted, depth=depth)
            case Compare():
                return [frozenset()] if holds(condition, self._reading.macros) == wanted else []
            case Every(parts) | Some(parts):
                found = [self._find_repairs(part, wanted=wanted, depth=depth) for part in parts]
                if isinstance(condition, Every) == wanted:
                    return _combine(found)
                return _shortest([repair for repairs in found for repair in repairs])

    def _find_ways(self, name: str, *, wanted: bool, depth: int) -> list[Repair]:
        """Return the ways to have a macro defined, or not, that a profile has."""
        if name in self._choices or name in self._own:
            return [frozenset({(name, wanted)})]
        makers = self._reading.makers.get(name, [])
        if not wanted or depth == 0:
            return []
        ways = [self._find_repairs(maker, wanted=True, depth=depth - 1) for maker in makers]
        return _shortest([repair for repairs in ways for repair in repairs if repair])

    def _key(self, name: str) -> str | None:
        return (self._choices.get(name) or self._own[name]).key

    def _describe(self, repairs: Iterable[Repair]) -> str:
        """Return the ways to choose from, those that differ in the value of one key together."""
        ways = {tuple(sorted(self._list_terms(repair))) for repair in repairs}
        single = sorted(way[0] for way in ways if len(way) == 1)
        texts = []
        for key, terms in groupby(single, key=lambda term: term.key):
            values = [term.value for term in terms if term.value is not None]
            texts.append(_show_term(key, " or ".join(values) or None))
        for way in sorted(way for way in ways if len(way) > 1):
            texts.append(" and ".join(_show_term(term.key, term.value) for term in way))
        return ", or ".join(texts)

    def _list_terms(self, repair: Repair) -> set[_Term]:
        terms = {_make_term(self._choices.get(n) or self._own[n], on=on) for n, on in repair}
        exact = {term.key for term in terms if term.value is not None}
        return {term for term in terms if term.value is not None or term.key not in exact}


class _Term(NamedTuple):
    """A key of the profile, and the value that it has to have; None for any."""

    key: str
    value: str | None


def _make_term(macro: Macro, *, on: bool) -> _Term:
    """Return what a profile has to say for a macro to be defined or not."""
    key = macro.key or macro.name
    if isinstance(macro.choice, bool):
        return _Term(f"{key} =", str(macro.choice == on).lower())
    if macro.choice is None:
        return _Term(key, None if on else "no value")
    return _Term(key, f"{'' if on else 'no '}{show_value(macro.choice)}")


def _show_term(key: str, value: str | None) -> str:
    if key.endswith("="):
        return f"{key} {value}"
    return f"{value or 'a value'} in {key}"


def _list_wanted(condition: Condition) -> Iterator[str]:
    """Yield the macros that a condition wants defined, in their order."""
    match condition:
        case Defined(name):
            yield name
        case Every(parts) | Some(parts):
            for part in parts:
                yield from _list_wanted(part)


def _combine(found: list[list[Repair]]) -> list[Repair]:
    """Return every way that takes one repair of each."""
    combined: list[Repair] = [frozenset()]
    for repairs in found:
        joined = [one | other for one, other in product(combined, repairs)]
        combined = _shortest(list(dict.fromkeys(joined)))[:_MOST]
    return combined


def _shortest(repairs: list[Repair]) -> list[Repair]:
    """Leave out those that contain another."""
    unique = list(dict.fromkeys(repairs))
    return [repair for repair in unique if not any(other < repair for other in unique)]


def _show_subject(macro: Macro) -> str:
    if isinstance(macro.choice, bool):
        return "true" if macro.choice else "false"
    return show_value(macro.choice) if macro.choice is not None else f"({macro.name})"
