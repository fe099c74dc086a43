"""Compare the list with what was issued already, before anything more is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.fleet.make import Recipe, find_stray
from nodemcu_tls_build.fleet.manifest import Manifest
from nodemcu_tls_build.fleet.problems import MAX_SHOWN, shorten
from nodemcu_tls_build.fleet.table import Row, Table


class _Kind(Enum):
    """What keeps a row from being issued."""

    CHANGED = auto()
    OTHER_KEY = auto()
    USED_KEY = auto()
    STRAY = auto()
    UNUSABLE = auto()


_CHANGED = "Put the rows and their requests back as they were, or give the devices other names."
_HINTS = {
    _Kind.CHANGED: _CHANGED,
    _Kind.OTHER_KEY: _CHANGED,
    _Kind.USED_KEY: "Give each device a request with a key of its own.",
    _Kind.STRAY: "Move the files away to have their devices issued anew.",
    _Kind.UNUSABLE: "The list's requests have changed meanwhile: run the command again.",
}


@dataclass(frozen=True)
class _Problem:
    """A row and its problem; `detail` is the file, the key's digest or the reason."""

    row: Row
    kind: _Kind
    detail: str = ""


def count_missing(recipe: Recipe, table: Table, manifest: Manifest) -> int:
    """Return how many devices there is something to make for.

    Raises ConfigError with each row that was issued something else, whose request has a key that
    was certified already, or whose file is there and cannot be taken over.
    """
    problems: list[_Problem] = []
    wrong = missing = 0
    hints: dict[str, None] = {}
    for row in table.rows():
        missing += row.device not in manifest.devices
        problem = _find_problem(recipe, row, manifest)
        if problem is None:
            continue
        wrong += 1
        hints[_HINTS[problem.kind]] = None
        if wrong <= MAX_SHOWN:
            problems.append(problem)
    if wrong:
        told = _explain(recipe, problems, manifest)
        title = f"{table.path} cannot be issued in {recipe.directory}: nothing was issued"
        raise ConfigError(title, " ".join(hints), shorten(told, wrong))
    return missing


def _find_problem(recipe: Recipe, row: Row, manifest: Manifest) -> _Problem | None:
    try:
        key = recipe.find_key(row)
    except ValueError as error:
        return _Problem(row, _Kind.UNUSABLE, str(error))
    if row.device in manifest.devices:
        if not manifest.has_issued(row.device, recipe.find_file(row), recipe.name_subject(row)):
            return _Problem(row, _Kind.CHANGED)
        if key and not manifest.has_key(row.device, key):
            return _Problem(row, _Kind.OTHER_KEY)
        return None
    if key and key in manifest.keys:
        return _Problem(row, _Kind.USED_KEY, key)
    stray = find_stray(recipe, row)
    return _Problem(row, _Kind.STRAY, stray) if stray else None


def _explain(recipe: Recipe, problems: Sequence[_Problem], manifest: Manifest) -> list[str]:
    devices = {problem.row.device for problem in problems}
    keys = {problem.detail for problem in problems if problem.kind is _Kind.USED_KEY}
    issued, owners = dict[str, str](), dict[str, str]()
    for entry in manifest.read():
        if entry["device"] in devices:
            issued[entry["device"]] = f"{entry['subject']} in {entry['file']}"
        if entry["public_key"] in keys:
            owners[entry["public_key"]] = entry["device"]
    told = []
    for problem in problems:
        row = problem.row
        reason = {
            _Kind.CHANGED: f"the device {row.device!r} was issued "
            f"{issued.get(row.device, 'something else')}, not "
            f"{recipe.name_subject(row)} in {recipe.find_file(row)}",
            _Kind.OTHER_KEY: f"the device {row.device!r} was issued a certificate for another key "
            "than that of its request",
            _Kind.USED_KEY: "its request has the key of the device "
            f"{owners.get(problem.detail, '')!r}, which was issued a certificate",
            _Kind.STRAY: f"the file {problem.detail} is there, and the manifest does not tell of "
            "it",
            _Kind.UNUSABLE: problem.detail,
        }[problem.kind]
        told.append(f"row {row.number}: {reason}")
    return told
