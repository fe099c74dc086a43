"""Find the line of each key of a TOML text, which tomllib does not tell."""

from __future__ import annotations

import re

KeyPath = tuple[str, ...]

_PART = r"""(?:"[^"]*"|'[^']*'|[\w-]+)"""
_DOTTED = rf"({_PART}(?:\s*\.\s*{_PART})*)"
_HEADER = re.compile(rf"\s*\[\[?\s*{_DOTTED}\s*\]")
_KEY = re.compile(rf"\s*{_DOTTED}\s*=")
_TOKEN = re.compile(r'"""|\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*|[\[{]|[\]}]')


def find_key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of each table and key of a valid TOML text.

    Keys inside inline tables are not told apart: `find_line` gives the line of the whole.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    depth = 0  # of brackets open from the lines before
    quote = ""  # of a multi-line string open from the lines before
    for number, line in enumerate(text.split("\n"), start=1):
        if depth == 0 and not quote:
            if header := _HEADER.match(line):
                table = _split(header[1])
                lines.setdefault(table, number)
                continue
            if key := _KEY.match(line):
                lines.setdefault(table + _split(key[1]), number)
        depth, quote = _scan(line, depth, quote)
    return lines


def find_line(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """Return the line of the longest leading part of `path` that the text has."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _split(dotted: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))


def _scan(line: str, depth: int, quote: str) -> tuple[int, str]:
    """Return the bracket depth and the multi-line quote that are open at the end of the line."""
    position = 0
    while True:
        if quote:
            position = line.find(quote, position)
            if position < 0:
                return depth, quote
            position += len(quote)
            quote = ""
        token = _TOKEN.search(line, position)
        if token is None:
            return depth, quote
        position = token.end()
        if token[0] in ('"""', "'''"):
            quote = token[0]
        depth += (token[0] in "[{") - (token[0] in "]}")
