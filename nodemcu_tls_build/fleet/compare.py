"""Compare the list with what was issued already, before anything more is."""

from __future__ import annotations

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.fleet.make import Recipe, find_stray
from nodemcu_tls_build.fleet.manifest import Manifest
from nodemcu_tls_build.fleet.problems import MAX_SHOWN, shorten
from nodemcu_tls_build.fleet.table import Row, Table

_CHANGED = "Put the rows back as they were, or give the devices other names."
_STRAY = "Move the files away to have their devices issued anew."


def count_missing(recipe: Recipe, table: Table, manifest: Manifest) -> int:
    """Return how many devices there is something to make for.

    Raises ConfigError with each row that was issued something else, or whose file is there and
    cannot be taken over.
    """
    problems: list[tuple[Row, str | None]] = []
    wrong = missing = 0
    hints: dict[str, None] = {}
    for row in table.rows():
        stray = None
        if row.device in manifest.devices:
            if manifest.has_issued(row.device, recipe.find_file(row), recipe.name_subject(row)):
                continue
        else:
            missing += 1
            stray = find_stray(recipe, row)
            if stray is None:
                continue
        wrong += 1
        hints[_STRAY if stray else _CHANGED] = None
        if wrong <= MAX_SHOWN:
            problems.append((row, stray))
    if wrong:
        told = _explain(recipe, problems, manifest)
        title = f"{table.path} cannot be issued in {recipe.directory}: nothing was issued"
        raise ConfigError(title, " ".join(hints), shorten(told, wrong))
    return missing


def _explain(
    recipe: Recipe, problems: list[tuple[Row, str | None]], manifest: Manifest
) -> list[str]:
    issued = manifest.find({row.device for row, stray in problems if stray is None})
    return [
        f"row {row.number}: the file {stray} is there, and the manifest does not tell of it"
        if stray
        else f"row {row.number}: the device {row.device!r} was issued "
        f"{issued.get(row.device, 'something else')}, not "
        f"{recipe.name_subject(row)} in {recipe.find_file(row)}"
        for row, stray in problems
    ]
