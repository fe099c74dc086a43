"""Issue a fleet's certificates: those that the manifest does not tell of yet."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from nodemcu_tls_build.errors import OutputError
from nodemcu_tls_build.files import explain_write_error, make_directory, try_lock
from nodemcu_tls_build.fleet.compare import count_missing
from nodemcu_tls_build.fleet.make import CERTIFICATES, STORES, Made, Recipe, make_devices
from nodemcu_tls_build.fleet.manifest import MANIFEST, Manifest
from nodemcu_tls_build.fleet.options import check_options, keep_options
from nodemcu_tls_build.fleet.table import Row, Table
from nodemcu_tls_build.fleet.workers import run_workers

_CHUNK = 32  # devices that a worker makes at once
_BATCH = 512  # lines that go into the manifest at once
_BATCH_TIME = 1.0  # seconds between two batches
_LOCK_TIME = 5.0  # seconds for the workers of a run that was killed to end
_LOCK_STEP = 0.05

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class FleetResult:
    """How many devices were issued a certificate, and how many had theirs already.

    `not_after` is when the new ones end, `is_cut` whether that is because their issuer's does.
    """

    directory: Path
    issued: int
    kept: int
    not_after: datetime | None
    is_cut: bool

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        manifest = self.directory / MANIFEST
        return {
            "out": str(self.directory),
            "manifest": str(manifest),
            "issued": self.issued,
            "kept": self.kept,
            "not_after": self.not_after and self.not_after.isoformat(),
            "ends_with_issuer": self.is_cut,
        }


def issue_fleet(recipe: Recipe, table: Table, *, jobs: int, report: Report) -> FleetResult:
    """Make what each device of the table gets that has not got it yet.

    `report` is told how many of how many are done. Whenever this ends, running it again goes on.
    Raises OutputError, and ConfigError with everything that does not go with earlier runs.
    """
    directory = recipe.directory
    with _hold(directory):
        check_options(directory, recipe.options)
        with _make_subdirectories(directory), Manifest(directory) as manifest:
            count, adopted = _issue(recipe, table, manifest, jobs, report)
    issued = count - adopted
    not_after = recipe.issuer.not_after if issued else None
    is_cut = bool(issued) and recipe.issuer.is_cut
    return FleetResult(directory, issued, table.count - issued, not_after, is_cut)


def _issue(
    recipe: Recipe, table: Table, manifest: Manifest, jobs: int, report: Report
) -> tuple[int, int]:
    """Issue what is missing; return how many devices it was, and how many files were there."""
    adopted = 0
    with _remove_parts(recipe.directory, manifest):
        count = count_missing(recipe, table, manifest)
        keep_options(recipe.directory, recipe.options)
        report(0, count)
        chunks = _cut(row for row in table.rows() if row.device not in manifest.devices)
        workers = max(1, min(jobs, -(-count // _CHUNK)))
        if count:
            adopted = _run(recipe, manifest, chunks, workers, lambda done: report(done, count))
    return count, adopted


def _run(
    recipe: Recipe,
    manifest: Manifest,
    chunks: Iterator[list[Row]],
    jobs: int,
    report: Callable[[int], None],
) -> int:
    """Make the rows, and put them into the manifest; return how many files were there already."""
    batch: list[Made] = []
    done = adopted = 0
    due = time.monotonic() + _BATCH_TIME

    def work(rows: list[Row]) -> list[Made]:
        return _work(recipe, rows)

    with run_workers(work, jobs) as workers:
        try:
            for answer in workers.map(chunks):
                batch += answer
                done += len(answer)
                adopted += sum(made.adopted for made in answer)
                if len(batch) >= _BATCH or time.monotonic() >= due:
                    _put(manifest, batch)
                    due = time.monotonic() + _BATCH_TIME
                report(done)
        finally:
            _put(manifest, batch)
    return adopted


def _put(manifest: Manifest, batch: list[Made]) -> None:
    lines = [made.line for made in batch]
    files = [made.file for made in batch if not made.adopted]
    batch.clear()  # whatever becomes of it: no line is written twice
    try:
        manifest.add(lines, files)
    except OSError as error:
        raise explain_write_error(Path(error.filename or manifest.path), error) from error


def _work(recipe: Recipe, rows: list[Row]) -> list[Made]:
    try:
        return list(make_devices(recipe, rows))
    except OSError as error:
        raise explain_write_error(Path(error.filename or recipe.directory), error) from error
    except ValueError as error:  # a request that has changed
        raise OutputError(f"rows {rows[0].number} to {rows[-1].number}: {error}") from error


def _cut(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


@contextmanager
def _make_subdirectories(directory: Path) -> Iterator[None]:
    for name in (STORES, CERTIFICATES):
        make_directory(directory / name)
    try:
        yield
    finally:
        with suppress(OSError):  # there were no requests
            (directory / CERTIFICATES).rmdir()


@contextmanager
def _remove_parts(directory: Path, manifest: Manifest) -> Iterator[None]:
    """Remove files without a line, so never issued: of a run that was killed, or of this one."""
    _remove(directory)
    try:
        yield
    except BaseException:
        with suppress(OSError, OutputError):  # what went wrong before is what counts
            manifest.settle()
            _remove(directory)
        raise


def _remove(directory: Path) -> None:
    for name in (STORES, CERTIFICATES):
        with os.scandir(directory / name) as entries:
            parts = [e.path for e in entries if e.name.startswith(".") and e.name.endswith(".part")]
        for path in parts:
            Path(path).unlink(missing_ok=True)


@contextmanager
def _hold(directory: Path) -> Iterator[None]:
    """Make the directory and keep others out; workers of a killed run have it until they end."""
    make_directory(directory)
    path = directory / ".lock"
    try:
        file = path.open("a")
    except OSError as error:
        raise explain_write_error(path, error) from error
    with file:
        deadline = time.monotonic() + _LOCK_TIME
        while not try_lock(file):
            if time.monotonic() > deadline:
                raise OutputError(
                    f"another fleet is being issued in {directory}", "Wait for it to end."
                )
            time.sleep(_LOCK_STEP)
        yield
