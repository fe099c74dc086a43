"""Follow the conditions of a C header: which lines count always, and what is defined at its end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from nodemcu_tls_build.apply.lexer import find_code_starts, strip_comments

# The firmware is never built with it, only a compiler of Lua that runs on the desk.
_NEVER = "LUA_CROSS_COMPILER"
_DIRECTIVE = re.compile(
    r"\s*#\s*(define|undef|ifdef|ifndef|if|elif|else|endif)\b\s*(.*)", re.DOTALL
)
_DEFINED = re.compile(r"(!?)\s*defined\s*\(?\s*(\w+)\s*\)?")


@dataclass
class _Block:
    """An open #if: whether its first branch counts always, and what was defined in each one."""

    is_always: bool
    was_defined: bool
    defined_without: bool  # in the branch that is taken when no condition holds
    ends: list[bool] = field(default_factory=list)
    has_else: bool = False

    @property
    def is_dead(self) -> bool:
        """Tell whether this is a branch beside one that counts always."""
        return self.is_always and bool(self.ends)


@dataclass(frozen=True)
class Followed:
    """Of each line whether it counts always, and whether the name is defined at the end for sure.

    There is one more line than the text has: where one could be added.
    """

    always: tuple[bool, ...]
    is_defined: bool


def follow_conditions(lines: Sequence[str], name: str) -> Followed:
    """Follow the lines of a header, each with its end, and the definitions of `name` in it.

    The guard around a header is no condition.
    """
    directives = _list_directives(lines)
    guard = _find_guard(list(filter(None, directives)))
    blocks: list[_Block] = []
    always: list[bool] = []
    is_defined = False
    for directive in directives:
        always.append(all(block.is_always and not block.is_dead for block in blocks))
        if directive is None:
            continue
        word, rest = directive
        if word in {"define", "undef"}:
            if re.match(rf"{name}\b", rest):
                is_defined = word == "define"
        elif word in {"if", "ifdef", "ifndef"}:
            asked, is_not = _read_condition(word, rest)
            is_always = is_not and asked in {_NEVER, None if blocks else guard}
            without = is_defined or (is_not and asked == name)
            blocks.append(_Block(is_always, is_defined, without))
            is_defined |= asked == name and not is_not
        elif blocks:
            is_defined = _leave_branch(blocks, word, is_defined=is_defined)
    always.append(not blocks)
    return Followed(tuple(always), is_defined)


def _leave_branch(blocks: list[_Block], word: str, *, is_defined: bool) -> bool:
    """Enter the next branch or leave the block, and return whether the name is defined then."""
    block = blocks[-1]
    if not block.is_dead:
        block.ends.append(is_defined)
    if word != "endif":
        block.has_else |= word == "else"
        return block.defined_without if word == "else" else block.was_defined
    blocks.pop()
    if not block.has_else and not block.is_always:
        block.ends.append(block.defined_without)
    return all(block.ends)


def _list_directives(lines: Sequence[str]) -> list[tuple[str, str] | None]:
    found: list[tuple[str, str] | None] = []
    for line, is_code in zip(lines, find_code_starts(lines), strict=True):
        match = _DIRECTIVE.match(strip_comments(line)) if is_code else None
        found.append((match[1], match[2].strip()) if match else None)
    return found


def _find_guard(directives: list[tuple[str, str]]) -> str | None:
    """Return the name that keeps the header from being read twice."""
    if len(directives) < 2 or directives[1][0] != "define":
        return None
    asked, is_not = _read_condition(*directives[0])
    return asked if is_not and directives[1][1] == asked else None


def _read_condition(word: str, rest: str) -> tuple[str | None, bool]:
    """Return the one name that a condition asks for, and whether it must not be defined."""
    if word in {"ifdef", "ifndef"}:
        return (rest.split() or [""])[0], word == "ifndef"
    match = _DEFINED.fullmatch(rest) if word == "if" else None
    return (match[2], match[1] == "!") if match else (None, False)
