from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from nodemcu_tls_build.sources import (
    Archive,
    Lock,
    SourceTree,
    find_source,
    load_lock,
)

LUA = load_lock().get("lua", "5.1.5")
LUA_ARCHIVE = LUA.archives[0]
WRONG = "0" * 64


def find_lua(
    cache_dir: Path,
    archive: Archive = LUA_ARCHIVE,
    archive_dir: Path | None = None,
    report: Callable[[str], None] = print,
) -> SourceTree:
    lock = Lock((dataclasses.replace(LUA, archives=(archive,)),))
    return find_source(
        "lua", "5.1.5", archive_dir=archive_dir, cache_dir=cache_dir, report=report, lock=lock
    )


def lua_at(url: str | None, sha256: str = LUA_ARCHIVE.sha256) -> Archive:
    return Archive(LUA_ARCHIVE.names, sha256, url=url)


def list_leftovers(cache_dir: Path) -> list[Path]:
    return [*cache_dir.glob("*/.fetch-*"), *cache_dir.glob("*/.unpack-*")]
