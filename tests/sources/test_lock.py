from __future__ import annotations

from pathlib import Path

import pytest

from nodemcu_tls_build.errors import SourceError
from nodemcu_tls_build.sources import (
    default_cache_dir,
    load_lock,
)


def test_the_lock_pins_the_five_sources() -> None:
    lock = load_lock()
    assert [(source.name, source.version) for source in lock.sources] == [
        ("mbedtls", "3.6.6"),
        ("mbedtls", "2.28.3"),
        ("mbedtls", "2.16.3"),
        ("lwip", "2.1.3"),
        ("lua", "5.1.5"),
    ]
    for source in lock.sources:
        assert any(archive.apt or archive.pip for archive in source.archives)
        assert len(set(source.file_names)) == len(source.file_names)
    with pytest.raises(SourceError, match=r"no pinned source mbedtls 2\.16\.4") as caught:
        lock.get("mbedtls", "2.16.4")
    assert caught.value.hint == (
        "Pinned are: mbedtls 3.6.6, mbedtls 2.28.3, mbedtls 2.16.3, lwip 2.1.3, lua 5.1.5."
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("https://www", "http://www", "not an https URL"),
        ("2640fc", "2640FC", "not a SHA-256"),
        ('"lua5.1_5', '"../lua5.1_5', "not file names"),
        ('prefix = "mbed', 'prefix = "../mbed', "not the name of a directory"),
        ('sha256 = "26', 'sha = "26', "sha256"),
        ("[[source]]", "[source", "line"),
        ("[[source]]", "[[other]]", "not a usable lock file"),
    ],
)
def test_a_bad_lock_file_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = (Path(__file__).parents[2] / "nodemcu_tls_build" / "sources.lock").read_text()
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
