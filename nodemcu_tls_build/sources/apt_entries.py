"""Turn a machine's apt entries into source entries of another Debian suite."""

from __future__ import annotations

import re

_RELEASES = ("bullseye", "bookworm", "trixie", "forky", "sid")
_ALIASES = ("oldoldstable", "oldstable", "stable", "testing", "unstable")
_SUFFIXES = ("", "security")  # backports, updates and proposed-updates are left out
_LINE = re.compile(r"deb(?:-src)?\s+(\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)")


def convert_list(text: str, suite: str) -> str:
    """Return the Debian entries of a `.list` file as `deb-src` lines for `suite`."""
    lines: list[str] = []
    for line in text.splitlines():
        match = _LINE.match(line.partition("#")[0].strip())
        if match:
            options, uri, old_suite, components = match.groups()
            for new_suite in _convert_suites([old_suite], suite):
                if _is_usable(uri, components.split()):
                    lines.append(f"deb-src {options or ''}{uri} {new_suite} main\n")
    return "".join(dict.fromkeys(lines))


def convert_stanzas(text: str, suite: str) -> str:
    """Return the Debian entries of a deb822 `.sources` file as `deb-src` stanzas for `suite`."""
    stanzas = []
    for stanza in re.split(r"\n\s*\n", re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)):
        fields = _read_fields(stanza)
        suites = _convert_suites(fields.get("suites", "").split(), suite)
        uris = fields.get("uris", "")
        enabled = fields.get("enabled", "yes").strip().lower() not in ("no", "false", "0", "off")
        if suites and enabled and _is_usable(uris, fields.get("components", "").split()):
            fields |= {"types": " deb-src", "suites": f" {' '.join(suites)}", "components": " main"}
            stanzas.append("".join(f"{name}:{value}\n" for name, value in fields.items()) + "\n")
    return "".join(dict.fromkeys(stanzas))


def _read_fields(stanza: str) -> dict[str, str]:
    """Return a stanza's fields by their lower-case names, continuation lines kept as they are."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line[:1].isspace() and name:
            fields[name] += f"\n{line}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.rstrip()
    return fields


def _convert_suites(old: list[str], suite: str) -> list[str]:
    new = []
    for item in old:
        base, _, suffix = item.partition("-")
        if base in _RELEASES + _ALIASES and suffix in _SUFFIXES:
            new.append("-".join(filter(None, (suite, suffix))))
    return list(dict.fromkeys(new))


def _is_usable(uris: str, components: list[str]) -> bool:
    """Tell whether an entry is on the network and has Debian's `main`."""
    return "main" in components and "cdrom:" not in uris
