"""Options and fixtures that several test files share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from emulated import GATEWAY, HOST, World
from locks import hold
from lua_steps import Site, run_site
from native_servers import build_server
from native_tls import NativeTls, make_native_tls
from peers import Peer, Serve, StartPeer, make_tls_context, run_peer, run_s_server
from pki import make_authority, make_pem

from nodemcu_tls_build.build import LWIP_VERSION
from nodemcu_tls_build.sources import default_cache_dir, find_source, load_lock

_GOLDEN_DIR = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )


def pytest_configure() -> None:
    """Give every build of this test run, in whatever process, the time of one day."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    os.environ.setdefault("SOURCE_DATE_EPOCH", str(int(today.timestamp())))


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


@pytest.fixture(scope="session")
def shared_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that all workers of a test run share; `hold` it while changing it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    path = root / "firmware"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture(scope="session")
def build_firmware(shared_dir: Path) -> Callable[[Path | None], Path]:
    """Return a function that builds the default profile with a CA file and returns its directory.

    All builds have one work directory, so only the first compiles it all.
    """

    def build(ca_path: Path | None = None) -> Path:
        build_dir = shared_dir / sha256(ca_path.read_bytes() if ca_path else b"").hexdigest()[:16]
        with hold(shared_dir):
            if not build_dir.exists():
                build_into(shared_dir / "all", *(["--ca", str(ca_path)] if ca_path else []))
                new_dir = shared_dir / "new"
                shutil.copytree(shared_dir / "all", new_dir, ignore=lambda *_: ["work"])
                new_dir.rename(build_dir)
        return build_dir

    return build


def build_into(out_dir: Path, *args: str) -> None:
    """Run a build that must succeed."""
    command = [sys.executable, "-m", "nodemcu_tls_build", "build", "--out", str(out_dir), *args]
    subprocess.run(command, check=True, cwd=out_dir.parent, timeout=900)


@pytest.fixture(scope="session")
def whole_build(shared_dir: Path) -> Path:
    """Return a build of the default profile that has no CA in it, its work directory included."""
    whole_dir = shared_dir / "whole"
    with hold(shared_dir):
        if not whole_dir.exists():
            build_into(shared_dir / "all")
            shutil.copytree(shared_dir / "all", shared_dir / "new")
            (shared_dir / "new").rename(whole_dir)
    return whole_dir


@pytest.fixture(scope="session")
def native_server(shared_dir: Path, source_archives: dict[str, Path]) -> Callable[[str], Path]:
    """Return a function that builds the server on `mbedtls`, `wolfssl` or `bearssl`."""

    def build(library: str) -> Path:
        directory = shared_dir / "servers"
        directory.mkdir(exist_ok=True)
        with hold(directory):
            return build_server(library, directory, source_archives["mbedtls-3.6.6"])

    return build


@pytest.fixture(scope="session")
def build_profile(whole_build: Path) -> Callable[[str], Path]:
    """Return a function that builds the rest of a profile in TOML and returns its directory."""

    def build(settings: str) -> Path:
        shared_dir = whole_build.parent
        build_dir = shared_dir / sha256(settings.encode()).hexdigest()[:16]
        with hold(shared_dir):
            if not build_dir.exists():
                new_dir = shutil.copytree(whole_build, shared_dir / "new")
                profile_path = new_dir / "test.toml"
                profile_path.write_text(f'schema = 1\nname = "test"\n{settings}')
                build_into(new_dir, "--profile", str(profile_path))
                new_dir.rename(build_dir)
        return build_dir

    return build


@pytest.fixture
def own_build(whole_build: Path, tmp_path: Path) -> Path:
    """Return a copy of the whole build, `build` in the test's directory, for the test to change."""
    return shutil.copytree(whole_build, tmp_path / "build")


@pytest.fixture(scope="session")
def firmware(build_firmware: Callable[[Path | None], Path]) -> Path:
    """Return a build of the default profile that has no CA in it."""
    return build_firmware(None)


@pytest.fixture(scope="session", params=["3.6.6", "2.28.3"])
def native_tls(
    request: pytest.FixtureRequest, source_archives: dict[str, Path], shared_dir: Path
) -> NativeTls:
    """Return each mbedTLS, with a server, compiled for this machine under sanitizers."""

    def find(name: str, version: str) -> Path:
        archive = source_archives[f"{name}-{version}"]
        cache_dir = shared_dir / "cache"
        return find_source(
            name, version, archive_dir=archive.parent, cache_dir=cache_dir, report=print
        ).path

    with hold(shared_dir):
        trees = find("mbedtls", request.param), find("lwip", LWIP_VERSION)
        return make_native_tls(request.param, *trees, shared_dir)


@pytest.fixture(scope="session")
def world(
    build_firmware: Callable[[Path | None], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Return an authority, a build that trusts it, and a running server that this build accepts."""
    directory = tmp_path_factory.mktemp("world")
    root = make_authority("ecdsa")
    ca_path = directory / "ca.crt"
    ca_path.write_bytes(make_pem(root.certificate))
    good = root.issue_server("ecdsa", HOST, GATEWAY)
    with run_s_server(good, directory / "good", "-www") as server:
        yield World(root, build_firmware(ca_path), server.port)


@pytest.fixture(scope="session")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return an authority that no build knows, and a server of its."""
    with run_site(make_authority("ecdsa", "One"), tmp_path_factory.mktemp("one")) as site:
        yield site


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return another authority that no build knows, and a server of its."""
    with run_site(make_authority("ecdsa", "Two"), tmp_path_factory.mktemp("two")) as site:
        yield site


@pytest.fixture
def full_port(world: World, tmp_path: Path) -> Iterator[int]:
    """Return the port of a server that resumes no session: relays count its records."""
    identity = world.root.issue_server("ecdsa", HOST)
    options = ("-www", "-no_ticket", "-no_cache", "-no_tls1_3")
    with run_s_server(identity, tmp_path / "full", *options) as server:
        yield server.port


@pytest.fixture(params=["net", "tls"])
def module(request: pytest.FixtureRequest) -> str:
    """Name the Lua module whose sockets the test uses: it runs once for each."""
    return str(request.param)


@pytest.fixture
def start_peer(world: World, tmp_path: Path, module: str) -> StartPeer:
    """Return a function that serves with plain sockets or, for `tls`, with trusted TLS ones."""
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)

    @contextmanager
    def start(serve: Serve) -> Iterator[Peer]:
        with run_peer(serve, context if module == "tls" else None) as peer:
            yield peer

    return start


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
