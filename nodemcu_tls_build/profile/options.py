"""Read which options an mbedTLS has, from its own configuration header, and sort those left out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile.left_out import FILE_NAMES, find_reason
from nodemcu_tls_build.profile.macro import Section
from nodemcu_tls_build.profile.mbedtls import find_choices
from nodemcu_tls_build.profile.model import Profile

_NAMES = ("mbedtls_config.h", "config.h")  # of mbedTLS 3, and before
_SECTION = re.compile(r"\\name SECTION: (.*?)\s*(?:\*/|$)")
_DEFINE = re.compile(r"\s*(//)?\s*#\s*define\s+(MBEDTLS_\w+)(?:\([^)]*\))?[ \t]*(.*)")


@dataclass(frozen=True)
class Option:
    """One option: whether mbedTLS has it on by itself, and the value that it shows for it."""

    name: str
    on: bool
    value: str | None
    section: str


@dataclass(frozen=True)
class Group:
    """Options that are left out for the same reason."""

    reason: str
    names: tuple[str, ...]


def read_options(include_dir: Path) -> tuple[Option, ...]:
    """Return the options of the mbedTLS whose headers are in `include_dir`, in their order.

    Raises ConfigError when no mbedTLS is there.
    """
    path = find_config_header(include_dir)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    options: dict[str, Option] = {}
    section = ""
    for line in text.splitlines():
        if named := _SECTION.search(line):
            section = named[1]
        found = _DEFINE.match(line)
        if found is None or found[2].endswith("CONFIG_H"):  # the header's own guard
            continue
        value = re.split(r"/[/*]", found[3])[0].strip().rstrip("\\").strip()
        options.setdefault(found[2], Option(found[2], not found[1], value or None, section))
    return tuple(options.values())


def find_config_header(include_dir: Path) -> Path:
    """Return the configuration header of the mbedTLS there; raise ConfigError without one."""
    for name in _NAMES:
        path = include_dir / "mbedtls" / name
        if path.is_file():
            return path
    raise ConfigError(
        f"{include_dir} has no mbedTLS: neither mbedtls/{_NAMES[0]} nor mbedtls/{_NAMES[1]}"
    )


def list_left_out(profile: Profile, sections: Iterable[Section], include_dir: Path) -> list[Group]:
    """Return the options that are in none of a profile's sections, by the reason for that."""
    choices = find_choices(profile.mbedtls.version)
    names = {macro.name for section in sections for macro in section.macros} | FILE_NAMES
    groups: dict[str, list[str]] = {}
    for option in read_options(include_dir):
        if option.name not in names:
            choice = choices.get(option.name)
            has_value = option.value is not None
            reason = find_reason(option.name, choice.key if choice else None, has_value=has_value)
            groups.setdefault(reason, []).append(option.name)
    return [Group(reason, tuple(members)) for reason, members in groups.items()]
