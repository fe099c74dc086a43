"""Load a profile from a preset or a file, and say everything that is wrong with it at once."""

from __future__ import annotations

import os
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile.lines import find_key_lines
from nodemcu_tls_build.profile.model import SCHEMA, Profile, Tls
from nodemcu_tls_build.profile.problems import describe_errors, find_nearest, show_value

BASE = "default"

_MAX_BYTES = 256 * 1024
_NOT_INHERITED = ("schema", "name", "description")
_START_HINT = 'A profile is TOML and starts with `schema = 1` and `name = "…"`.'


def list_presets() -> list[str]:
    """Return the names of the presets, sorted."""
    names = (entry.name for entry in _presets_dir().iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def load_profile(name_or_path: str) -> Profile:
    """Load the preset of that name, or the file when it has a path separator or ends in .toml.

    A file states what differs from the preset `default`. Raises ConfigError with every problem.
    """
    if os.sep in name_or_path or name_or_path.endswith(".toml"):
        text = _decode(_read_file(Path(name_or_path)), name_or_path)
        return _build(_parse(text, name_or_path), text, name_or_path, base=_read_preset(BASE))
    presets = list_presets()
    if name_or_path not in presets:
        raise _unknown_preset(name_or_path, presets)
    base = {} if name_or_path == BASE else _read_preset(BASE)
    text = _preset_file(name_or_path).read_text(encoding="utf-8")
    return _build(_read_preset(name_or_path), text, f"preset {name_or_path}", base=base)


def _presets_dir() -> Traversable:
    return resources.files("nodemcu_tls_build.profile") / "presets"


def _preset_file(name: str) -> Traversable:
    return _presets_dir() / f"{name}.toml"


def _read_preset(name: str) -> dict[str, Any]:
    return tomllib.loads(_preset_file(name).read_text(encoding="utf-8"))


def _unknown_preset(name: str, presets: list[str]) -> ConfigError:
    hint = f"The presets are: {', '.join(presets)}."
    nearest = find_nearest(name, presets)
    if nearest is not None:
        hint = f'Did you mean "{nearest}"? {hint}'
    if name and Path(name).is_file():
        hint += f" For the file of that name give ./{name}."
    return ConfigError(f"there is no profile {show_value(name)}", hint)


def _read_file(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"profile {path} is not a file", _START_HINT)
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        presets = ", ".join(list_presets())
        hint = f"Give the path of a TOML file, or the name of a preset: {presets}."
        raise ConfigError(f"profile {path} does not exist", hint) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"profile {path} cannot be read: {reason}") from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"profile {path} is larger than {_MAX_BYTES} bytes", _START_HINT)
    return data


def _decode(data: bytes, label: str) -> str:
    """Decode UTF-8, with or without a byte order mark."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = (
            f"profile {label} is not UTF-8: line {line} has the byte 0x{data[error.start]:02x}"
        )
        raise ConfigError(message, "Save the file as UTF-8.") from error


def _parse(text: str, label: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number or nesting beyond Python's limits
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise ConfigError(
            f"profile {label} is not TOML", _START_HINT, [f"{label}: {reason}"]
        ) from error


def _build(raw: dict[str, Any], text: str, label: str, *, base: dict[str, Any]) -> Profile:
    _refuse_newer_schema(raw, label)
    merged = _merge(base, raw)
    try:
        return Profile.model_validate(merged)
    except ValidationError as error:
        errors = _find_all_errors(merged, error)
    problems = describe_errors(errors, label, find_key_lines(text))
    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    hint = f"Every key, with its default: {_preset_file(BASE)}"
    raise ConfigError(f"profile {label} has {count}", hint, problems)


def _refuse_newer_schema(raw: dict[str, Any], label: str) -> None:
    schema = raw.get("schema")
    if type(schema) is int and schema > SCHEMA:
        message = f"profile {label} is for a newer version of nodemcu-tls: it has schema {schema}"
        raise ConfigError(f"{message}, this version reads schema {SCHEMA}", "Update nodemcu-tls.")


def _merge(base: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
    """Lay the tables of `raw` over those of `base`, key by key."""
    merged = {key: value for key, value in base.items() if key not in _NOT_INHERITED}
    for key, value in raw.items():
        below = merged.get(key)
        merged[key] = (
            {**below, **value} if isinstance(value, dict) and isinstance(below, dict) else value
        )
    return merged


def _find_all_errors(merged: dict[str, Any], first: ValidationError) -> list[ErrorDetails]:
    """Return the errors, and the conflicts among those settings that are right in themselves.

    pydantic looks for conflicts only in a table without errors, so the wrong settings are
    replaced by the default's, and conflicts with such a replacement are left out.
    """
    errors = first.errors()
    wrong = {error["loc"][1] for error in errors if error["loc"][0] == "tls" and error["loc"][1:]}
    if not wrong:
        return errors
    defaults = _read_preset(BASE)["tls"]
    table = {key: (defaults if key in wrong else merged["tls"])[key] for key in defaults}
    try:
        Tls.model_validate(table)
    except ValidationError as error:
        for details in error.errors():
            found = details["ctx"]["conflicts"]
            real = [conflict for conflict in found if not {conflict.key, conflict.other} & wrong]
            errors.append({**details, "loc": ("tls",), "ctx": {"conflicts": real}})
    return errors
