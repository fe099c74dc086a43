"""Turn what is wrong with a profile into sentences, each with its line and the nearest name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from nodemcu_tls_build.profile.layers import Layer
from nodemcu_tls_build.profile.lines import KeyPath, find_line
from nodemcu_tls_build.profile.model import SIZE_KEYS, Profile
from nodemcu_tls_build.profile.names import find_nearest, show_size, show_value

Location = tuple[int | str, ...]


def describe_errors(errors: Sequence[ErrorDetails], layers: Sequence[Layer]) -> list[str]:
    """Return a sentence for each problem in the order of the files and their lines."""
    sentences = []
    for error in errors:
        for location, text, other in _explain(error):
            if error["type"] == "missing":  # schema and name, which no file inherits
                rank, line, place = _find_top_file(layers)
            else:
                rank, line, place = _find_place(layers, location, other)
            sentences.append((rank, line, f"{place}: {_key(location)}: {text}"))
    return [sentence for _, _, sentence in sorted(sentences, key=lambda item: item[:2])]


def _find_top_file(layers: Sequence[Layer]) -> tuple[int, int, str]:
    rank = max(rank for rank, layer in enumerate(layers) if layer.is_file)
    return rank, 0, layers[rank].label


def _find_place(layers: Sequence[Layer], *locations: Location | None) -> tuple[int, int, str]:
    """Return the layer's number, the line and both as text of the first location that one says.

    Presets are right in themselves: what is wrong is looked for in files and on the command line.
    """
    paths = [tuple(map(str, location)) for location in locations if location is not None]
    spoken = [
        (rank, layer) for rank, layer in enumerate(layers) if not layer.label.startswith("preset ")
    ][::-1]
    for path in paths:
        for rank, layer in spoken:
            if path in layer.lines:
                return rank, layer.lines[path], f"{layer.label}:{layer.lines[path]}"
            if not layer.is_file and _has(layer.data, path):
                return rank, 0, layer.label
    for rank, layer in spoken:
        line = find_line(layer.lines, paths[0])
        if line is not None:
            return rank, line, f"{layer.label}:{line}"
    return 0, 0, (spoken[-1][1] if spoken else layers[-1]).label


def _has(data: dict[str, Any], path: KeyPath) -> bool:
    table = data.get(path[0]) if path else None
    return table is not None and (len(path) == 1 or (isinstance(table, dict) and path[1] in table))


def _explain(error: ErrorDetails) -> Iterator[tuple[Location, str, Location | None]]:
    """Yield the location of each problem, what it is, and the location of what it clashes with."""
    location = error["loc"]
    if error["type"] == "conflict":
        for conflict in error["ctx"]["conflicts"]:
            other = None if conflict.other is None else tuple(conflict.other.split("."))
            yield tuple(conflict.key.split(".")), conflict.message, other
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
            text, semicolon, hint = str(context["error"]).partition(";")
            return f"{text}, found {found}{semicolon}{hint}"
        case kind:
            text = _WRONG[kind].format(**context) if kind in _WRONG else error["msg"]
            is_limit = kind in {"greater_than_equal", "less_than_equal"}
            unit = " bytes" if is_limit and _key(location) in SIZE_KEYS else ""
            return f"{text}{unit}, found {found}"


_WRONG = {
    "model_type": "must be a table",
    "tuple_type": "must be a list of strings",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "string_pattern_mismatch": "must be up to 48 letters, digits, dots, dashes and underscores",
    "int_type": "must be a whole number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def _explain_choice(location: Location, value: object) -> str:
    choices = _list_choices(location)
    shown = ", ".join(_show_choice(location, choice) for choice in choices)
    text = f"{_show_choice(location, value)} is not one of {shown}"
    if isinstance(value, str) and value in [str(choice) for choice in choices if choice != value]:
        return f"{text}; a number has no quotes"
    names = [choice for choice in choices if isinstance(choice, str)]
    nearest = find_nearest(str(value), names) if isinstance(value, str | int | float) else None
    return text if nearest is None else f'{text}; did you mean "{nearest}"?'


def _suggest_key(location: Location) -> str:
    """Return the end of a sentence: the key of the same table that is like it, or of another."""
    *table, key = (str(part) for part in location)
    paths = dict(list_keys(Profile, ()))
    here = [path[-1] for path in paths if path[:-1] == tuple(table)]
    nearest = find_nearest(key, here)
    if nearest is None:
        elsewhere = {path[-1]: path for path in paths}
        nearest_leaf = find_nearest(key, elsewhere)
        nearest = ".".join(elsewhere[nearest_leaf]) if nearest_leaf else None
    return f"; known here: {', '.join(here)}" if nearest is None else f'; did you mean "{nearest}"?'


def _list_choices(location: Location) -> list[Any]:
    annotation = dict(list_keys(Profile, ())).get(
        tuple(part for part in location if isinstance(part, str))
    )
    return list(_literals(annotation))


def list_keys(model: type[BaseModel], table: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the path of each key of a table and of those below it, and its type."""
    for name, field in model.model_fields.items():
        path = (*table, field.alias or name)
        yield path, field.annotation
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from list_keys(field.annotation, path)


def _literals(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for part in get_args(annotation):
            yield from _literals(part)


def _show_choice(location: Location, choice: object) -> str:
    """Return a choice as people write it, a size with its unit."""
    if type(choice) is int and choice > 0 and _key(location) in SIZE_KEYS:
        text = show_size(choice)
        return text if text.isdecimal() else f'"{text}"'
    return show_value(choice)


def _key(location: Location) -> str:
    """Return the location as dotted TOML key, with brackets for the number in a list."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_show_part(part)}" for part in location)
    return "".join(parts).removeprefix(".")


def _show_part(part: str) -> str:
    return part if re.fullmatch(r"[\w-]+", part) else show_value(part)
