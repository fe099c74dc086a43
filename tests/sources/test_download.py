from __future__ import annotations

import dataclasses
import hashlib
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from loopback import Server
from lua_source import LUA, LUA_ARCHIVE, find_lua, list_leftovers, lua_at

from nodemcu_tls_build.errors import SourceError
from nodemcu_tls_build.sources import (
    Lock,
    find_source,
)


def test_a_download_is_kept_for_the_next_time(
    lua_dir: Path, tmp_path: Path, server: Server
) -> None:
    server.bodies["/lua"] = (lua_dir / LUA_ARCHIVE.names[0]).read_bytes()
    lines: list[str] = []
    tree = find_lua(tmp_path, lua_at(server.url("/lua")), report=lines.append)
    assert lines[0] == f"fetch lua 5.1.5: {server.url('/lua')}"
    shutil.rmtree(tree.path)
    assert find_lua(tmp_path, lua_at(None)) == tree
    assert list_leftovers(tmp_path) == []


def test_a_wrong_download_is_deleted_and_ends_the_search(tmp_path: Path, server: Server) -> None:
    server.bodies["/lua"] = b"not Lua"
    with pytest.raises(SourceError) as caught:
        find_lua(tmp_path, lua_at(server.url("/lua")))
    assert LUA_ARCHIVE.names[0] in caught.value.message
    assert f"expected SHA-256 {LUA_ARCHIVE.sha256}" in caught.value.message
    assert f"found {hashlib.sha256(b'not Lua').hexdigest()}" in caught.value.message
    assert "was deleted" in (caught.value.hint or "")
    assert list((tmp_path / "archives").iterdir()) == []
    assert not (tmp_path / "src").exists()


def test_a_download_that_fails_says_why(tmp_path: Path, server: Server) -> None:
    server.bodies["/half"] = bytes(100_000)
    server.sent["/half"] = 40_000
    unused = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    unused.server_close()
    for url, reason in (
        (server.url("/none"), "the server answered 404 Not Found"),
        (server.url("/half"), "the download broke off after 40000 of 100000 bytes"),
        (f"http://127.0.0.1:{unused.server_port}/", "Connection refused"),
    ):
        with pytest.raises(SourceError) as caught:
            find_lua(tmp_path, lua_at(url))
        assert reason in caught.value.message
        assert list((tmp_path / "archives").iterdir()) == []


def test_every_place_that_was_tried_is_listed(tmp_path: Path, server: Server) -> None:
    (tmp_path / "mine").mkdir()
    lock = Lock((dataclasses.replace(LUA, archives=(lua_at(server.url("/none")),)),))
    cache_dir = tmp_path / "cache"
    with pytest.raises(SourceError) as caught:
        find_source(
            "lua",
            "5.1.5",
            archive_dir=tmp_path / "mine",
            cache_dir=cache_dir,
            report=print,
            lock=lock,
        )
    assert caught.value.message.splitlines() == [
        "lua 5.1.5 is nowhere to be had:",
        f"  {tmp_path / 'mine'}: no archive of it",
        f"  {cache_dir / 'archives'}: no archive of it",
        f"  {server.url('/none')}: the server answered 404 Not Found",
    ]
    for part in (*LUA_ARCHIVE.names[:1], LUA_ARCHIVE.sha256, "--sources", "NODEMCU_TLS_SOURCES"):
        assert part in (caught.value.hint or "")
