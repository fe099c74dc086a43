"""Turn `#define` lines of a user's C header on, off or to another value, and nothing else in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nodemcu_tls_build.apply.conditions import follow_conditions
from nodemcu_tls_build.apply.lexer import find_code_starts, split_lines

_DIRECTIVE = re.compile(
    r"(?P<indent>[ \t]*)(?P<off>//[ \t/]*)?(?P<kind>#[ \t]*(?:define|undef))(?P<space>[ \t]+)"
    r"(?P<name>\w+)(?P<rest>.*)",
    re.DOTALL,
)
_COMMENT = re.compile(r"[ \t]*(?://|/\*).*", re.DOTALL)
_LAST_ENDIF = re.compile(r"[ \t]*#[ \t]*endif\b")


@dataclass(frozen=True)
class _Line:
    """A line with a directive about a name; `is_active` when it is not commented out."""

    index: int
    is_active: bool
    is_define: bool


def set_define(text: str, name: str, value: str = "", *, after: str | None = None) -> str:
    """Return the text with `name` defined as `value`, whatever else is defined.

    Lines that define it get the value and keep their comments. Where that leaves it to a condition,
    the last line outside of conditions is taken that is an #undef or commented out; else a line is
    put in behind the last one about a name that starts with `after`, or before the last #endif.
    """
    lines = split_lines(text)
    found = _find(lines, name)
    for line in found:
        if line.is_active and line.is_define:
            lines[line.index] = _write(lines[line.index], "#define", value)
    followed = follow_conditions(lines, name)
    if followed.is_defined:
        return "".join(lines)
    outside = [line for line in found if followed.always[line.index]]
    undefined = [line for line in outside if line.is_active and not line.is_define]
    for line in (undefined or [line for line in outside if not line.is_active])[-1:]:
        lines[line.index] = _write(lines[line.index], "#define", value)
    if not follow_conditions(lines, name).is_defined:
        lines = _add(lines, name, f"#define {name} {value}".rstrip(), after)
    return "".join(lines)


def clear_define(text: str, name: str) -> str:
    """Return the text with every active definition of `name` made an #undef."""
    lines = split_lines(text)
    for line in _find(lines, name):
        if line.is_active and line.is_define:
            lines[line.index] = _write(lines[line.index], "#undef", "")
    return "".join(lines)


def mentions(text: str, name: str) -> bool:
    """Tell whether the text has a directive about `name`, be it commented out."""
    return bool(_find(split_lines(text), name))


def _find(lines: list[str], name: str) -> list[_Line]:
    return [line for found, line in _scan(lines) if found == name]


def _scan(lines: list[str]) -> Iterator[tuple[str, _Line]]:
    """Yield each name and the line about it; what stands in a block comment does not count."""
    for index, (text, is_code) in enumerate(zip(lines, find_code_starts(lines), strict=True)):
        match = _DIRECTIVE.fullmatch(text) if is_code else None
        if match:
            is_define = match["kind"].endswith("define")
            yield match["name"], _Line(index, match["off"] is None, is_define)


def _write(line: str, kind: str, value: str) -> str:
    """Return the line with this directive and value; as it was when it says the same already."""
    match = _DIRECTIVE.fullmatch(line)
    if match is None:
        raise ValueError(line)
    body = line.rstrip("\r\n")
    rest = match["rest"][: len(match["rest"]) - (len(line) - len(body))]
    comment = _COMMENT.search(rest)
    old_value = (rest[: comment.start()] if comment else rest).strip()
    is_same_kind = match["kind"].replace(" ", "").replace("\t", "") == kind
    if match["off"] is None and is_same_kind and (kind == "#undef" or old_value == value):
        return line
    tail = comment[0] if comment else ""
    gap = rest[: len(rest) - len(rest.lstrip(" \t"))] or " "
    written = f"{match['indent']}{kind}{match['space']}{match['name']}"
    if value:
        written += f"{gap}{value}"
    return f"{written}{tail}{line[len(body) :]}"


def _add(lines: list[str], name: str, text: str, after: str | None) -> list[str]:
    """Return the lines with a new one where it counts always, and nothing behind takes it back."""
    always = follow_conditions(lines, name).always
    starts = [*find_code_starts(lines), True]
    for index in _list_places(lines, name, after):
        if always[index] and starts[index]:
            added = _insert(lines, index, text)
            if follow_conditions(added, name).is_defined:
                return added
    return lines  # an #if without an end: no compiler takes it


def _list_places(lines: list[str], name: str, after: str | None) -> Iterator[int]:
    """Yield the indices of lines that a new one may go before, the best one first."""
    if after is not None:
        near = [(found, line.index) for found, line in _scan(lines) if found.startswith(after)]
        smaller = [index for found, index in near if found < name]
        yield from (index + 1 for index in reversed(smaller))
        yield from (index + 1 for _, index in reversed(near))
    ends = [index for index, line in enumerate(lines) if _LAST_ENDIF.match(line)]
    yield from [*ends[-1:], len(lines)]


def _insert(lines: list[str], index: int, text: str) -> list[str]:
    ending = "\r\n" if sum(line.endswith("\r\n") for line in lines) * 2 > len(lines) else "\n"
    before = list(lines[:index])
    if before and not before[-1].endswith("\n"):
        before[-1] += ending
    return [*before, text + ending, *lines[index:]]
