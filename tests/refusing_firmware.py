"""The firmware of a build, linked once more so that it refuses allocations."""

from __future__ import annotations

from pathlib import Path

from relinked_firmware import relink

WARM_UP = 4  # connections with nothing refused
_WRAPPED = (
    *("malloc", "calloc", "realloc"),
    *("tls_conn_open", "tls_conn_close", "board_chip_id"),
)


def link_refusing(whole_build: Path, directory: Path, **defines: int) -> Path:
    """Link a whole build's objects with failing_malloc.c and return a build of it."""
    defines = {"WARM_UP": WARM_UP, **defines}
    return relink(whole_build, directory, "failing_malloc.c", wrapped=_WRAPPED, **defines)
