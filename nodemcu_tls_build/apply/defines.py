"""Turn `#define` lines of a user's C header on, off or to another value, and nothing else in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_DIRECTIVE = re.compile(
    r"(?P<indent>[ \t]*)(?P<off>//[ \t/]*)?(?P<kind>#[ \t]*(?:define|undef))(?P<space>[ \t]+)"
    r"(?P<name>\w+)(?P<rest>.*)",
    re.DOTALL,
)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")  # str.splitlines knows more ends than C
_COMMENT = re.compile(r"[ \t]*(?://|/\*).*", re.DOTALL)
_LAST_ENDIF = re.compile(r"[ \t]*#[ \t]*endif\b")


@dataclass(frozen=True)
class _Line:
    """A line with a directive about a name; `is_active` when it is not commented out."""

    index: int
    is_active: bool
    is_define: bool


def set_define(text: str, name: str, value: str = "", *, after: str | None = None) -> str:
    """Return the text with `name` defined as `value`.

    Lines that define it get the value and keep their comments; else the last one that is
    commented out is taken; else a line is put in behind the last one about a name that starts with
    `after`, or before the last #endif.
    """
    lines = _LINE.findall(text)
    found = [line for line in _find(lines, name) if line.is_active]
    if not any(line.is_define for line in found):
        found = found[-1:] or _find(lines, name)[-1:]
    for line in found:
        lines[line.index] = _write(lines[line.index], "#define", value)
    if not found:
        _insert(lines, _find_place(lines, name, after), f"#define {name} {value}".rstrip())
    return "".join(lines)


def clear_define(text: str, name: str) -> str:
    """Return the text with every active definition of `name` made an #undef."""
    lines = _LINE.findall(text)
    for line in _find(lines, name):
        if line.is_active and line.is_define:
            lines[line.index] = _write(lines[line.index], "#undef", "")
    return "".join(lines)


def mentions(text: str, name: str) -> bool:
    """Tell whether the text has a directive about `name`, be it commented out."""
    return bool(_find(_LINE.findall(text), name))


def _find(lines: list[str], name: str) -> list[_Line]:
    return [line for found, line in _scan(lines) if found == name]


def _scan(lines: list[str]) -> Iterator[tuple[str, _Line]]:
    """Yield each name and the line about it; what stands in a block comment does not count."""
    in_comment = False
    for index, text in enumerate(lines):
        match = None if in_comment else _DIRECTIVE.fullmatch(text)
        if match:
            is_define = match["kind"].endswith("define")
            yield match["name"], _Line(index, match["off"] is None, is_define)
        in_comment = _ends_in_comment(text, is_inside=in_comment)


def _ends_in_comment(line: str, *, is_inside: bool) -> bool:
    at = 0
    while True:
        if is_inside:
            at = line.find("*/", at)
            if at < 0:
                return True
            at += 2
            is_inside = False
        match = re.compile(r'"(?:\\.|[^"\\])*"|//|/\*').search(line, at)
        if match is None or match[0] == "//":
            return False
        at = match.end()
        is_inside = match[0] == "/*"


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


def _find_place(lines: list[str], name: str, after: str | None) -> int:
    """Return the index of the line that a new one goes before."""
    if after is not None:
        near = [(found, line.index) for found, line in _scan(lines) if found.startswith(after)]
        smaller = [index for found, index in near if found < name]
        if near:
            return max(smaller, default=near[-1][1]) + 1
    ends = [index for index, line in enumerate(lines) if _LAST_ENDIF.match(line)]
    return ends[-1] if ends else len(lines)


def _insert(lines: list[str], index: int, text: str) -> None:
    ending = "\r\n" if sum(line.endswith("\r\n") for line in lines) * 2 > len(lines) else "\n"
    if index == len(lines) and lines and not lines[-1].endswith("\n"):
        lines[-1] += ending
    lines.insert(index, text + ending)
