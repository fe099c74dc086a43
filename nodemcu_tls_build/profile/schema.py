"""Make the JSON Schema of profile files, for editors, from the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from nodemcu_tls_build.profile.layers import BASE, list_presets
from nodemcu_tls_build.profile.load import load_profile
from nodemcu_tls_build.profile.model import SIZE_KEYS, Profile
from nodemcu_tls_build.profile.names import show_size
from nodemcu_tls_build.profile.settings import get_setting, list_setting_keys, show_setting
from nodemcu_tls_build.profile.suites import all_suites
from nodemcu_tls_build.profile.values import PROTOCOL_PATTERN, Some, Unique

FILE_NAME = "nodemcu-tls.schema.json"

_UNITS = ((1, "B?"), (1024, "KiB"), (1024 * 1024, "MiB"))
_EXAMPLES: dict[str, list[Any]] = {
    "tls.cipher_suites": [["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]],
    "tls.alpn": [["mqtt"], ["http/1.1"]],
    "tls.in_buffer": ["4KiB", "16KiB"],
}


def make_schema() -> dict[str, Any]:
    """Return the schema of what a profile file may say: what it inherits it may leave out."""
    schema = Profile.model_json_schema(by_alias=True)
    tables = schema["$defs"]
    fields = schema["properties"]
    for key in list_setting_keys():
        table, _, name = key.partition(".")
        properties = tables[table.capitalize()]["properties"]
        properties[name] = _adapt(key, properties[name])
    for part in tables.values():
        del part["required"], part["title"]
    for field in fields.values():
        field.pop("title", None)
    fields["extends"]["examples"] = [*list_presets(), "./other.toml"]
    fields["extends"].pop("default")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "nodemcu-tls profile",
        "description": "A TLS configuration for nodemcu-tls: what differs from what it extends.",
        "required": ["schema", "name"],
    }


def _adapt(key: str, field: dict[str, Any]) -> dict[str, Any]:
    """Let a field's schema say what the model checks by code, and give examples."""
    table, _, name = key.partition(".")
    model = Profile.model_fields[table].annotation
    validators: list[Any] = []
    if isinstance(model, type) and issubclass(model, BaseModel):  # as all of them are
        validators = model.model_fields[name].metadata
    field.pop("title")  # the name once more
    described = {"description": field.pop("description")}
    if key in SIZE_KEYS:
        field = {key: value for key, value in field.items() if key not in {"ge", "le"}}
        field |= dict(_list_limits(validators))
        field = {"anyOf": _list_sizes(field)}
    if Unique in validators:
        field["uniqueItems"] = True
    if Some in validators:
        field["minItems"] = 1
    if key == "tls.cipher_suites":
        field["items"] = {"enum": [suite.name for suite in all_suites()]}
    if key == "tls.alpn":
        field["items"] |= {"pattern": PROTOCOL_PATTERN}
    base = json.loads(show_setting(key, get_setting(load_profile(BASE), key)))
    examples = _EXAMPLES.get(key, [base])
    return {**described, **field, "examples": examples}


def _list_limits(validators: Sequence[Any]) -> Iterator[tuple[str, int]]:
    """Yield what pydantic leaves out of the schema of a number that is converted first."""
    for validator in validators:
        if hasattr(validator, "ge"):
            yield "minimum", validator.ge
        if hasattr(validator, "le"):
            yield "maximum", validator.le


def _list_sizes(field: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ways to write a size: a number of bytes, or a string with a unit or without."""
    if "enum" not in field:
        low, high = field["minimum"], field["maximum"]
        spellings = [
            f"0{{0,6}}({_match_range(-(-low // factor), high // factor)}) *{unit}"
            for factor, unit in _UNITS
            if high // factor
        ]
        return [field, {"type": "string", "pattern": f"^({'|'.join(spellings)})$"}]
    sizes = [size for size in field["enum"] if isinstance(size, int)]
    words = [word for word in field["enum"] if isinstance(word, str)]
    spellings = [
        f"0{{0,6}}{size // factor} *{unit}"
        for size in sizes
        for factor, unit in _UNITS
        if size % factor == 0
    ]
    return [
        {"enum": [*words, *map(show_size, sizes)]},
        {"enum": sizes},
        {"type": "string", "pattern": f"^({'|'.join(spellings)})$"},
    ]


def _match_range(low: int, high: int) -> str:
    """Return a regular expression for the whole numbers from `low` to `high`."""
    parts: dict[tuple[int, int], list[int]] = {}  # last digits, by those before and how many follow
    while low <= high:
        free = max(n for n in range(6) if low % 10**n == 0 and low + 10**n - 1 <= high)
        before, digit = divmod(low // 10**free, 10)
        parts.setdefault((before, free), []).append(digit)
        low += 10**free
    return "|".join(
        f"{before or ''}[{digits[0]}-{digits[-1]}]{'[0-9]' * free}"
        for (before, free), digits in parts.items()
    )
