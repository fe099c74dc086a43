"""Turn what is wrong with a profile into sentences, each with its line and the nearest name."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from nodemcu_tls_build.profile.lines import KeyPath, find_line
from nodemcu_tls_build.profile.model import Profile

Location = tuple[int | str, ...]

# The same curves by the names that other standards give them.
_OTHER_NAMES = {
    "p256": "secp256r1",
    "nistp256": "secp256r1",
    "prime256v1": "secp256r1",
    "p384": "secp384r1",
    "nistp384": "secp384r1",
    "bp256": "brainpoolP256r1",
    "bp384": "brainpoolP384r1",
}


def find_nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name most like `word`, case and punctuation aside, None when none is."""
    by_plain_name = {_plain(name): name for name in names}
    other = _OTHER_NAMES.get(_plain(word))
    if other in by_plain_name.values():
        return other
    match = difflib.get_close_matches(_plain(word), by_plain_name, n=1)
    return by_plain_name[match[0]] if match else None


def describe_errors(
    errors: Sequence[ErrorDetails], label: str, lines: dict[KeyPath, int]
) -> list[str]:
    """Return a sentence for each problem in the order of the file's lines."""
    sentences = []
    for error in errors:
        for location, text, other in _explain(error):
            line = _find_first_line(lines, location, other)
            place = label if line is None else f"{label}:{line}"
            sentences.append((line or 0, f"{place}: {_key(location)}: {text}"))
    return [sentence for _, sentence in sorted(sentences, key=lambda item: item[0])]


def _find_first_line(lines: dict[KeyPath, int], *locations: Location | None) -> int | None:
    """Return the line of the first location that the file has; the rest is the default's."""
    paths = [tuple(map(str, location)) for location in locations if location is not None]
    exact = [lines[path] for path in paths if path in lines]
    return exact[0] if exact else find_line(lines, paths[0])


def _explain(error: ErrorDetails) -> Iterator[tuple[Location, str, Location | None]]:
    """Yield the location of each problem, what it is, and the location of what it clashes with."""
    location = error["loc"]
    if error["type"] == "conflict":
        for conflict in error["ctx"]["conflicts"]:
            other = None if conflict.other is None else (*location, conflict.other)
            yield (*location, conflict.key), conflict.message, other
    else:
        yield location, _describe(location, error), None


def _describe(location: Location, error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    found = show_value(error["input"])
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key, found {found}{_suggest_key(location)}"
        case "missing":
            return "missing"
        case "literal_error":
            return _explain_choice(location, error["input"])
        case "value_error":
            return f"{context['error']}, found {found}"
        case kind:
            text = _WRONG[kind].format(**context) if kind in _WRONG else error["msg"]
            return f"{text}, found {found}"


_WRONG = {
    "model_type": "must be a table",
    "tuple_type": "must be a list of strings",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "string_pattern_mismatch": "must be up to 48 letters, digits, dots, dashes and underscores",
    "greater_than_equal": "must be at least {ge} bytes",
    "less_than_equal": "must be at most {le} bytes",
}


def _explain_choice(location: Location, value: object) -> str:
    choices = _list_choices(location)
    text = f"{_show_choice(value)} is not one of {', '.join(map(_show_choice, choices))}"
    names = [choice for choice in choices if isinstance(choice, str)]
    nearest = find_nearest(value, names) if isinstance(value, str) else None
    return text if nearest is None else f'{text}; did you mean "{nearest}"?'


def _suggest_key(location: Location) -> str:
    """Return the end of a sentence: the key of the same table that is like it, or of another."""
    *table, key = (str(part) for part in location)
    paths = dict(_list_keys(Profile, ()))
    here = [path[-1] for path in paths if path[:-1] == tuple(table)]
    nearest = find_nearest(key, here)
    if nearest is None:
        elsewhere = {path[-1]: path for path in paths}
        nearest_leaf = find_nearest(key, elsewhere)
        nearest = ".".join(elsewhere[nearest_leaf]) if nearest_leaf else None
    return f"; known here: {', '.join(here)}" if nearest is None else f'; did you mean "{nearest}"?'


def _list_choices(location: Location) -> list[Any]:
    annotation = dict(_list_keys(Profile, ())).get(
        tuple(part for part in location if isinstance(part, str))
    )
    return list(_literals(annotation))


def _list_keys(model: type[BaseModel], table: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    for name, field in model.model_fields.items():
        path = (*table, field.alias or name)
        yield path, field.annotation
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _list_keys(field.annotation, path)


def _literals(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for part in get_args(annotation):
            yield from _literals(part)


def show_value(value: object) -> str:
    """Return a value as TOML would have it, shortened to fit into a sentence."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _show_choice(choice: object) -> str:
    """Return a choice as people write it, a size with its unit."""
    if isinstance(choice, int) and choice > 0:
        for unit, size in (("MiB", 1024 * 1024), ("KiB", 1024)):
            if choice % size == 0:
                return f'"{choice // size}{unit}"'
    return show_value(choice)


def _key(location: Location) -> str:
    """Return the location as dotted TOML key, with brackets for the number in a list."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_show_part(part)}" for part in location)
    return "".join(parts).removeprefix(".")


def _show_part(part: str) -> str:
    return part if re.fullmatch(r"[\w-]+", part) else show_value(part)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
