from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback import Server
from lua_source import LUA_ARCHIVE


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    http = Server()
    yield http
    http.close()


@pytest.fixture
def lua_dir(source_archives: dict[str, Path], tmp_path: Path) -> Path:
    """Return a user's directory with Lua's archive in it."""
    directory = tmp_path / "archives of mine"
    directory.mkdir()
    shutil.copy(source_archives["lua-5.1.5"], directory / LUA_ARCHIVE.names[0])
    return directory
