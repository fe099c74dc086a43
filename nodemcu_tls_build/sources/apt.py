"""Fetch Debian's source archives through the machine's own apt configuration.

The machine's apt is only read: its settings and its Debian entries are copied into a private
directory, with the suite that is wanted, and apt is run on those. It checks signatures with the
machine's keys as usual and needs no privileges.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nodemcu_tls_build.errors import ToolFailed
from nodemcu_tls_build.files import make_directory, write_file
from nodemcu_tls_build.process import run_capture
from nodemcu_tls_build.sources.apt_entries import convert_list, convert_stanzas
from nodemcu_tls_build.sources.lock import AptOrigin, Unavailable

_FRESH_FOR = 24 * 3600  # seconds for which the package lists of a suite are not fetched again

# The machine's hooks act on the machine's own lists, and fail for a user who may not write those.
_HOOKS = re.compile(r"(APT::Update::(Pre|Post)-Invoke|DPkg::)", re.IGNORECASE)


@dataclass(frozen=True)
class _PrivateApt:
    """Hold what one suite's apt runs on: an environment, and the entries and lists it uses."""

    env: dict[str, str]
    entries: str
    lists_dir: Path

    @property
    def stamp_path(self) -> Path:
        """Return the file that tells which entries the lists belong to, and how old they are."""
        return self.lists_dir / "entries.stamp"


def fetch_with_apt(
    origin: AptOrigin, names: Sequence[str], cache_dir: Path, directory: Path
) -> Path:
    """Put an archive called one of `names` into `directory` and return its path.

    Package lists are kept in `cache_dir` for a day. Raises Unavailable when this machine has no
    apt, or its apt cannot get the archive.
    """
    if shutil.which("apt-get") is None:
        raise Unavailable("there is no apt-get on this machine")
    with _make_private_apt(origin.suite, cache_dir / origin.suite) as apt:
        if _has_fresh_lists(apt):
            try:
                return _fetch(apt, origin, names, directory)
            except Unavailable:
                pass  # the mirror may have moved on since
        complaints = _update_lists(apt)
        try:
            return _fetch(apt, origin, names, directory)
        except Unavailable as reason:
            raise Unavailable("; ".join((*complaints, str(reason)))) from reason


def _fetch(apt: _PrivateApt, origin: AptOrigin, names: Sequence[str], directory: Path) -> Path:
    """Download the archive alone: the rest of a superseded Debian revision may be gone."""
    version, name = _find_version(apt, origin, names)
    options = ("--only-source", "--download-only", "--tar-only")
    command = ("apt-get", "source", *options, f"{origin.package}={version}")
    _run(command, env=apt.env, cwd=directory)
    return directory / name


def _find_version(apt: _PrivateApt, origin: AptOrigin, names: Sequence[str]) -> tuple[str, str]:
    """Return the Debian version that has the archive, and the archive's name there."""
    listing = _run(("apt-cache", "showsrc", "--only-source", origin.package), env=apt.env)
    versions = []
    for stanza in listing.split("\n\n"):
        for version in re.findall(r"^Version: (\S+)$", stanza, re.MULTILINE):
            versions.append(version)
            for name in names:
                if f" {name}\n" in f"{stanza}\n":
                    return version, name
    offered = f"has {', '.join(versions)}" if versions else "does not have the package"
    raise Unavailable(f"{origin.suite} {offered}, not {names[0]}")


def _has_fresh_lists(apt: _PrivateApt) -> bool:
    try:
        age = time.time() - apt.stamp_path.stat().st_mtime
        return 0 <= age < _FRESH_FOR and apt.stamp_path.read_text() == apt.entries
    except (OSError, ValueError):
        return False


def _update_lists(apt: _PrivateApt) -> list[str]:
    """Fetch the lists; return what apt complains of, which need not concern the archive."""
    apt.stamp_path.unlink(missing_ok=True)
    try:
        _run(("apt-get", "update"), env=apt.env)
    except Unavailable as reason:
        return [str(reason)]
    write_file(apt.stamp_path, apt.entries)
    return []


def _run(command: Sequence[str], *, env: dict[str, str], cwd: Path | None = None) -> str:
    try:
        return run_capture(command, env=env, cwd=cwd)
    except ToolFailed as error:
        raise Unavailable("; ".join(_pick_complaints(error.output)) or error.message) from error


def _pick_complaints(output: str) -> list[str]:
    lines = [line[2:].strip() for line in output.splitlines() if line.startswith(("E:", "W:"))]
    return list(dict.fromkeys(lines))[:3]


@contextmanager
def _make_private_apt(suite: str, lists_dir: Path) -> Iterator[_PrivateApt]:
    env = os.environ | {"LC_ALL": "C"}
    query = ("LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d")
    answer = shlex.split(_run(("apt-config", "shell", *query), env=env))
    stanzas, lines = _read_entries(dict(item.split("=", 1) for item in answer), suite)
    if not stanzas and not lines:
        raise Unavailable("apt on this machine has no Debian entries")
    make_directory(lists_dir / "partial")
    with tempfile.TemporaryDirectory(prefix="nodemcu-tls-apt-") as temp_name:
        temp_dir = Path(temp_name)
        write_file(temp_dir / "parts" / "debian.sources", stanzas)
        write_file(temp_dir / "parts" / "debian.list", lines)
        settings = _run(("apt-config", "dump"), env=env)
        write_file(temp_dir / "apt.conf", _convert_settings(settings, temp_dir, lists_dir))
        env["APT_CONFIG"] = str(temp_dir / "apt.conf")
        yield _PrivateApt(env, f"{stanzas}\n{lines}", lists_dir)


def _read_entries(paths: dict[str, str], suite: str) -> tuple[str, str]:
    """Return the machine's entries for the suite, as deb822 stanzas and in the one-line form."""
    list_path, parts_dir = Path(paths["LIST"]), Path(paths["PARTS"])
    stanzas, lines = "", ""
    try:
        for path in (list_path, *sorted(parts_dir.glob("*.list"))):
            if path.is_file():
                lines += convert_list(path.read_text(errors="replace"), suite)
        for path in sorted(parts_dir.glob("*.sources")):
            stanzas += convert_stanzas(path.read_text(errors="replace"), suite)
    except OSError as error:
        raise Unavailable(f"cannot read {error.filename}: {error.strerror}") from error
    return stanzas, lines


def _convert_settings(settings: str, temp_dir: Path, lists_dir: Path) -> str:
    """Return the machine's settings without its hooks, pointed at the private directories."""
    kept = [line for line in settings.splitlines() if not _HOOKS.match(line)]
    private = {
        "Dir::Etc::main": "/dev/null",  # its content is in the dump
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": f"{temp_dir}/parts/",
        "Dir::State::lists": f"{lists_dir.absolute()}/",
        "Dir::Cache": f"{temp_dir}/cache/",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Update::Error-Mode": "any",
        "Acquire::GzipIndexes": "true",  # keeps the lists small on disk
    }
    return "\n".join(kept + [f'{key} "{value}";' for key, value in private.items()]) + "\n"
