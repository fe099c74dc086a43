"""Find a source: the user's archives, the cache, apt, pip, upstream, in that order."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nodemcu_tls_build.errors import OutputError, SourceError
from nodemcu_tls_build.files import explain_write_error, hash_file, make_directory, try_lock
from nodemcu_tls_build.sources.lock import Archive, Lock, Source, Unavailable, load_lock

_FETCH_PREFIX = ".fetch-"
_UNPACK_PREFIX = ".unpack-"


@dataclass(frozen=True)
class SourceTree:
    """Point at the unpacked tree of a source and tell which archive it came from."""

    name: str
    version: str
    path: Path
    sha256: str
    archive: str


@dataclass(frozen=True)
class _Found:
    archive: Archive
    path: Path


def default_cache_dir() -> Path:
    """Return the cache directory of this user: XDG_CACHE_HOME, or else ~/.cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the XDG specification says to ignore a relative one
        try:
            base = Path.home() / ".cache"
        except RuntimeError as error:
            raise OutputError("this user has no home directory", "Set XDG_CACHE_HOME.") from error
    return base / "nodemcu-tls"


def find_source(  # noqa: PLR0913 -- by keyword
    name: str,
    version: str,
    *,
    archive_dir: Path | None,
    cache_dir: Path,
    report: Callable[[str], None],
    lock: Lock | None = None,
) -> SourceTree:
    """Return the unpacked tree of a source, fetching and unpacking it when it is not there yet.

    An archive in `archive_dir` goes before everything else. `report` gets a line for each step
    that takes time. Raises SourceError when the archive cannot be had, has the wrong hash or
    cannot be unpacked, and OutputError when the cache cannot be written.
    """
    source = (lock or load_lock()).get(name, version)
    try:
        given = _find_given(source, archive_dir) if archive_dir else None
        wanted = (given.archive,) if given else source.archives
        tree = _find_tree(source, wanted, cache_dir)
        if tree is None:
            with _hold_cache(cache_dir, report):
                # Another process may have made it in the meantime.
                tree = _find_tree(source, wanted, cache_dir)
                if tree is None:
                    _remove_leftovers(cache_dir)
                    found = given or _find_cached(source, cache_dir)
                    found = found or _fetch(source, archive_dir, cache_dir, report)
                    tree = _unpack(source, found, cache_dir, report)
    except OSError as error:
        raise SourceError(
            f"cannot read {error.filename}: {error.strerror}", "Check its kind and permissions."
        ) from error
    return tree


def _find_tree(source: Source, archives: tuple[Archive, ...], cache_dir: Path) -> SourceTree | None:
    for archive in archives:
        path = _tree_path(source, archive, cache_dir)
        if path.is_dir():
            return SourceTree(source.name, source.version, path, archive.sha256, archive.names[0])
    return None


def _tree_path(source: Source, archive: Archive, cache_dir: Path) -> Path:
    # The members are part of the key: another choice of them is another tree.
    key = hashlib.sha256("\n".join((archive.sha256, *source.members)).encode()).hexdigest()
    return cache_dir / "src" / f"{source.name}-{source.version}-{key[:8]}"


def _find_given(source: Source, archive_dir: Path) -> _Found | None:
    if not archive_dir.is_dir():
        raise SourceError(
            f"the directory of archives {archive_dir} does not exist",
            "Name an existing directory with --sources or NODEMCU_TLS_SOURCES.",
        )
    for name in source.file_names:
        path = archive_dir / name
        if path.exists():
            return _check(source, path, "The file was left as it is: put the pinned one there.")
    return None


def _find_cached(source: Source, cache_dir: Path) -> _Found | None:
    for name in source.file_names:
        path = cache_dir / "archives" / name
        if path.exists():
            try:
                return _check(source, path, "It was deleted: run the command again to fetch it.")
            except SourceError:
                path.unlink(missing_ok=True)
                raise
    return None


def _check(source: Source, path: Path, hint: str) -> _Found:
    """Return the archive that `path` is; raise SourceError with `hint` when it is none."""
    found = hash_file(path)
    for archive in source.archives:
        if archive.sha256 == found:
            return _Found(archive, path)
    expected = " or ".join(archive.sha256 for archive in source.archives)
    raise SourceError(f"wrong hash of {path}: expected SHA-256 {expected}, found {found}", hint)


def _fetch(
    source: Source, archive_dir: Path | None, cache_dir: Path, report: Callable[[str], None]
) -> _Found:
    from nodemcu_tls_build.sources.fetch import list_places  # noqa: PLC0415 -- cold cache only

    archives_dir = cache_dir / "archives"
    make_directory(archives_dir)
    tried = [
        f"{archive_dir or '--sources'}: {'no archive of it' if archive_dir else 'not given'}",
        f"{archives_dir}: no archive of it",
    ]
    for place in list_places(source, cache_dir / "apt"):
        report(f"fetch {source.name} {source.version}: {place.label}")
        with _temp_dir(archives_dir, _FETCH_PREFIX) as temp_dir:
            try:
                path = place.fetch(temp_dir)
            except Unavailable as reason:
                tried.append(f"{place.label}: {reason}")
                continue
            found = _check(source, path, f"The download from {place.label} was deleted.")
            return _Found(found.archive, _rename(path, archives_dir / found.archive.names[0]))
    files = " or ".join(f"{a.names[0]} (SHA-256 {a.sha256})" for a in source.archives)
    raise SourceError(
        "\n  ".join((f"{source.name} {source.version} is nowhere to be had:", *tried)),
        f"Put {files} into a directory and name it with --sources DIR or NODEMCU_TLS_SOURCES.",
    )


def _unpack(
    source: Source, found: _Found, cache_dir: Path, report: Callable[[str], None]
) -> SourceTree:
    from nodemcu_tls_build.sources.unpack import unpack_archive  # noqa: PLC0415 -- cold cache only

    report(f"unpack {found.path.name}")
    target = _tree_path(source, found.archive, cache_dir)
    make_directory(target.parent)
    with _temp_dir(target.parent, _UNPACK_PREFIX) as temp_dir:
        root = unpack_archive(found.path, temp_dir, source.members, prefix=found.archive.prefix)
        _rename(root, target)  # what stands under this name is whole
    return SourceTree(
        source.name, source.version, target, found.archive.sha256, found.archive.names[0]
    )


@contextmanager
def _hold_cache(cache_dir: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes from changing the cache; the lock goes when the process does."""
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        file = (cache_dir / ".lock").open("w")
    except OSError as error:
        raise OutputError(
            f"cannot write the cache {cache_dir}: {error.strerror}",
            "Make it writable for this user, or set XDG_CACHE_HOME to another place.",
        ) from error
    with file:
        if not try_lock(file):
            report("wait for another run to finish with the cache")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_leftovers(cache_dir: Path) -> None:
    """Remove what a killed run left behind; the cache is held, so nobody is using it."""
    for pattern in (f"archives/{_FETCH_PREFIX}*", f"src/{_UNPACK_PREFIX}*"):
        for path in cache_dir.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _temp_dir(parent: Path, prefix: str) -> Iterator[Path]:
    try:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        raise explain_write_error(parent, error) from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _rename(path: Path, target: Path) -> Path:
    try:
        return path.rename(target)
    except OSError as error:
        raise explain_write_error(target, error) from error
