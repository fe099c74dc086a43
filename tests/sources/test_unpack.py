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
    Source,
    SourceTree,
    find_source,
)


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
