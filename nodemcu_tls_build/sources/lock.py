"""Read the lock file: which archives the sources come from, and their hashes."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodemcu_tls_build.errors import SourceError

_LOCK_PATH = Path(__file__).resolve().parent.parent / "sources.lock"


class Unavailable(Exception):  # noqa: N818 -- reads as the sentence it is
    """Say why one place cannot give an archive; another place may."""


@dataclass(frozen=True)
class AptOrigin:
    """Name the Debian source package that has an archive, and a suite that carries it."""

    package: str
    suite: str


@dataclass(frozen=True)
class PipOrigin:
    """Name the Python source package that an archive is, and its version."""

    package: str
    version: str


@dataclass(frozen=True)
class Archive:
    """Describe one pinned archive: `names[0]` is the name it is stored under.

    `prefix` is the directory of the tree, below the archive's single top directory.
    """

    names: tuple[str, ...]
    sha256: str
    apt: AptOrigin | None = None
    pip: PipOrigin | None = None
    url: str | None = None
    prefix: str = ""


@dataclass(frozen=True)
class Source:
    """Describe one version of a source; any one of its archives will do."""

    name: str
    version: str
    members: tuple[str, ...]
    archives: tuple[Archive, ...]

    @property
    def file_names(self) -> tuple[str, ...]:
        """Return every file name that one of the archives goes by."""
        return tuple(name for archive in self.archives for name in archive.names)


@dataclass(frozen=True)
class Lock:
    """Hold every pinned source."""

    sources: tuple[Source, ...]

    def get(self, name: str, version: str) -> Source:
        """Return a source; raise SourceError, naming what there is, when it is not pinned."""
        for source in self.sources:
            if (source.name, source.version) == (name, version):
                return source
        known = ", ".join(f"{source.name} {source.version}" for source in self.sources)
        raise SourceError(f"no pinned source {name} {version}", f"Pinned are: {known}.")


def load_lock(path: Path = _LOCK_PATH) -> Lock:
    """Read a lock file; raise SourceError when it is damaged or names a URL that is not https."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return Lock(tuple(_read_source(entry) for entry in data["source"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{path} is not a usable lock file: {error}", "Install nodemcu-tls again."
        ) from error


def _read_source(entry: dict[str, Any]) -> Source:
    archives = tuple(_read_archive(archive) for archive in entry["archive"])
    return Source(entry["name"], entry["version"], tuple(entry["members"]), archives)


def _read_archive(entry: dict[str, Any]) -> Archive:
    names, sha256, url = tuple(entry["names"]), entry["sha256"], entry.get("url")
    if not names or any(Path(name).name != name for name in names):
        raise ValueError(f"not file names: {list(names)}")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(f"{names[0]}: not a SHA-256: {sha256}")
    if url is not None and not url.startswith("https://"):
        raise ValueError(f"{names[0]}: not an https URL: {url}")
    apt = AptOrigin(entry["apt"]["package"], entry["apt"]["suite"]) if "apt" in entry else None
    pip = PipOrigin(entry["pip"]["package"], entry["pip"]["version"]) if "pip" in entry else None
    prefix = entry.get("prefix", "")
    if prefix and not re.fullmatch(r"[\w-]+", prefix):
        raise ValueError(f"{names[0]}: not the name of a directory: {prefix}")
    return Archive(names, sha256, apt, pip, url, prefix)
