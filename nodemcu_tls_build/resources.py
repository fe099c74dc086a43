"""Find the templates and the C sources, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def templates_dir() -> Path:
    """Return the directory of the Jinja templates."""
    return _data_dir("templates")


def app_dir() -> Path:
    """Return the directory of the firmware's own C sources."""
    return _data_dir("app")


def _data_dir(name: str) -> Path:
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
