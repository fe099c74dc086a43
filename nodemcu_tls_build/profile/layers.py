"""Read the layers that make a profile: the preset at the bottom, files, and --set on top."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile.lines import KeyPath, find_key_lines
from nodemcu_tls_build.profile.names import find_nearest, show_value

BASE = "default"

_MAX_BYTES = 256 * 1024
_NOT_INHERITED = ("schema", "name", "description", "extends")
_START_HINT = 'A profile is TOML and starts with `schema = 1` and `name = "…"`.'
_SET_HINT = "Give it as --set table.key=value, such as --set tls.in_buffer=8KiB."


@dataclass(frozen=True)
class Layer:
    """What one file, or the command line, says; `lines` of its keys, none on the command line."""

    label: str
    data: dict[str, Any]
    lines: dict[KeyPath, int]
    is_file: bool = True


def list_presets() -> list[str]:
    """Return the names of the presets, sorted."""
    names = (entry.name for entry in _presets_dir().iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def find_preset(name: str) -> Traversable:
    """Return the file of a preset."""
    return _presets_dir() / f"{name}.toml"


def read_layers(name_or_path: str) -> list[Layer]:
    """Return a profile's layers, what it extends first.

    Raises ConfigError for a file that cannot be read and for one that extends itself.
    """
    layers: list[Layer] = []
    seen: list[str] = []
    wanted: str | None = name_or_path
    directory = Path()
    while wanted is not None:
        try:
            if _is_path(wanted):
                path = directory / wanted
                layer = _read_file_layer(path)
                directory, identity = path.parent, os.path.realpath(path)
            else:
                layer = _read_preset_layer(wanted)
                identity = wanted
        except ConfigError as error:
            if not layers or error.problems:
                raise
            raise _explain_extends(layers[0], error) from error
        if identity in seen:
            raise _refuse_circle([*reversed(layers), layer])
        seen.append(identity)
        layers.insert(0, layer)
        below = layer.data.get("extends", BASE)
        wanted = None if wanted == BASE else below if isinstance(below, str) else BASE
    return layers


def parse_settings(settings: Sequence[str], is_list: Callable[[KeyPath], bool]) -> Layer:
    """Return `table.key=value` texts as a layer; values as in TOML, the quotes left out or not.

    `is_list` tells the keys whose value may be written as strings between commas.
    """
    data: dict[str, Any] = {}
    flat: dict[str, str] = {}  # settings of a whole table, or of no table
    for setting in settings:
        key, equals, text = setting.partition("=")
        path = [part.strip() for part in key.split(".")]
        if not equals or not all(path) or len(path) > 2 or path == ["extends"]:
            raise ConfigError(f"--set {show_value(setting)} is no setting", _SET_HINT)
        table = data.setdefault(path[0], {}) if len(path) == 2 else data
        if not isinstance(table, dict):
            wrong = show_value(flat.get(path[0], setting))
            raise ConfigError(f"--set {wrong} is no setting", _SET_HINT)
        if len(path) == 1:
            flat[path[0]] = setting
        table[path[-1]] = _parse_value(text.strip(), is_list=is_list(tuple(path)))
    return Layer("--set", data, {}, is_file=False)


def merge_layers(layers: Sequence[Layer]) -> dict[str, Any]:
    """Lay the tables of each layer over those below it, key by key."""
    merged: dict[str, Any] = {}
    for layer in layers:
        kept = merged
        if layer.is_file:
            kept = {key: value for key, value in merged.items() if key not in _NOT_INHERITED}
        merged = _merge(kept, layer.data)
    return merged


def _explain_extends(layer: Layer, error: ConfigError) -> ConfigError:
    """Return an error that tells which file it was that extends what cannot be read."""
    place = f"{layer.label}:{layer.lines.get(('extends',), 1)}"
    problem = f"{place}: extends: {error.message}"
    return ConfigError(f"profile {layer.label} has one problem", error.hint, [problem])


def _refuse_circle(layers: Sequence[Layer]) -> ConfigError:
    """Return an error that tells how a file comes to extend itself, and in which lines."""
    chain = " extends ".join(layer.label for layer in layers)
    places = [
        f"{layer.label}:{layer.lines[('extends',)]}: extends: {show_value(layer.data['extends'])}"
        for layer in layers[:-1]
        if ("extends",) in layer.lines
    ]
    return ConfigError(
        f"a profile extends itself: {chain}", "Take one of the `extends` out.", places
    )


def _is_path(name_or_path: str) -> bool:
    return os.sep in name_or_path or name_or_path.endswith(".toml")


def _read_file_layer(path: Path) -> Layer:
    text = _decode(_read_file(path), str(path))
    return Layer(str(path), _parse(text, str(path)), find_key_lines(text))


def _read_preset_layer(name: str) -> Layer:
    presets = list_presets()
    if name not in presets:
        raise _unknown_preset(name, presets)
    text = find_preset(name).read_text(encoding="utf-8")
    return Layer(f"preset {name}", tomllib.loads(text), find_key_lines(text))


def _parse_value(text: str, *, is_list: bool) -> Any:
    """Return a value of TOML; what is none is a string, or strings between commas."""
    if is_list and not text.startswith("["):
        parts = text.split(",") if text else []
        return [part.strip().strip("\"'") for part in parts]
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text  # more: the text has lines of its own


def _presets_dir() -> Traversable:
    return resources.files("nodemcu_tls_build.profile") / "presets"


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
            hint = "Give a regular file: a profile is read again, and its directory counts."
            raise ConfigError(f"profile {path} is not a file", hint)
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


def _merge(base: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in raw.items():
        below = merged.get(key)
        merged[key] = (
            {**below, **value} if isinstance(value, dict) and isinstance(below, dict) else value
        )
    return merged
