"""Find the line of each key of a TOML text, which tomllib does not tell."""

from __future__ import annotations

import re

KeyPath = tuple[str, ...]

_PART = r"""(?:"[^"]*"|'[^']*'|[\w-]+)"""
_DOTTED = rf"({_PART}(?:\s*\.\s*{_PART})*)"
_HEADER = re.compile(rf"\s*\[\[?\s*{_DOTTED}\s*\]")
_KEY = re.compile(rf"\s*{_DOTTED}\s*=")
_STRING = r"""\"\"\"(?s:.*?)\"\"\"|'''(?s:.*?)'''|"(?:\\.|[^"\\])*"|'[^']*'"""
_MEMBER = re.compile(rf"{_STRING}|#.*|\n|[\[\]{{}},]|[^\s\[\]{{}},#\"']+")
_TOKEN = re.compile(r'"""|\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*|[\[{]|[\]}]')


def find_key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of each table and key of a valid TOML text, and of lists' members.

    Keys inside inline tables are not told apart: `find_line` gives the line of the whole.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    depth = 0  # of brackets open from the lines before
    quote = ""  # of a multi-line string open from the lines before
    texts = text.split("\n")
    for number, line in enumerate(texts, start=1):
        if depth == 0 and not quote:
            if header := _HEADER.match(line):
                table = _split(header[1])
                lines.setdefault(table, number)
                continue
            if key := _KEY.match(line):
                path = table + _split(key[1])
                if path not in lines:
                    value = "\n".join([line[key.end() :], *texts[number:]]).lstrip(" \t")
                    lines[path] = number
                    lines |= _find_member_lines(value, path, number)
        depth, quote = _scan(line, depth, quote)
    return lines


def find_line(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """Return the line of the longest leading part of `path` that the text has."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _find_member_lines(text: str, path: KeyPath, line: int) -> dict[KeyPath, int]:
    """Return the lines of a list's members that are not in the key's own line, by their number.

    `text` is the value and what comes after it, `line` where it starts.
    """
    lines: dict[KeyPath, int] = {}
    if not text.startswith("["):
        return lines
    depth, count, at = 0, 0, line
    for token in _MEMBER.finditer(text):
        word = token[0]
        if depth == 1 and word not in {",", "]", "\n"} and word[0] != "#" and at != line:
            lines.setdefault((*path, str(count)), at)
        count += word == "," and depth == 1
        at += word.count("\n")
        depth += (word in "[{") - (word in "]}")
        if depth == 0:
            break
    return lines


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
