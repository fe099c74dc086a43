"""Options and fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodemcu_tls_build.sources import default_cache_dir, find_source, load_lock

_GOLDEN_DIR = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )


@pytest.fixture
def check_golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a generated file with the golden one of that name."""

    def check(name: str, text: str) -> None:
        path = _GOLDEN_DIR / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert text == path.read_text()

    return check


@pytest.fixture(scope="session")
def source_archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return every pinned archive by `name-version`: the user's, the cache's, or a fetched one."""
    cache_dir = tmp_path_factory.mktemp("cache")
    dirs = [default_cache_dir() / "archives", cache_dir / "archives"]
    if "NODEMCU_TLS_SOURCES" in os.environ:
        dirs.insert(0, Path(os.environ["NODEMCU_TLS_SOURCES"]))
    archives = {}
    for source in load_lock().sources:
        paths = [directory / name for directory in dirs for name in source.file_names]
        if not any(path.exists() for path in paths):
            find_source(
                source.name, source.version, archive_dir=None, cache_dir=cache_dir, report=print
            )
        archives[f"{source.name}-{source.version}"] = next(p for p in paths if p.exists())
    return archives


@pytest.fixture
def unprivileged() -> Callable[[], object]:
    """Return a context in which file permissions count, for the superuser too."""

    @contextmanager
    def drop() -> Iterator[None]:
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(user)

    return drop
