"""Define what a configuration header is made of: macros, each with its reason and its key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Macro:
    """One `#define`, with a value or without.

    `key` is the profile's key that asks for it, None when every profile has it; `choice` is what
    has to be in the key's list, or be the key's value, None when any value sets it.
    """

    name: str
    reason: str
    value: str | None = None
    key: str | None = None
    choice: str | bool | None = None


@dataclass(frozen=True)
class Section:
    """Macros that belong together."""

    title: str
    macros: tuple[Macro, ...]


def chosen(name: str, key: str, choice: str, note: str = "") -> Macro:
    """Return the macro that a member of the key's list asks for."""
    reason = f"{key}: {choice}{', ' if note else ''}{note}"
    return Macro(name, reason, key=key, choice=choice)


def switched(name: str, key: str, note: str, *, on: str | bool = True) -> Macro:
    """Return the macro that the key asks for when it has the value `on`."""
    return Macro(name, f"{key}: {note}", key=key, choice=on)


def measured(name: str, key: str, value: int | str, note: str = "") -> Macro:
    """Return the macro that has the key's value, or one made of it."""
    return Macro(name, f"{key}{': ' if note else ''}{note}", str(value), key)
