"""Read the list of devices, a CSV file, and find everything wrong in it before it is used."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.fleet.names import Names, pick

DEVICE, CSR = "device", "csr"
_MAX_FIELD = 4096
_MAX_NAME = 200  # bytes of a file's name; the system's limit is 255
_MAX_SHOWN = 20
_HINT = "Nothing was issued. Mend the file and run the command again."
_UNDECODED = re.compile("[\udc80-\udcff]")  # as surrogateescape leaves bytes that are no UTF-8


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


class Table:
    """A file of devices that was found to be right: its columns, and how many rows it has."""

    def __init__(self, path: Path, columns: tuple[str, ...], count: int) -> None:
        self.path = path
        self.columns = columns
        self.count = count

    def rows(self) -> Iterator[Row]:
        """Read the rows one after another; raise ConfigError when they have changed since."""
        try:
            with _open(self.path) as file:
                if tuple(_read_header(file, self.path)[0]) != self.columns:
                    raise ValueError("its columns have changed")
                for row, problem in _read_rows(file, self.columns):
                    if problem or row is None:
                        raise ValueError(problem)
                    yield row
        except (OSError, ValueError, csv.Error) as error:
            raise ConfigError(f"{self.path} has changed: {error}", "Run it again.") from error


def load_table(path: Path, needed: Sequence[str], check: Callable[[Row], str | None]) -> Table:
    """Look through the file; raise ConfigError with every problem, each with its row.

    `needed` are columns that it must have. `check` says what is wrong with the values of a row.
    """
    try:
        columns, problems = _check_columns(path, needed)
        if problems:
            raise ConfigError(f"{path} cannot be used:", _HINT, problems)
        found: list[str] = []
        names = Names(_check_rows(path, columns, check, found))
        if names.find_doubled():
            found += _find_doubles(path, columns, names.find_doubled())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Check the path.") from error
    if found:
        found.sort(key=lambda text: int(re.findall(r"\d+", text)[0]))
        more = [f"and {len(found) - _MAX_SHOWN:,} more"] if len(found) > _MAX_SHOWN else []
        raise ConfigError(f"{path} cannot be used:", _HINT, [*found[:_MAX_SHOWN], *more])
    if not len(names):
        raise ConfigError(f"{path} lists no devices", "Add a row for each under the header.")
    return Table(path, columns, len(names))


def _check_columns(path: Path, needed: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    with _open(path) as file:
        columns, problem = _read_header(file, path)
    if problem:
        return (), [problem]
    problems = [
        f"row 1: there is no column {name!r}; there are: {', '.join(columns)}"
        for name in dict.fromkeys([DEVICE, *needed])
        if name not in columns
    ]
    doubled = dict.fromkeys(name for name in columns if columns.count(name) > 1)
    problems += [f"row 1: the column {name!r} is there twice" for name in doubled]
    return tuple(columns), problems


def _check_rows(
    path: Path, columns: tuple[str, ...], check: Callable[[Row], str | None], found: list[str]
) -> Iterator[str]:
    """Yield the name of each device; put what is wrong into `found`."""
    with _open(path) as file:
        _read_header(file, path)
        for row, problem in _read_rows(file, columns):
            if row is None:
                found.append(problem or "")
                continue
            yield row.device
            if reason := check(row):
                found.append(f"row {row.number}: {reason}")


def _find_doubles(path: Path, columns: tuple[str, ...], digests: set[int]) -> list[str]:
    first: dict[str, int] = {}
    found = []
    with _open(path) as file:
        _read_header(file, path)
        rows = ((row.device, row.number) for row, _ in _read_rows(file, columns) if row)
        for device, number in pick(rows, digests):
            if device in first:
                found.append(f"row {number}: the device {device!r} is in row {first[device]}, too")
            first.setdefault(device, number)
    return found


def _open(path: Path) -> IO[str]:
    if path.exists() and not path.is_file():
        raise OSError(0, "it is not a file")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _read_header(file: IO[str], path: Path) -> tuple[list[str], str | None]:
    """Return the names of the columns, and what is wrong with the row that has them."""
    csv.field_size_limit(_MAX_FIELD)
    try:
        columns = next(csv.reader(_one_record(file), strict=True), [])
    except csv.Error as error:
        return [], f"row 1: {error}"
    columns = [name.strip() for name in columns]
    if not any(columns):
        return [], "row 1: it is empty; the first row names the columns, one of them `device`"
    if _UNDECODED.search("".join(columns)):
        return [], "row 1: it is not UTF-8"
    return columns, None


def _one_record(file: IO[str]) -> Iterator[str]:
    """Yield the lines of the first record; the rest stays in the file."""
    while line := file.readline():
        yield line


def _read_rows(file: IO[str], columns: tuple[str, ...]) -> Iterator[tuple[Row | None, str | None]]:
    """Yield each row, or what is wrong with it; empty ones are left out."""
    reader = csv.reader(_one_record(file), strict=True)
    number = 1
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield None, f"row {number}: {error}"
            return  # where the next one begins is not known
        if not any(cell.strip() for cell in cells):
            continue
        problem = _check_cells(cells, columns)
        if problem:
            yield None, f"row {number}: {problem}"
            continue
        row = Row(number, dict(zip(columns, map(str.strip, cells), strict=True)))
        problem = _check_device(row)
        yield (None, f"row {number}: {problem}") if problem else (row, None)


def _check_cells(cells: list[str], columns: tuple[str, ...]) -> str | None:
    if len(cells) != len(columns):
        return f"it has {len(cells)} values, the header {len(columns)} columns"
    text = "".join(cells)
    if _UNDECODED.search(text):
        return "it is not UTF-8"
    if any(character < " " or character == "\x7f" for character in text):
        return "it has a control character in it"
    return None


def _check_device(row: Row) -> str | None:
    if not row.device:
        return "the device has no name"
    if len(os.fsencode(row.file_name)) > _MAX_NAME:
        return f"the device's name is too long: {row.device[:40]!r}..."
    return None
