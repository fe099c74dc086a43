"""List the places outside this machine's disk that an archive can be fetched from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nodemcu_tls_build.sources.apt import fetch_with_apt
from nodemcu_tls_build.sources.download import download_file
from nodemcu_tls_build.sources.lock import Source
from nodemcu_tls_build.sources.pip import fetch_with_pip


@dataclass(frozen=True)
class Place:
    """Name a place; `fetch` puts the archive into a directory, or raises Unavailable."""

    label: str
    fetch: Callable[[Path], Path]


def list_places(source: Source, lists_dir: Path) -> list[Place]:
    """Return the places of a source in the order to try them: apt, pip, then upstream."""
    return [
        *(
            Place(
                f"apt-get source {archive.apt.package} ({archive.apt.suite})",
                partial(fetch_with_apt, archive.apt, archive.names, lists_dir),
            )
            for archive in source.archives
            if archive.apt is not None
        ),
        *(
            Place(
                f"pip download {archive.pip.package}=={archive.pip.version}",
                partial(fetch_with_pip, archive.pip, archive.names[0], archive.sha256),
            )
            for archive in source.archives
            if archive.pip is not None
        ),
        *(
            Place(archive.url, partial(download_file, archive.url, archive.names[0]))
            for archive in source.archives
            if archive.url is not None
        ),
    ]
