"""Read CSV (RFC 4180) as it comes from spreadsheets and scripts, record by record."""

from __future__ import annotations

import csv
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from nodemcu_tls_build.errors import ConfigError, OutputError
from nodemcu_tls_build.files import open_input

_MAX_FIELD = 4096
_PIECE = 1024 * 1024
_UNDECODED = re.compile("[\udc80-\udcff]")  # as surrogateescape leaves bytes that are no UTF-8


def copy_list(path: Path) -> BinaryIO:
    """Return a copy of the file or pipe that has no name: what it says cannot change any more.

    Raises ConfigError and OutputError.
    """
    try:
        copy = tempfile.TemporaryFile()  # noqa: SIM115 -- whoever gets it closes it
        for piece in _read_pieces(path):
            copy.write(piece)
        copy.flush()
    except OSError as error:
        raise OutputError(
            f"cannot copy {path} to a temporary file: {error.strerror}",
            "Free some space there, or name another directory in TMPDIR.",
        ) from error
    return copy


def read_records(file: BinaryIO) -> Iterator[tuple[list[str], str | None]]:
    """Yield the values of each record from the first on, or what is wrong with its form.

    What follows one that cannot be split into values is not read. What `check_text` says of the
    values is for their user to ask.
    """
    # Of its own, so that it may be closed whenever; only the position is that of all readers.
    descriptor = os.dup(file.fileno())
    with os.fdopen(descriptor, encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        text.seek(0)
        csv.field_size_limit(_MAX_FIELD)
        reader = csv.reader(text, strict=True)
        while True:
            try:
                values = [value.strip() for value in next(reader)]
            except StopIteration:
                return
            except csv.Error as error:
                yield [], _explain(error)
                return  # where the next one begins is not known
            yield values, None


def check_text(text: str) -> str | None:
    """Return why a value cannot be used, to be said behind its name."""
    if text.isprintable():
        return None
    if _UNDECODED.search(text):
        return "is not UTF-8"
    stray = next(character for character in text if not character.isprintable())
    return f"has a character in it that cannot be printed, U+{ord(stray):04X}"


def _read_pieces(path: Path) -> Iterator[bytes]:
    try:
        with open_input(path, allow_pipe=True) as source:
            while piece := source.read(_PIECE):
                yield piece
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Check the path.") from error


def _explain(error: csv.Error) -> str:
    reason = str(error)
    if reason == "unexpected end of data":
        return "a quote in it is never closed"
    if reason.startswith("field larger than"):
        return f"a value has more than {_MAX_FIELD:,} characters: is a quote not closed?"
    if "expected after" in reason:
        return "a value has something behind its closing quote"
    return reason
