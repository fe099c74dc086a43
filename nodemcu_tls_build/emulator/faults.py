"""What a virtual device can be told to do wrong."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from nodemcu_tls_build.errors import ConfigError

REFUSAL = "the faults cannot be made"
_LARGEST = 0xFFFFFFFF


@dataclass(frozen=True)
class Faults:
    """Everything that is wrong with a device; by default nothing is.

    The metadata of a field is the name of its value in the `--fault` option, None for a switch,
    and the least value.
    """

    # On the line.
    lose: int | None = field(default=None, metadata={"value": "N", "least": 1})
    """Every N-th byte to the host is lost."""
    corrupt: int | None = field(default=None, metadata={"value": "N", "least": 1})
    """Every N-th byte to the host has a bit flipped."""
    delay: int | None = field(default=None, metadata={"value": "MS", "least": 1})
    """Each answer comes so many milliseconds late.

    A device that is up to 450 late is flashed; esptool by itself finds one with less than 100.
    """
    cut_frame: int | None = field(default=None, metadata={"value": "N", "least": 1})
    """The N-th answer, counted from one, is cut in half."""
    unplug: int | None = field(default=None, metadata={"value": "BYTES", "least": 1})
    """The connection is dropped after so many bytes from the host, once."""
    deaf: bool = field(default=False, metadata={"value": None})
    """Nothing is ever answered."""

    # In the chip.
    wrong_chip: bool = field(default=False, metadata={"value": None})
    """The chip says that it is an ESP32."""
    stuck_sector: tuple[int, ...] = field(default=(), metadata={"value": "OFFSET", "least": 0})
    """Flash offsets whose sector does not erase."""
    stuck_bit: tuple[int, ...] = field(default=(), metadata={"value": "OFFSET", "least": 0})
    """Flash offsets of bytes that always program wrongly."""
    power_cut: int | None = field(default=None, metadata={"value": "BYTES", "least": 0})
    """The power fails after so many bytes programmed or erased, once."""


_FIELDS = {entry.name.replace("_", "-"): entry for entry in fields(Faults)}
FAULT_FORMS = tuple(
    f"{name}={entry.metadata['value']}" if entry.metadata["value"] else name
    for name, entry in _FIELDS.items()
)


def parse_faults(texts: Sequence[str]) -> Faults:
    """Return the faults that `--fault` options ask for; raise ConfigError with every problem.

    `stuck-sector` and `stuck-bit` may be given several times, the others once.
    """
    faults = Faults()
    problems: list[str] = []
    seen: set[str] = set()
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in _FIELDS:
            problems.append(_describe_unknown(text, name))
            continue
        problem = _check(name, value if equals else None)
        if problem is None and name in seen and not isinstance(_FIELDS[name].default, tuple):
            problem = "given twice"
        seen.add(name)
        if problem is None:
            faults = _add(faults, name, value)
        else:
            problems.append(f"{text!r}: {problem}")
    if problems:
        raise ConfigError(REFUSAL, f"There are {', '.join(FAULT_FORMS)}.", problems)
    return faults


def _add(faults: Faults, name: str, value: str) -> Faults:
    entry = _FIELDS[name]
    new: Any = True if entry.metadata["value"] is None else int(value, 0)
    if isinstance(entry.default, tuple):
        new = (*getattr(faults, entry.name), new)
    return replace(faults, **{entry.name: new})


def _check(name: str, value: str | None) -> str | None:
    """Return what is wrong with the value of a fault that exists, None when nothing is."""
    metadata = _FIELDS[name].metadata
    if metadata["value"] is None:
        return None if value is None else "takes no value"
    if not value:
        return f"needs a value: {name}={metadata['value']}"
    try:
        number = int(value, 0)
    except ValueError:
        return f"{value!r} is not a number"
    if not metadata["least"] <= number <= _LARGEST:
        return f"{metadata['value']} is at least {metadata['least']} and at most {_LARGEST:#x}"
    return None


def _describe_unknown(text: str, name: str) -> str:
    near = difflib.get_close_matches(name.replace("_", "-").lower(), _FIELDS, n=1)
    return f"{text!r}: no such fault" + (f", did you mean {near[0]}?" if near else "")
