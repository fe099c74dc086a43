from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from loopback import Server
from lua_source import LUA_ARCHIVE, find_lua, list_leftovers, lua_at

from nodemcu_tls_build.errors import OutputError, SourceError
from nodemcu_tls_build.sources import (
    SourceTree,
    find_source,
)


@pytest.mark.parametrize(
    ("name", "version", "members"),
    [
        ("mbedtls", "3.6.6", ["LICENSE", "include/mbedtls/ssl.h", "library/ssl_tls12_client.c"]),
        ("mbedtls", "2.28.3", ["LICENSE", "include/mbedtls/ssl.h", "library/ssl_cli.c"]),
        ("mbedtls", "2.16.3", ["LICENSE", "include/mbedtls/ssl.h", "library/ssl_cli.c"]),
        ("lwip", "2.1.3", ["COPYING", "src/include/lwip/tcp.h", "src/core/tcp_in.c"]),
        ("lua", "5.1.5", ["COPYRIGHT", "src/lua.h", "src/lvm.c"]),
    ],
)
def test_every_pinned_archive_is_found_and_unpacked(
    source_archives: dict[str, Path], tmp_path: Path, name: str, version: str, members: list[str]
) -> None:
    lines: list[str] = []

    def find(archive_dir: Path | None) -> SourceTree:
        return find_source(
            name, version, archive_dir=archive_dir, cache_dir=tmp_path, report=lines.append
        )

    archive = source_archives[f"{name}-{version}"]
    tree = find(archive.parent)
    assert (tree.name, tree.version) == (name, version)
    assert tree.path.parent == tmp_path / "src"
    assert all((tree.path / member).stat().st_size for member in members)
    assert not (tree.path / "tests").exists()
    assert lines == [f"unpack {archive.name}"]
    assert find(archive.parent) == find(None) == tree
    assert len(lines) == 1
    assert list_leftovers(tmp_path) == []


def test_a_tree_unpacked_anew_is_not_newer(lua_dir: Path, tmp_path: Path) -> None:
    first = find_lua(tmp_path / "a", archive_dir=lua_dir).path / "src" / "lua.h"
    second = find_lua(tmp_path / "b", archive_dir=lua_dir).path / "src" / "lua.h"
    assert first.stat().st_mtime == second.stat().st_mtime < 1_400_000_000


def test_upstream_s_file_name_will_do(lua_dir: Path, tmp_path: Path) -> None:
    (lua_dir / LUA_ARCHIVE.names[0]).rename(lua_dir / "lua-5.1.5.tar.gz")
    assert find_lua(tmp_path, archive_dir=lua_dir).sha256 == LUA_ARCHIVE.sha256


@pytest.mark.parametrize("name", ["none", "file"])
def test_the_directory_named_by_the_user_must_exist(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match=f"{name} does not exist") as caught:
        find_lua(tmp_path / "cache", archive_dir=tmp_path / name)
    assert "NODEMCU_TLS_SOURCES" in (caught.value.hint or "")
    assert not (tmp_path / "cache").exists()


def test_a_wrong_archive_of_the_user_is_refused_and_kept(lua_dir: Path, tmp_path: Path) -> None:
    path = lua_dir / LUA_ARCHIVE.names[0]
    path.write_bytes(b"something else")
    found = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(SourceError) as caught:
        find_lua(tmp_path / "cache", archive_dir=lua_dir)
    assert caught.value.message == (
        f"wrong hash of {path}: expected SHA-256 {LUA_ARCHIVE.sha256}, found {found}"
    )
    assert "left as it is" in (caught.value.hint or "")
    assert path.read_bytes() == b"something else"
    assert not (tmp_path / "cache").exists()


def test_the_user_s_archive_goes_before_a_tree_in_the_cache(lua_dir: Path, tmp_path: Path) -> None:
    find_lua(tmp_path, archive_dir=lua_dir)
    (lua_dir / LUA_ARCHIVE.names[0]).write_bytes(b"")
    with pytest.raises(SourceError, match="wrong hash"):
        find_lua(tmp_path, archive_dir=lua_dir)


def test_a_truncated_archive_in_the_cache_is_deleted(
    lua_dir: Path, tmp_path: Path, server: Server
) -> None:
    content = (lua_dir / LUA_ARCHIVE.names[0]).read_bytes()
    cached = tmp_path / "archives" / LUA_ARCHIVE.names[0]
    cached.parent.mkdir()
    cached.write_bytes(content[:-1])
    server.bodies["/lua"] = content
    with pytest.raises(SourceError, match="wrong hash") as caught:
        find_lua(tmp_path, lua_at(server.url("/lua")))
    assert str(cached) in caught.value.message
    assert "deleted" in (caught.value.hint or "")
    assert not cached.exists()
    assert find_lua(tmp_path, lua_at(server.url("/lua"))).path.is_dir()
    assert cached.read_bytes() == content


def test_an_archive_that_cannot_be_read(lua_dir: Path, tmp_path: Path) -> None:
    path = lua_dir / LUA_ARCHIVE.names[0]
    path.unlink()
    path.mkdir()
    with pytest.raises(SourceError, match=f"cannot read {path}: Is a directory"):
        find_lua(tmp_path, archive_dir=lua_dir)


def test_a_cache_that_cannot_be_written(lua_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(OutputError, match="cannot write the cache") as caught:
        find_lua(tmp_path / "cache", archive_dir=lua_dir)
    assert "XDG_CACHE_HOME" in (caught.value.hint or "")
