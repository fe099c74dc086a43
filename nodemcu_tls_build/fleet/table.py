"""Read the list of devices, a CSV file, and find everything wrong in it before it is used."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.fleet.names import Names, pick
from nodemcu_tls_build.fleet.problems import shorten
from nodemcu_tls_build.fleet.records import check_text, copy_list, read_records

DEVICE, CSR = "device", "csr"
_MAX_NAME = 200  # bytes of a file's name; the system's limit is 255
_MAX_COLUMNS, _MAX_COLUMN = 10, 40  # of the columns' names, and of each of them, that are shown
_HINT = "Nothing was issued. Mend what is told and run the command again."

# Returns a digest of the key in a row's request, None when there is none; raises ValueError.
Check = Callable[["Row"], str | None]


@dataclass(frozen=True)
class Row:
    """A row: its number in the file, the header being row 1, and its values by column."""

    number: int
    values: dict[str, str]

    @property
    def device(self) -> str:
        """Return the device's name."""
        return self.values[DEVICE]

    @property
    def file_name(self) -> str:
        """Return a file's name for the device, another one for each; letters stay readable."""
        name = quote(self.device, safe="")
        return f"%2E{name[1:]}" if name.startswith(".") else name


@dataclass(frozen=True)
class _Columns:
    """The columns of a list up to the last one that has a name, and those that are used."""

    names: tuple[str, ...]
    used: frozenset[str]


class Table:
    """A list of devices that was found to be right, and how many rows it has.

    It is a copy, which nobody changes any more.
    """

    def __init__(self, path: Path, copy: BinaryIO, columns: _Columns, count: int) -> None:
        self.path = path
        self.count = count
        self._copy = copy
        self._columns = columns

    def rows(self) -> Iterator[Row]:
        """Read the rows one after another, one reader at a time."""
        return (row for row, _ in _read_rows(self._copy, self._columns) if row)


def load_table(path: Path, needed: Sequence[str], check: Check) -> Table:
    """Look through a file or pipe; raise ConfigError with every problem, each with its row.

    `needed` are columns that it must have; of the others only `csr` is looked at. `check` says
    what is wrong with the values of a row.
    """
    copy = copy_list(path)
    columns, problems = _check_columns(copy, needed)
    if problems:
        raise ConfigError(f"{path} cannot be used:", _HINT, shorten(problems))
    found: list[str] = []
    devices, keys = Names(), Names()
    for row, problem in _read_rows(copy, columns):
        if row is None:
            found.append(problem or "")
            continue
        devices.add(row.device)
        try:
            key = check(row)
        except ValueError as error:
            found.append(f"row {row.number}: {error}")
        else:
            if key:
                keys.add(key)
    found += _find_double_devices(copy, columns, devices)
    found += _find_double_keys(copy, columns, keys, check)
    if found:
        found.sort(key=lambda text: int(re.findall(r"\d+", text)[0]))
        raise ConfigError(f"{path} cannot be used:", _HINT, shorten(found))
    if not len(devices):
        raise ConfigError(f"{path} lists no devices", "Add a row for each under the header.")
    return Table(path, copy, columns, len(devices))


def _check_columns(copy: BinaryIO, needed: Sequence[str]) -> tuple[_Columns, list[str]]:
    columns, problem = next(read_records(copy), ([], None))
    columns = _cut(columns, 0)
    used = frozenset([DEVICE, CSR, *needed])
    found = _Columns(tuple(columns), used)
    text = "".join(columns)
    missing = [name for name in dict.fromkeys([DEVICE, *needed]) if name not in columns]
    if "PRIVATE KEY" in text:
        problem = "this is a private key, and no list of devices"
    elif not problem and not text:
        problem = "it is empty; the first row names the columns, one of them `device`"
    elif len(columns) == 1 and re.search("[;\t]", text):
        problem = "columns are separated by commas, not by semicolons or tabs"
    elif missing and (reason := check_text(text)):
        problem = f"it {reason}"
    if problem:
        return found, [f"row 1: {problem}"]
    problems = [
        f"row 1: there is no column {name!r}; there are: {_show(columns)}" for name in missing
    ]
    doubled = [name for name in dict.fromkeys(columns) if columns.count(name) > 1 and name in used]
    problems += [f"row 1: the column {_shorten(name)!r} is there twice" for name in doubled]
    return found, problems


def _cut(values: list[str], count: int) -> list[str]:
    """Leave out the empty values at the end, such as spreadsheets add, down to so many."""
    length = len(values)
    while length > count and not values[length - 1]:
        length -= 1
    return values[:length]


def _show(columns: Sequence[str]) -> str:
    names = [_shorten(name) for name in columns[:_MAX_COLUMNS]]
    return ", ".join([*names, *(["..."] if len(columns) > _MAX_COLUMNS else [])])


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_COLUMN else f"{name[:_MAX_COLUMN]}..."


def _read_rows(copy: BinaryIO, columns: _Columns) -> Iterator[tuple[Row | None, str | None]]:
    """Yield each row, or what is wrong with it; empty ones are left out."""
    for number, (values, problem) in enumerate(read_records(copy), 1):
        if number == 1 or not (problem or any(values)):
            continue
        cells = _cut(values, len(columns.names))
        pairs = zip(columns.names, cells, strict=False)
        row = Row(number, {name: value for name, value in pairs if name in columns.used})
        reason = (
            problem
            or _check_count(cells, columns.names)
            or _check_values(row)
            or _check_device(row)
        )
        yield (None, f"row {number}: {reason}") if reason else (row, None)


def _check_values(row: Row) -> str | None:
    reasons = ((name, check_text(value)) for name, value in row.values.items())
    return next((f"the column {name!r} {reason}" for name, reason in reasons if reason), None)


def _check_count(values: Sequence[str], columns: Sequence[str]) -> str | None:
    if len(values) == len(columns):
        return None
    return f"it has {_count(values, 'value')}, the header {_count(columns, 'column')}"


def _count(things: Sequence[str], name: str) -> str:
    return f"1 {name}" if len(things) == 1 else f"{len(things)} {name}s"


def _check_device(row: Row) -> str | None:
    if not row.device:
        return "the device has no name"
    if len(os.fsencode(row.file_name)) > _MAX_NAME:
        return f"the device's name is too long: {row.device[:40]!r}..."
    return None


def _find_double_devices(copy: BinaryIO, columns: _Columns, devices: Names) -> Iterator[str]:
    if digests := devices.find_doubled():
        names = ((row.device, row.number) for row, _ in _read_rows(copy, columns) if row)
        for name, number, first in _find_doubles(names, digests):
            yield f"row {number}: the device {name!r} is in row {first}, too"


def _find_double_keys(
    copy: BinaryIO, columns: _Columns, keys: Names, check: Check
) -> Iterator[str]:
    if digests := keys.find_doubled():
        rows = (row for row, _ in _read_rows(copy, columns) if row)
        known = ((key, row.number) for row in rows if (key := _find_key(row, check)))
        for _, number, first in _find_doubles(known, digests):
            yield f"row {number}: its request has the key of the one in row {first}"


def _find_key(row: Row, check: Check) -> str | None:
    try:
        return check(row)
    except ValueError:  # told of already
        return None


def _find_doubles(
    names: Iterable[tuple[str, int]], digests: set[int]
) -> Iterator[tuple[str, int, int]]:
    """Yield each name that is there again, its row, and the row that it is in first."""
    first: dict[str, int] = {}
    for name, number in pick(names, digests):
        if name in first:
            yield name, number, first[name]
        first.setdefault(name, number)
