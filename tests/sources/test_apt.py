from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from loopback import Server
from lua_source import LUA_ARCHIVE, WRONG, find_lua, list_leftovers, lua_at

from nodemcu_tls_build.errors import SourceError
from nodemcu_tls_build.sources import (
    AptOrigin,
    Archive,
)
from nodemcu_tls_build.sources.apt_entries import convert_list, convert_stanzas


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
    tree = find_lua(apt_cache_dir, dataclasses.replace(LUA_ARCHIVE, url=None))
    assert (tree.path / "src" / "lua.h").is_file()
    assert (apt_cache_dir / "archives" / LUA_ARCHIVE.names[0]).is_file()
    assert list_leftovers(apt_cache_dir) == []
    assert not hook.exists()
    assert _list_state(Path("/var/lib/apt/lists")) == before


def test_a_wrong_archive_from_apt_is_deleted_and_ends_the_search(
    apt_cache_dir: Path, server: Server
) -> None:
    (apt_cache_dir / "archives" / LUA_ARCHIVE.names[0]).unlink(missing_ok=True)
    archive = dataclasses.replace(lua_at(server.url("/lua"), WRONG), apt=LUA_ARCHIVE.apt)
    with pytest.raises(SourceError) as caught:
        find_lua(apt_cache_dir, archive)
    assert f"expected SHA-256 {WRONG}, found {LUA_ARCHIVE.sha256}" in caught.value.message
    assert "apt-get source lua5.1 (bookworm) was deleted" in (caught.value.hint or "")
    assert list((apt_cache_dir / "archives").iterdir()) == []


def test_apt_has_other_versions_only(apt_cache_dir: Path) -> None:
    archive = Archive(("lua5.1_5.1.0.orig.tar.gz",), WRONG, apt=LUA_ARCHIVE.apt)
    with pytest.raises(SourceError) as caught:
        find_lua(apt_cache_dir, archive)
    assert "apt-get source lua5.1 (bookworm): bookworm has 5.1.5" in caught.value.message
    assert "not lua5.1_5.1.0.orig.tar.gz" in caught.value.message


def test_apt_complains_of_a_suite_that_is_not_there(tmp_path: Path) -> None:
    archive = Archive(("x.tar",), WRONG, apt=AptOrigin("lua5.1", "no-such-suite"))
    with pytest.raises(SourceError, match="no-such-suite") as caught:
        find_lua(tmp_path, archive)
    assert "does not have" in caught.value.message


def test_a_machine_without_apt_or_without_debian_s_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = dataclasses.replace(LUA_ARCHIVE, url=None)
    config = tmp_path / "apt.conf"
    config.write_text(f'Dir::Etc::sourcelist "/dev/null"; Dir::Etc::sourceparts "{tmp_path}";\n')
    monkeypatch.setenv("APT_CONFIG", str(config))
    with pytest.raises(SourceError, match="no Debian entries"):
        find_lua(tmp_path / "cache", archive)
    config.write_text("this is no configuration {\n")
    with pytest.raises(SourceError, match="Syntax error"):
        find_lua(tmp_path / "cache", archive)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="there is no apt-get on this machine"):
        find_lua(tmp_path / "cache", archive)


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
