from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import io
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nodemcu_tls_build.errors import OutputError, SourceError
from nodemcu_tls_build.sources import (
    AptOrigin,
    Archive,
    Lock,
    Source,
    SourceTree,
    default_cache_dir,
    find_source,
    load_lock,
)
from nodemcu_tls_build.sources.apt_entries import convert_list, convert_stanzas

_LUA = load_lock().get("lua", "5.1.5")
_LUA_ARCHIVE = _LUA.archives[0]
_WRONG = "0" * 64

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


class Server:
    """Serve what is in `bodies` on the loopback; a body ends early where `sent` says so."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.sent: dict[str, int] = {}
        self.stall = threading.Event()
        self.stall.set()  # cleared: a body that ends early is followed by silence, not by an end
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = server.bodies.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: server.sent.get(self.path, len(body))])
                self.wfile.flush()
                server.stall.wait()

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._http.server_port}{path}"

    def close(self) -> None:
        self.stall.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


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
    shutil.copy(source_archives["lua-5.1.5"], directory / _LUA_ARCHIVE.names[0])
    return directory


def _find_lua(
    cache_dir: Path,
    archive: Archive = _LUA_ARCHIVE,
    archive_dir: Path | None = None,
    report: Callable[[str], None] = print,
) -> SourceTree:
    lock = Lock((dataclasses.replace(_LUA, archives=(archive,)),))
    return find_source(
        "lua", "5.1.5", archive_dir=archive_dir, cache_dir=cache_dir, report=report, lock=lock
    )


def _lua_at(url: str | None, sha256: str = _LUA_ARCHIVE.sha256) -> Archive:
    return Archive(_LUA_ARCHIVE.names, sha256, url=url)


def _leftovers(cache_dir: Path) -> list[Path]:
    return [*cache_dir.glob("*/.fetch-*"), *cache_dir.glob("*/.unpack-*")]


# The lock file


def test_the_lock_pins_the_four_sources() -> None:
    lock = load_lock()
    assert [(source.name, source.version) for source in lock.sources] == [
        ("mbedtls", "3.6.6"),
        ("mbedtls", "2.28.3"),
        ("lwip", "2.1.3"),
        ("lua", "5.1.5"),
    ]
    for source in lock.sources:
        assert any(archive.apt for archive in source.archives)
        assert len(set(source.file_names)) == len(source.file_names)
    with pytest.raises(SourceError, match=r"no pinned source mbedtls 2\.16\.3") as caught:
        lock.get("mbedtls", "2.16.3")
    assert "mbedtls 3.6.6, mbedtls 2.28.3, lwip 2.1.3, lua 5.1.5" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("https://www", "http://www", "not an https URL"),
        ("2640fc", "2640FC", "not a SHA-256"),
        ('"lua5.1_5', '"../lua5.1_5', "not file names"),
        ('sha256 = "26', 'sha = "26', "sha256"),
        ("[[source]]", "[source", "line"),
        ("[[source]]", "[[other]]", "not a usable lock file"),
    ],
)
def test_a_bad_lock_file_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = (Path(__file__).parent.parent / "nodemcu_tls_build" / "sources.lock").read_text()
    assert old in text
    (tmp_path / "lock").write_text(text.replace(old, new))
    with pytest.raises(SourceError, match=problem):
        load_lock(tmp_path / "lock")


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "nodemcu-tls"
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert default_cache_dir() == tmp_path / ".cache" / "nodemcu-tls"


# The user's archives and the cache


@pytest.mark.parametrize(
    ("name", "version", "members"),
    [
        ("mbedtls", "3.6.6", ["LICENSE", "include/mbedtls/ssl.h", "library/ssl_tls12_client.c"]),
        ("mbedtls", "2.28.3", ["LICENSE", "include/mbedtls/ssl.h", "library/ssl_cli.c"]),
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
    assert _leftovers(tmp_path) == []


def test_a_tree_unpacked_anew_is_not_newer(lua_dir: Path, tmp_path: Path) -> None:
    first = _find_lua(tmp_path / "a", archive_dir=lua_dir).path / "src" / "lua.h"
    second = _find_lua(tmp_path / "b", archive_dir=lua_dir).path / "src" / "lua.h"
    assert first.stat().st_mtime == second.stat().st_mtime < 1_400_000_000


def test_upstream_s_file_name_will_do(lua_dir: Path, tmp_path: Path) -> None:
    (lua_dir / _LUA_ARCHIVE.names[0]).rename(lua_dir / "lua-5.1.5.tar.gz")
    assert _find_lua(tmp_path, archive_dir=lua_dir).sha256 == _LUA_ARCHIVE.sha256


@pytest.mark.parametrize("name", ["none", "file"])
def test_the_directory_named_by_the_user_must_exist(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match=f"{name} does not exist") as caught:
        _find_lua(tmp_path / "cache", archive_dir=tmp_path / name)
    assert "NODEMCU_TLS_SOURCES" in (caught.value.hint or "")
    assert not (tmp_path / "cache").exists()


def test_a_wrong_archive_of_the_user_is_refused_and_kept(lua_dir: Path, tmp_path: Path) -> None:
    path = lua_dir / _LUA_ARCHIVE.names[0]
    path.write_bytes(b"something else")
    found = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(SourceError) as caught:
        _find_lua(tmp_path / "cache", archive_dir=lua_dir)
    assert caught.value.message == (
        f"wrong hash of {path}: expected SHA-256 {_LUA_ARCHIVE.sha256}, found {found}"
    )
    assert "left as it is" in (caught.value.hint or "")
    assert path.read_bytes() == b"something else"
    assert not (tmp_path / "cache").exists()


def test_the_user_s_archive_goes_before_a_tree_in_the_cache(lua_dir: Path, tmp_path: Path) -> None:
    _find_lua(tmp_path, archive_dir=lua_dir)
    (lua_dir / _LUA_ARCHIVE.names[0]).write_bytes(b"")
    with pytest.raises(SourceError, match="wrong hash"):
        _find_lua(tmp_path, archive_dir=lua_dir)


def test_a_truncated_archive_in_the_cache_is_deleted(
    lua_dir: Path, tmp_path: Path, server: Server
) -> None:
    content = (lua_dir / _LUA_ARCHIVE.names[0]).read_bytes()
    cached = tmp_path / "archives" / _LUA_ARCHIVE.names[0]
    cached.parent.mkdir()
    cached.write_bytes(content[:-1])
    server.bodies["/lua"] = content
    with pytest.raises(SourceError, match="wrong hash") as caught:
        _find_lua(tmp_path, _lua_at(server.url("/lua")))
    assert str(cached) in caught.value.message
    assert "deleted" in (caught.value.hint or "")
    assert not cached.exists()
    assert _find_lua(tmp_path, _lua_at(server.url("/lua"))).path.is_dir()
    assert cached.read_bytes() == content


def test_an_archive_that_cannot_be_read(lua_dir: Path, tmp_path: Path) -> None:
    path = lua_dir / _LUA_ARCHIVE.names[0]
    path.unlink()
    path.mkdir()
    with pytest.raises(SourceError, match=f"cannot read {path}: Is a directory"):
        _find_lua(tmp_path, archive_dir=lua_dir)


def test_a_cache_that_cannot_be_written(lua_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        _find_lua(tmp_path / "cache", archive_dir=lua_dir)


# Upstream


def test_a_download_is_kept_for_the_next_time(
    lua_dir: Path, tmp_path: Path, server: Server
) -> None:
    server.bodies["/lua"] = (lua_dir / _LUA_ARCHIVE.names[0]).read_bytes()
    lines: list[str] = []
    tree = _find_lua(tmp_path, _lua_at(server.url("/lua")), report=lines.append)
    assert lines[0] == f"fetch lua 5.1.5: {server.url('/lua')}"
    shutil.rmtree(tree.path)
    assert _find_lua(tmp_path, _lua_at(None)) == tree
    assert _leftovers(tmp_path) == []


def test_a_wrong_download_is_deleted_and_ends_the_search(tmp_path: Path, server: Server) -> None:
    server.bodies["/lua"] = b"not Lua"
    with pytest.raises(SourceError) as caught:
        _find_lua(tmp_path, _lua_at(server.url("/lua")))
    assert _LUA_ARCHIVE.names[0] in caught.value.message
    assert f"expected SHA-256 {_LUA_ARCHIVE.sha256}" in caught.value.message
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
            _find_lua(tmp_path, _lua_at(url))
        assert reason in caught.value.message
        assert list((tmp_path / "archives").iterdir()) == []


def test_every_place_that_was_tried_is_listed(tmp_path: Path, server: Server) -> None:
    (tmp_path / "mine").mkdir()
    lock = Lock((dataclasses.replace(_LUA, archives=(_lua_at(server.url("/none")),)),))
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
    for part in (*_LUA_ARCHIVE.names[:1], _LUA_ARCHIVE.sha256, "--sources", "NODEMCU_TLS_SOURCES"):
        assert part in (caught.value.hint or "")


# apt


@pytest.fixture(scope="module")
def apt_cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache directory whose package lists the tests of apt share."""
    return tmp_path_factory.mktemp("apt")


def test_apt_gets_an_archive_and_the_machine_s_apt_stays_as_it_is(
    apt_cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = tmp_path / "hook"
    config = tmp_path / "apt.conf"
    config.write_text(f'APT::Update::Post-Invoke {{ "touch {hook}"; }};\n')
    monkeypatch.setenv("APT_CONFIG", str(config))
    before = _list_state(Path("/var/lib/apt/lists"))
    tree = _find_lua(apt_cache_dir, dataclasses.replace(_LUA_ARCHIVE, url=None))
    assert (tree.path / "src" / "lua.h").is_file()
    assert (apt_cache_dir / "archives" / _LUA_ARCHIVE.names[0]).is_file()
    assert _leftovers(apt_cache_dir) == []
    assert not hook.exists()
    assert _list_state(Path("/var/lib/apt/lists")) == before


def test_a_wrong_archive_from_apt_is_deleted_and_ends_the_search(
    apt_cache_dir: Path, server: Server
) -> None:
    (apt_cache_dir / "archives" / _LUA_ARCHIVE.names[0]).unlink(missing_ok=True)
    archive = dataclasses.replace(_lua_at(server.url("/lua"), _WRONG), apt=_LUA_ARCHIVE.apt)
    with pytest.raises(SourceError) as caught:
        _find_lua(apt_cache_dir, archive)
    assert f"expected SHA-256 {_WRONG}, found {_LUA_ARCHIVE.sha256}" in caught.value.message
    assert "apt-get source lua5.1 (bookworm) was deleted" in (caught.value.hint or "")
    assert list((apt_cache_dir / "archives").iterdir()) == []


def test_apt_has_other_versions_only(apt_cache_dir: Path) -> None:
    archive = Archive(("lua5.1_5.1.0.orig.tar.gz",), _WRONG, apt=_LUA_ARCHIVE.apt)
    with pytest.raises(SourceError) as caught:
        _find_lua(apt_cache_dir, archive)
    assert "apt-get source lua5.1 (bookworm): bookworm has 5.1.5" in caught.value.message
    assert "not lua5.1_5.1.0.orig.tar.gz" in caught.value.message


def test_apt_complains_of_a_suite_that_is_not_there(tmp_path: Path) -> None:
    archive = Archive(("x.tar",), _WRONG, apt=AptOrigin("lua5.1", "no-such-suite"))
    with pytest.raises(SourceError, match="no-such-suite") as caught:
        _find_lua(tmp_path, archive)
    assert "does not have" in caught.value.message


def test_a_machine_without_apt_or_without_debian_s_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = dataclasses.replace(_LUA_ARCHIVE, url=None)
    config = tmp_path / "apt.conf"
    config.write_text(f'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "{tmp_path}";\n')
    monkeypatch.setenv("APT_CONFIG", str(config))
    with pytest.raises(SourceError, match="no Debian entries"):
        _find_lua(tmp_path / "cache", archive)
    config.write_text("this is no configuration {\n")
    with pytest.raises(SourceError, match="Syntax error"):
        _find_lua(tmp_path / "cache", archive)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="there is no apt-get on this machine"):
        _find_lua(tmp_path / "cache", archive)


def _list_state(directory: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in directory.glob("*"))


def test_stanzas_are_turned_into_source_entries_of_the_suite() -> None:
    text = """\
# Debian
Types: deb deb-src
URIs: http://mirror.example/debian
# a comment between two fields
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdA
 -----END PGP PUBLIC KEY BLOCK-----

types: deb
uris: http://mirror.example/security
suites: stable-security
components: main
check-valid-until: no
\t
Types: deb
URIs: http://other.example/
Suites: bookworm-pgdg nodistro
Components: main

Enabled: no
Types: deb
URIs: http://disabled.example/
Suites: bookworm
Components: main

Types: deb
URIs: http://third.example/
Suites: bookworm
Components: stable
"""
    assert (
        convert_stanzas(text, "trixie")
        == """\
types: deb-src
uris: http://mirror.example/debian
suites: trixie
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdA
 -----END PGP PUBLIC KEY BLOCK-----

types: deb-src
uris: http://mirror.example/security
suites: trixie-security
components: main
check-valid-until: no

"""
    )


def test_lines_are_turned_into_source_entries_of_the_suite() -> None:
    text = """\
# deb http://commented.example/debian bookworm main
deb cdrom:[Debian GNU/Linux 12]/ bookworm main
deb http://mirror.example/debian bookworm main contrib # the mirror
deb-src http://mirror.example/debian bookworm main
deb [ arch=amd64 signed-by=/a/key.gpg ] http://mirror.example/security bookworm-security main
deb http://mirror.example/debian bookworm-updates main
deb http://other.example/apt cloud-sdk-bookworm main
deb http://flat.example/ ./
"""
    assert (
        convert_list(text, "trixie")
        == """\
deb-src http://mirror.example/debian trixie main
deb-src [ arch=amd64 signed-by=/a/key.gpg ] http://mirror.example/security trixie-security main
"""
    )


# Unpacking


def _make_archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def _find_made(path: Path, cache_dir: Path) -> SourceTree:
    """Unpack an archive of the test's own, pinned as it is."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    source = Source("made", "1", ("src", "tests"), (Archive((path.name,), sha256),))
    return find_source(
        "made",
        "1",
        archive_dir=path.parent,
        cache_dir=cache_dir,
        report=print,
        lock=Lock((source,)),
    )


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (_member("/outside"), "an absolute path"),
        (_member("../outside"), "a path out of"),
        (_member("made/src/../../../outside"), "a path out of"),
        (_member("made/other/../../outside"), "a path out of"),
        (_member("made/src/x", tarfile.SYMTYPE, "/etc"), "a link to /etc"),
        (_member("made/src/x", tarfile.SYMTYPE, "../../outside"), r"a link to \.\./\.\./outside"),
        (_member("made/src/x", tarfile.LNKTYPE, "/etc/passwd"), "a link to /etc/passwd"),
        (_member("made/src/x", tarfile.CHRTYPE), "neither a file nor a directory"),
        (_member("made/src/x", tarfile.FIFOTYPE), "neither a file nor a directory"),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else "",
)
def test_a_member_that_leads_outside_is_refused(
    tmp_path: Path, member: tarfile.TarInfo, reason: str
) -> None:
    archive = tmp_path / "in" / "made.tar.gz"
    archive.parent.mkdir()
    content = b"" if member.type != tarfile.REGTYPE else b"harm"
    _make_archive(archive, (_member("made/src/good.c"), b"int a;\n"), (member, content))
    with pytest.raises(SourceError, match=reason) as caught:
        _find_made(archive, tmp_path / "cache")
    assert "made.tar.gz" in caught.value.message
    assert member.name in caught.value.message
    assert list((tmp_path / "cache" / "src").iterdir()) == []
    assert not list(tmp_path.rglob("outside"))
    assert not Path("/outside").exists()


def test_only_what_is_listed_is_unpacked_below_one_top_directory(tmp_path: Path) -> None:
    archive = tmp_path / "in" / "made.tar.gz"
    archive.parent.mkdir()
    _make_archive(
        archive,
        (_member("./"), b""),
        (_member("./top/src/deep/a.c"), b"a"),
        (_member("./top/docs/b.c"), b"b"),
        (_member("./top/srcs/c.c"), b"c"),
    )
    tree = _find_made(archive, tmp_path / "cache")
    files = [path.relative_to(tree.path) for path in tree.path.rglob("*") if path.is_file()]
    assert files == [Path("src/deep/a.c")]

    _make_archive(archive, (_member("a/src/x"), b"x"), (_member("b/src/x"), b"x"))
    with pytest.raises(SourceError, match="more than one top directory"):
        _find_made(archive, tmp_path / "cache")
    _make_archive(archive, (_member("a/docs/x"), b"x"))
    with pytest.raises(SourceError, match="has none of: src, tests"):
        _find_made(archive, tmp_path / "cache")


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_damaged_archive_is_named(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / "in" / f"made.tar.{kind}"
    archive.parent.mkdir()
    random = hashlib.shake_256(b"noise").digest(200_000)
    with tarfile.open(archive, f"w:{kind}") as tar:  # type: ignore[call-overload]
        member = _member("made/src/a.c")
        member.size = len(random)
        tar.addfile(member, io.BytesIO(random))
    whole = archive.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"not an archive", b""):
        archive.write_bytes(damaged)
        with pytest.raises(SourceError, match=f"made.tar.{kind} is damaged"):
            _find_made(archive, tmp_path / "cache")
    assert list((tmp_path / "cache" / "src").iterdir()) == []


# Interruptions and company


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
    assert len(_leftovers(tmp_path)) == 1
    assert not list(tmp_path.glob("src/mbedtls-*"))
    tree = find_source(
        "mbedtls", "3.6.6", archive_dir=archive.parent, cache_dir=tmp_path, report=print
    )
    assert (tree.path / "library" / "x509write_csr.c").stat().st_size
    assert _leftovers(tmp_path) == []


def test_a_run_killed_in_mid_download_leaves_nothing_that_counts(
    lua_dir: Path, tmp_path: Path, server: Server
) -> None:
    server.bodies["/lua"] = (lua_dir / _LUA_ARCHIVE.names[0]).read_bytes()
    server.sent["/lua"] = 150_000
    server.stall.clear()
    child = _start_find(tmp_path, url=server.url("/lua"))
    _kill_when(child, lambda: any(p.stat().st_size for p in tmp_path.glob("*/.fetch-*/*")))
    server.stall.set()
    assert len(_leftovers(tmp_path)) == 1
    del server.sent["/lua"]
    assert _find_lua(tmp_path, _lua_at(server.url("/lua"))).path.is_dir()
    assert _leftovers(tmp_path) == []


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
        child = _start_find(tmp_path, archive=lua_dir / _LUA_ARCHIVE.names[0])
        assert child.stdout is not None
        assert child.stdout.readline() == "wait for another run to finish with the cache\n"
    assert "tree " in child.communicate()[0]
