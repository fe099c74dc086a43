"""Load a profile from a preset or a file, and say everything that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile.layers import (
    BASE,
    Layer,
    find_preset,
    merge_layers,
    parse_settings,
    read_layers,
)
from nodemcu_tls_build.profile.lines import KeyPath
from nodemcu_tls_build.profile.model import SCHEMA, Profile
from nodemcu_tls_build.profile.problems import describe_errors, list_keys
from nodemcu_tls_build.profile.values import check_unique


def load_profile(name_or_path: str, settings: Sequence[str] = ()) -> Profile:
    """Load the preset of that name, or the file when it has a path separator or ends in .toml.

    A file states what differs from what it `extends`. `settings` are laid over it, each
    `table.key=value`. Raises ConfigError with every problem at once.
    """
    return load_with_layers(name_or_path, settings)[0]


def load_with_layers(
    name_or_path: str, settings: Sequence[str] = ()
) -> tuple[Profile, list[Layer]]:
    """Load a profile, and return the layers that it is made of with it."""
    layers = read_layers(name_or_path)
    for layer in layers:
        _refuse_newer_schema(layer)
    if settings:
        layers.append(parse_settings(settings, _is_list))
    merged = merge_layers(layers)
    try:
        return Profile.model_validate(merged), layers
    except ValidationError as error:
        errors = _find_all_errors(merged, error)
    problems = describe_errors(errors, layers)
    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    label = next(layer.label for layer in reversed(layers) if layer.is_file)
    hint = f"Every key, with its default: {find_preset(BASE)}"
    who = f"the {label}" if label.startswith("preset ") else f"profile {label}"
    raise ConfigError(f"{who} has {count}", hint, problems)


def _is_list(path: KeyPath) -> bool:
    annotation = dict(list_keys(Profile, ())).get(path)
    return get_origin(annotation) is tuple


def _refuse_newer_schema(layer: Layer) -> None:
    schema = layer.data.get("schema")
    if type(schema) is int and schema > SCHEMA:
        message = f"profile {layer.label} is for a newer version of nodemcu-tls: it has"
        raise ConfigError(
            f"{message} schema {schema}, this version reads schema {SCHEMA}", "Update nodemcu-tls."
        )


def _find_all_errors(merged: dict[str, Any], first: ValidationError) -> list[ErrorDetails]:
    """Return the errors, and the conflicts among those settings that are right in themselves.

    pydantic looks for conflicts only in a profile without errors, so the wrong settings are
    replaced by the default's, and conflicts with such a replacement are left out.
    """
    errors = first.errors()
    errors += _find_doubles(merged, errors)
    wrong = {".".join(map(str, error["loc"][:2])) for error in errors if error["loc"]}
    if not wrong or any(error["type"] == "conflict" for error in errors):
        return errors
    defaults = merge_layers(read_layers(BASE))
    try:
        Profile.model_validate(_replace_wrong(merged, defaults, wrong))
    except ValidationError as error:
        for details in error.errors():
            found = details.get("ctx", {}).get("conflicts", [])
            real = [conflict for conflict in found if not {conflict.key, conflict.other} & wrong]
            errors.append({**details, "ctx": {"conflicts": real}})
    return errors


def _find_doubles(merged: dict[str, Any], errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Return what is listed twice in lists with a wrong member, where pydantic does not look."""
    found: list[ErrorDetails] = []
    lists = (tuple(map(str, it["loc"][:2])) for it in errors if len(it["loc"]) > 2)
    for table, key in dict.fromkeys(lists):
        members = merged[table][key]
        try:
            check_unique(tuple(member for member in members if isinstance(member, str)))
        except ValueError as error:
            found.append(
                {
                    "type": "value_error",
                    "loc": (table, key),
                    "msg": str(error),
                    "input": members,
                    "ctx": {"error": error},
                }
            )
    return found


def _replace_wrong(
    merged: dict[str, Any], defaults: dict[str, Any], wrong: set[str]
) -> dict[str, Any]:
    replaced: dict[str, Any] = {}
    for key, default in defaults.items():
        value = default if key in wrong else merged.get(key, default)
        if isinstance(default, dict):
            table = value if isinstance(value, dict) else {}
            value = {
                name: default[name] if f"{key}.{name}" in wrong else table.get(name, default[name])
                for name in default
            }
        replaced[key] = value
    return replaced
