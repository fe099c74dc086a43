"""Read C headers as far as conditions, `#define`, `#undef`, `#include` and `#error` go.

mbedTLS's configuration headers say which options exclude or need each other by `#if` and `#error`.
What they say is kept as conditions, which can be asked what would make them true or false.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TOKENS = re.compile(
    r"\s*(?:(0[xX][0-9a-fA-F]+|\d+)[uUlL]*|([A-Za-z_]\w*)|(&&|\|\||[!=<>]=|[!<>()]))"
)
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_COMMENTS = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)


@dataclass(frozen=True)
class Defined:
    """Ask whether a macro is defined."""

    name: str


@dataclass(frozen=True)
class Not:
    """Negate a condition."""

    inner: Condition


@dataclass(frozen=True)
class Every:
    """Demand all of some conditions."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Some:
    """Demand one of some conditions."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Compare:
    """Compare two values, each a number or the name of a macro."""

    left: str
    sign: str
    right: str


Condition = Defined | Not | Every | Some | Compare


@dataclass(frozen=True)
class Refusal:
    """One `#error` that was reached: its text and the conditions it stands under."""

    text: str
    conditions: tuple[Condition, ...]


@dataclass
class Reading:
    """What came of reading headers: the macros in the end, and what was met on the way.

    `makers` holds for each macro the conditions under which some header defines it, read or not.
    """

    macros: dict[str, str]
    refusals: list[Refusal] = field(default_factory=list)
    makers: dict[str, list[Condition]] = field(default_factory=dict)
    files: set[Path] = field(default_factory=set)


def parse_condition(text: str) -> Condition:
    """Return the condition of an `#if`; raise ValueError for what mbedTLS's headers do not use."""
    tokens = []
    position, text = 0, text.strip()
    while position < len(text):
        match = _TOKENS.match(text, position)
        if match is None:
            raise ValueError(f"cannot read the condition: {text}")
        tokens.append(match[1] or match[2] or match[3])
        position = match.end()
    condition, rest = _parse_some(tokens)
    if rest:
        raise ValueError(f"cannot read the condition: {text}")
    return condition


def holds(condition: Condition, macros: Mapping[str, str]) -> bool:
    """Tell whether a condition is true of these macros."""
    match condition:
        case Defined(name):
            return name in macros
        case Not(inner):
            return not holds(inner, macros)
        case Every(parts):
            return all(holds(part, macros) for part in parts)
        case Some(parts):
            return any(holds(part, macros) for part in parts)
        case Compare(left, sign, right):
            return _COMPARISONS[sign](_number(left, macros), _number(right, macros))


def read_headers(paths: Sequence[Path], macros: Mapping[str, str], include_dir: Path) -> Reading:
    """Read headers in their order, and what they include of `include_dir`, after these macros."""
    reading = Reading(dict(macros))
    for path in paths:
        _read(path, reading, include_dir, ())
    return reading


def _read(path: Path, reading: Reading, include_dir: Path, above: tuple[Condition, ...]) -> None:
    """Read one header; `above` are the conditions that the line which includes it stands under."""
    reading.files.add(path)
    stack: list[_Branch] = []
    for name, rest in _list_directives(path.read_text(encoding="utf-8")):
        if name in ("if", "ifdef", "ifndef"):
            live = all(branch.live for branch in stack)
            stack.append(_Branch(_read_condition(name, rest), reading.macros, outer=live))
        elif name in ("elif", "else", "endif"):
            if not stack:
                raise ValueError(f"{path.name}: #{name} without #if")
            if name == "endif":
                stack.pop()
            else:
                other = _read_condition("if", rest) if name == "elif" else Every(())
                stack[-1].turn(other, reading.macros)
        else:
            conditions = (*above, *(branch.condition for branch in stack))
            live = all(branch.live for branch in stack)
            _obey(name, rest, reading, conditions, live=live, include_dir=include_dir)


def _obey(  # noqa: PLR0913 -- one directive, and all that it can change
    name: str,
    rest: str,
    reading: Reading,
    conditions: tuple[Condition, ...],
    *,
    live: bool,
    include_dir: Path,
) -> None:
    word, _, value = rest.partition(" ")
    if name == "define":
        reading.makers.setdefault(word, []).append(Every(conditions))
        if live:
            reading.macros[word] = value.strip()
    elif name == "undef" and live:
        reading.macros.pop(word, None)
    elif name == "error" and live:
        reading.refusals.append(Refusal(rest.strip().strip('"'), conditions))
    elif name == "include" and live:
        path = include_dir / rest.strip('"<> ')
        if path.is_file() and path not in reading.files:
            _read(path, reading, include_dir, conditions)


class _Branch:
    """Follow one `#if` to its `#endif`."""

    def __init__(self, condition: Condition, macros: Mapping[str, str], *, outer: bool) -> None:
        self._outer = outer
        self._before: list[Condition] = []
        self._own = condition
        self.live = outer and holds(condition, macros)
        self._done = self.live

    @property
    def condition(self) -> Condition:
        """Return what has to hold for the lines that are being read."""
        before = [Not(condition) for condition in self._before]
        return Every((*before, self._own)) if before else self._own

    def turn(self, condition: Condition, macros: Mapping[str, str]) -> None:
        """Go on to the next `#elif` or `#else`."""
        self._before.append(self._own)
        self._own = condition
        self.live = self._outer and not self._done and holds(condition, macros)
        self._done = self._done or self.live


def _list_directives(text: str) -> Iterator[tuple[str, str]]:
    plain = _COMMENTS.sub(lambda m: m[0] if m[0].startswith('"') else " ", text)
    for line in plain.replace("\\\n", " ").splitlines():
        match = re.match(r"\s*#\s*(\w+)\s*(.*)", line)
        if match:
            yield match[1], match[2].strip()


def _read_condition(name: str, rest: str) -> Condition:
    """Return a branch's condition; one that cannot be read is taken for false."""
    if name == "if":
        try:
            return parse_condition(rest)
        except ValueError:  # of other compilers, such as __has_feature(memory_sanitizer)
            return Some(())
    word = rest.split(maxsplit=1)[0]
    if name == "ifndef" and word.endswith("_H"):  # a header's guard: each is read once
        return Every(())
    return Defined(word) if name == "ifdef" else Not(Defined(word))


def _parse_some(tokens: list[str]) -> tuple[Condition, list[str]]:
    parts, rest = _parse_parts(tokens, "||", _parse_every)
    return (parts[0] if len(parts) == 1 else Some(tuple(parts))), rest


def _parse_every(tokens: list[str]) -> tuple[Condition, list[str]]:
    parts, rest = _parse_parts(tokens, "&&", _parse_one)
    return (parts[0] if len(parts) == 1 else Every(tuple(parts))), rest


def _parse_parts(
    tokens: list[str], sign: str, parse: Callable[[list[str]], tuple[Condition, list[str]]]
) -> tuple[list[Condition], list[str]]:
    first, rest = parse(tokens)
    parts = [first]
    while rest[:1] == [sign]:
        part, rest = parse(rest[1:])
        parts.append(part)
    return parts, rest


def _parse_one(tokens: list[str]) -> tuple[Condition, list[str]]:
    match tokens:
        case ["!", *rest]:
            inner, rest = _parse_one(rest)
            return Not(inner), rest
        case ["defined", "(", name, ")", *rest] | ["defined", name, *rest] if name.isidentifier():
            return Defined(name), rest
        case ["(", *rest]:
            inner, rest = _parse_some(rest)
            if rest[:1] != [")"]:
                raise ValueError("a parenthesis is not closed")
            return inner, rest[1:]
        case [left, sign, right, *rest] if sign in _COMPARISONS:
            return Compare(left, sign, right), rest
        case [word, *rest] if re.match(r"\w", word):
            return Compare(word, "!=", "0"), rest
    raise ValueError(f"cannot read the condition at: {' '.join(tokens)}")


def _number(word: str, macros: Mapping[str, str]) -> int:
    """Return the value of a number or a macro; what has none counts as 0, as in C."""
    for _ in range(8):
        try:
            return int(word.strip("() ").rstrip("uUlL"), 0)
        except ValueError:
            word = macros.get(word.strip("() "), "0")
    return 0
