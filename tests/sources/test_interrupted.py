from __future__ import annotations

import fcntl
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from loopback import Server
from lua_source import LUA_ARCHIVE, find_lua, list_leftovers, lua_at

from nodemcu_tls_build.sources import (
    find_source,
)

# Finds one source in a process of its own, with what has to be kept from the network taken out.
_FIND = """
import sys
from dataclasses import replace
from pathlib import Path
from nodemcu_tls_build import sources
from nodemcu_tls_build.errors import OutputError
name, version, archive_dir, cache_dir, url = sys.argv[1:]
source = sources.load_lock().get(name, version)
archives = tuple(replace(a, apt=None, url=url or None) for a in source.archives)
try:
    tree = sources.find_source(
        name, version,
        archive_dir=Path(archive_dir) if archive_dir else None, cache_dir=Path(cache_dir),
        report=lambda line: print(line, flush=True),
        lock=sources.Lock((replace(source, archives=archives),)),
    )
    print("tree", tree.path)
except OutputError as error:
    print("OutputError", error.message)
"""


def _start_find(
    cache_dir: Path, *, archive: Path | None = None, url: str = "", name: str = "lua-5.1.5"
) -> subprocess.Popen[str]:
    archive_dir = str(archive.parent) if archive else ""
    args = [*name.split("-"), archive_dir, str(cache_dir), url]
    return subprocess.Popen(
        [sys.executable, "-B", "-c", _FIND, *args], stdout=subprocess.PIPE, text=True
    )


def _kill_when(child: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    """Kill the child without a chance to tidy up, as soon as something is so."""
    while not ready():
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    child.kill()
    child.communicate()
    assert child.returncode == -signal.SIGKILL


def test_a_run_killed_in_mid_unpack_leaves_nothing_that_counts(
    source_archives: dict[str, Path], tmp_path: Path
) -> None:
    archive = source_archives["mbedtls-3.6.6"]
    child = _start_find(tmp_path, archive=archive, name="mbedtls-3.6.6")
    _kill_when(child, lambda: any(tmp_path.glob("src/.unpack-*/*/*/*")))
    assert len(list_leftovers(tmp_path)) == 1
    assert not list(tmp_path.glob("src/mbedtls-*"))
    tree = find_source(
        "mbedtls", "3.6.6", archive_dir=archive.parent, cache_dir=tmp_path, report=print
    )
    assert (tree.path / "library" / "x509write_csr.c").stat().st_size
    assert list_leftovers(tmp_path) == []


def test_a_run_killed_in_mid_download_leaves_nothing_that_counts(
    lua_dir: Path, tmp_path: Path, server: Server
) -> None:
    server.bodies["/lua"] = (lua_dir / LUA_ARCHIVE.names[0]).read_bytes()
    server.sent["/lua"] = 150_000
    server.stall.clear()
    child = _start_find(tmp_path, url=server.url("/lua"))
    _kill_when(child, lambda: any(p.stat().st_size for p in tmp_path.glob("*/.fetch-*/*")))
    server.stall.set()
    assert len(list_leftovers(tmp_path)) == 1
    del server.sent["/lua"]
    assert find_lua(tmp_path, lua_at(server.url("/lua"))).path.is_dir()
    assert list_leftovers(tmp_path) == []


def test_a_full_disk_in_mid_unpack(lua_dir: Path, tmp_path: Path) -> None:
    args = ["lua", "5.1.5", str(lua_dir), str(tmp_path / "cache"), ""]
    ignore = "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    result = subprocess.run(
        [sys.executable, "-B", "-c", ignore + _FIND, *args],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "OutputError cannot write" in result.stdout
    assert "File too large" in result.stdout
    assert list((tmp_path / "cache" / "src").iterdir()) == []


def test_several_runs_at_once_agree(source_archives: dict[str, Path], tmp_path: Path) -> None:
    archive = source_archives["lwip-2.1.3"]
    children = [_start_find(tmp_path, archive=archive, name="lwip-2.1.3") for _ in range(4)]
    outputs = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0] * 4
    assert sum(output.count("unpack ") for output in outputs) == 1
    assert len({output.splitlines()[-1] for output in outputs}) == 1
    assert len(list((tmp_path / "src").iterdir())) == 1


def test_a_run_waits_for_another_one_and_says_so(lua_dir: Path, tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        child = _start_find(tmp_path, archive=lua_dir / LUA_ARCHIVE.names[0])
        assert child.stdout is not None
        assert child.stdout.readline() == "wait for another run to finish with the cache\n"
    assert "tree " in child.communicate()[0]
