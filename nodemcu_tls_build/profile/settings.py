"""List a profile's settings, each with its meaning and with the place that says so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile.layers import Layer
from nodemcu_tls_build.profile.lines import KeyPath
from nodemcu_tls_build.profile.model import SIZE_KEYS, Profile
from nodemcu_tls_build.profile.names import find_nearest, show_size


@dataclass(frozen=True)
class Setting:
    """A key, its value as JSON has it, what it means, and the file or preset that says so."""

    key: str
    value: Any
    text: str
    origin: str

    def to_dict(self) -> dict[str, Any]:
        """Return the setting as JSON-able data."""
        return {"key": self.key, "value": self.value, "text": self.text, "origin": self.origin}


def list_setting_keys() -> list[str]:
    """Return the dotted key of every setting in the order of the model."""
    return [".".join(path) for path, _ in _list_fields()]


def list_settings(profile: Profile, layers: Sequence[Layer]) -> list[Setting]:
    """Return every setting of a profile in the order of the model."""
    data = profile.to_dict()
    return [
        Setting(".".join(path), data[path[0]][path[1]], text, _find_origin(path, layers))
        for path, text in _list_fields()
    ]


def find_setting_keys(wanted: str) -> list[str]:
    """Return the keys that a key or the name of a table stands for; raise ConfigError for none."""
    keys = list_setting_keys()
    found = [key for key in keys if key == wanted or key.startswith(f"{wanted}.")]
    if found:
        return found
    tables = [name for name, table in Profile.model_fields.items() if _is_table(table.annotation)]
    nearest = find_nearest(wanted, [*keys, *tables])
    if nearest is None:
        leaves = {key.partition(".")[2]: key for key in keys}
        leaf = find_nearest(wanted.rpartition(".")[2], leaves)
        nearest = leaves[leaf] if leaf else None
    hint = f"The tables are: {', '.join(tables)}."
    if nearest is not None:
        hint = f"Did you mean {nearest}? {hint}"
    raise ConfigError(f"there is no setting {wanted}", hint)


def get_setting(profile: Profile, key: str) -> Any:
    """Return a setting's value as JSON has it."""
    table, _, name = key.partition(".")
    return getattr(profile, table).model_dump(mode="json")[name]


def replace_settings(profile: Profile, settings: Mapping[str, Any]) -> Profile:
    """Return the profile with these values, as JSON has them, in place of its own.

    They are not checked: a profile that would be refused is good enough to look at.
    """
    tables: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        table, _, name = key.partition(".")
        tables.setdefault(table, {})[name] = tuple(value) if isinstance(value, list) else value
    return profile.model_copy(
        update={
            name: getattr(profile, name).model_copy(update=values)
            for name, values in tables.items()
        }
    )


def show_setting(key: str, value: Any) -> str:
    """Return a setting's value as a profile has it, sizes with their unit."""
    if key in SIZE_KEYS and isinstance(value, int):
        text = show_size(value)
        return text if text.isdecimal() else json.dumps(text)
    return json.dumps(value, ensure_ascii=False)


def _list_fields() -> Iterator[tuple[KeyPath, str]]:
    for name, table in Profile.model_fields.items():
        annotation = table.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            for key, field in annotation.model_fields.items():
                yield (name, key), field.description or ""


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _find_origin(path: KeyPath, layers: Sequence[Layer]) -> str:
    """Return the topmost layer that says a setting, with the line in a file that is no preset."""
    table, key = path
    for layer in reversed(layers):
        said = layer.data.get(table)
        if isinstance(said, dict) and key in said:
            if layer.label.startswith("preset ") or path not in layer.lines:
                return layer.label
            return f"{layer.label}:{layer.lines[path]}"
    return ""
