from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from nodemcu_tls_build.errors import SourceError
from nodemcu_tls_build.sources import (
    Archive,
    Lock,
    PipOrigin,
    Source,
    SourceTree,
    find_source,
)

WRONG = "0" * 64
ORIGIN = PipOrigin("made-for-this-test", "1.5")
NAME = "made-for-this-test-1.5.tar.gz"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a source package that the machine's pip finds; its code leaves a file behind."""
    index_dir = tmp_path / "index"
    index_dir.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index_dir))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    files = {
        "setup.py": f"open({str(tmp_path / 'has-run')!r}, 'w').close()\n",
        "PKG-INFO": "Metadata-Version: 2.1\nName: made-for-this-test\nVersion: 1.5\n",
        "tree/src/a.c": "int a;\n",
        "tree/docs/b.c": "int b;\n",
        "src/c.c": "int c;\n",
        "other/src/d.c": "int d;\n",
    }
    path = index_dir / NAME
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"made-for-this-test-1.5/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def find_made(cache_dir: Path, sha256: str, *, prefix: str = "tree") -> SourceTree:
    archive = Archive((NAME,), sha256, pip=ORIGIN, prefix=prefix)
    lock = Lock((Source("made", "1", ("src",), (archive,)),))
    return find_source("made", "1", archive_dir=None, cache_dir=cache_dir, report=print, lock=lock)


def test_pip_gets_a_package_and_runs_nothing_of_it(package: Path, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(package.read_bytes()).hexdigest()
    tree = find_made(tmp_path / "cache", sha256)
    files = [path.relative_to(tree.path) for path in tree.path.rglob("*") if path.is_file()]
    assert files == [Path("src/a.c")]
    assert (tmp_path / "cache" / "archives" / NAME).read_bytes() == package.read_bytes()
    assert not (tmp_path / "has-run").exists()


def test_a_package_of_another_hash_is_not_taken(package: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere to be had") as caught:
        find_made(tmp_path / "cache", WRONG)
    place = "pip download made-for-this-test==1.5"
    assert f"{place}: pip found a package with another hash" in caught.value.message
    assert f"{NAME} (SHA-256 {WRONG})" in (caught.value.hint or "")
    assert list((tmp_path / "cache" / "archives").iterdir()) == []
    assert not (tmp_path / "has-run").exists()


def test_pip_does_not_find_the_package(package: Path, tmp_path: Path) -> None:
    package.unlink()
    with pytest.raises(SourceError) as caught:
        find_made(tmp_path / "cache", WRONG)
    assert "No matching distribution found for made-for-this-test==1.5" in caught.value.message


def test_a_python_without_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(SourceError) as caught:
        find_made(tmp_path / "cache", WRONG)
    place = "pip download made-for-this-test==1.5"
    assert f"{place}: this Python has no pip" in caught.value.message


def test_a_tree_that_the_package_does_not_have(package: Path, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(package.read_bytes()).hexdigest()
    with pytest.raises(SourceError, match="has none of: src"):
        find_made(tmp_path / "cache", sha256, prefix="absent")
