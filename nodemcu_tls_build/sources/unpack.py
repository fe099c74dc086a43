"""Unpack an archive without letting it write anywhere else."""

from __future__ import annotations

import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path

from nodemcu_tls_build.errors import SourceError
from nodemcu_tls_build.files import explain_write_error

_DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)


def unpack_archive(
    archive_path: Path, directory: Path, members: Collection[str], *, prefix: str = ""
) -> Path:
    """Unpack the files of a tar archive into `directory` and return the tree's root there.

    The archive must have one top directory. The root is that, or `prefix` in it; of what is below
    the root only `members` are unpacked. Raises SourceError, naming archive and member, for an
    absolute path, for `..`, and for anything but files and directories: without links nothing can
    point outside.
    """
    top: str | None = None
    above = [prefix] if prefix else []
    try:
        with tarfile.open(archive_path) as tar:
            for member in tar:
                parts = _check_member(archive_path, member)
                if not parts:
                    continue
                top = top or parts[0]
                if parts[0] != top:
                    raise SourceError(f"{archive_path.name} has more than one top directory")
                *inner, name = parts[1 : 2 + len(above)] or [""]
                if member.isfile() and inner == above and name in members:
                    _write_member(tar, member, directory.joinpath(*parts))
    except _DAMAGE as error:
        raise SourceError(f"{archive_path} is damaged: {error}") from error
    except OSError as error:
        if error.errno is None:  # bz2 reports damage as an OSError without a number
            raise SourceError(f"{archive_path} is damaged: {error}") from error
        raise explain_write_error(directory, error) from error
    root = directory.joinpath(top or "", *above)
    if root == directory or not root.is_dir():
        raise SourceError(f"{archive_path.name} has none of: {', '.join(sorted(members))}")
    return root


def _check_member(archive_path: Path, member: tarfile.TarInfo) -> list[str]:
    """Return the parts of a member's path; raise SourceError when it must not be unpacked."""
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    refused = None
    if member.name.startswith("/"):
        refused = "an absolute path"
    elif ".." in parts:
        refused = "a path out of the directory it is unpacked into"
    elif member.issym() or member.islnk():
        refused = f"a link to {member.linkname}"
    elif not (member.isfile() or member.isdir()):
        refused = "neither a file nor a directory"
    if refused is not None:
        raise SourceError(
            f"{archive_path.name} is not unpacked: its member {member.name!r} is {refused}",
            "This is not an archive as it was released: do not use it.",
        )
    return parts


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = tar.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name!r} has no content")
    path.parent.mkdir(parents=True, exist_ok=True)
    with content, path.open("wb") as file:
        shutil.copyfileobj(content, file)
    os.utime(path, (member.mtime, member.mtime))  # so that a tree unpacked anew is not newer
