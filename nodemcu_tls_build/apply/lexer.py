"""Tell comments in C from what only looks like them, in strings and characters."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Literals and comments, and the one place where `//` may be in a name. What a line or the text
# leaves open is no literal, but a comment.
_TOKEN = re.compile(
    r'"(?:\\[^\n]|[^"\\\n])*"'
    r"|'(?:\\[^\n]|[^'\\\n])*'"
    r"|^[ \t]*\#[ \t]*include[ \t]*<[^>\n]*>"
    r"|(?P<comment>//[^\n]*|/\*(?:.*?\*/|.*\Z))",
    re.DOTALL | re.MULTILINE,
)
_SPLICE = re.compile(r"\\[ \t]*\r?\n")  # a line goes on in the next one
_LINE = re.compile(rf"(?:{_SPLICE.pattern}|[^\n])*+\n?")  # str.splitlines knows more ends than C


def strip_comments(text: str) -> str:
    """Return the text with each continued line in one, and a space for each comment."""
    spliced = _SPLICE.sub("", text)
    return _TOKEN.sub(lambda match: " " if match["comment"] else match[0], spliced)


def split_lines(text: str) -> list[str]:
    """Return the lines with their ends; what goes on in the next one is one line."""
    return _LINE.findall(text)[:-1]  # the last is what is behind the end


def find_code_starts(lines: Sequence[str]) -> list[bool]:
    """Tell of each line whether it starts as code, not in a comment."""
    text = _SPLICE.sub(lambda match: " " * len(match[0]), "".join(lines))
    comments = [match.span() for match in _TOKEN.finditer(text) if match["comment"]][::-1]
    starts: list[bool] = []
    at = 0
    for line in lines:
        while comments and comments[-1][1] <= at:
            comments.pop()
        starts.append(not comments or comments[-1][0] >= at)
        at += len(line)
    return starts
