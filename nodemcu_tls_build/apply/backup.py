"""Remember what stood in a tree before the first apply, and what was written since.

It lies in `.nodemcu-tls` at the top of the tree: `state.json`, and the files' first contents below
`original`; below `before` is what was remembered of a tree that has become another one. A state is
saved before the files are written, so that an apply that was cut short leaves nothing behind that
is not known.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from nodemcu_tls_build.apply.tree import BANNER, FILES, USER_MBEDTLS, read_bytes
from nodemcu_tls_build.errors import TreeError
from nodemcu_tls_build.files import explain_write_error, make_directory, write_file

STATE_DIR = ".nodemcu-tls"
_ORIGINAL, _BEFORE = "original", "before"
_SCHEMA = 1


@dataclass
class Entry:
    """One file: digest and mode of what stood there first, None when nothing did.

    `written` are the digests of all that was put there since; `is_edited` tells that an apply met
    the user's own edits in it and kept them.
    """

    original: str | None
    mode: int | None
    written: list[str] = field(default_factory=list)
    is_edited: bool = False

    def knows(self, content: bytes | None) -> bool:
        """Tell whether this content is the original or was written here; nothing is known, too."""
        return content is None or make_digest(content) in {self.original, *self.written}


@dataclass
class Backup:
    """What is remembered of a tree; `entries` is empty before the first apply.

    `version` is the mbedTLS that the tree had in the last one, None where that was not noted.
    """

    tree_path: Path
    version: str | None = None
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Return where it lies."""
        return self.tree_path / STATE_DIR

    def read_original(self, name: str) -> bytes | None:
        """Return what stood first at `name`; raise TreeError when that is lost or damaged."""
        entry = self.entries[name]
        if entry.original is None:
            return None
        content = read_bytes(self._original_path(name))
        if content is None or make_digest(content) != entry.original:
            state = "gone" if content is None else "damaged"
            raise TreeError(
                f"the backup of {name} in {self.path} is {state}",
                f"Put the file back from git (`git checkout {name}`) and remove {self.path}.",
            )
        return content

    def add(self, name: str, content: bytes | None, mode: int | None) -> None:
        """Save what stands at `name` before it is changed for the first time."""
        if content is not None:
            write_file(self._original_path(name), content)
        digest = None if content is None else make_digest(content)
        self.entries[name] = Entry(digest, mode)

    def note_written(self, name: str, content: bytes) -> None:
        """Remember that this content is about to be put at `name`."""
        digest = make_digest(content)
        if digest not in self.entries[name].written:
            self.entries[name].written.append(digest)

    def save(self) -> None:
        """Write the state down."""
        files = {name: vars(entry) for name, entry in sorted(self.entries.items())}
        state = {"schema": _SCHEMA, "mbedtls": self.version, "files": files}
        write_file(self.path / "state.json", f"{json.dumps(state, indent=2)}\n")

    def forget(self, names: Sequence[str]) -> None:
        """Forget these files; all is forgotten with the last one."""
        for name in names:
            del self.entries[name]
        if not self.entries:
            self.remove()
            return
        self.save()
        try:
            for name in names:
                self._original_path(name).unlink(missing_ok=True)
        except OSError as error:
            raise explain_write_error(self.path, error) from error

    def start_anew(self, names: Sequence[str]) -> Path:
        """Put aside what is remembered, and go on without these files; return where it went."""
        kept = self.path / _BEFORE
        number = next(n for n in itertools.count(1) if not (kept / str(n)).exists())
        target = kept / str(number)
        try:
            shutil.copytree(self.path / _ORIGINAL, target / _ORIGINAL)
            shutil.copy(self.path / "state.json", target)
        except OSError as error:
            raise explain_write_error(target, error) from error
        for name in names:
            del self.entries[name]
        self.save()
        return target

    def remove(self) -> None:
        """Forget everything but what was put aside: the tree is as it was."""
        try:
            (self.path / "state.json").unlink(missing_ok=True)
            original_path = self.path / _ORIGINAL
            if not (self.path / _BEFORE).exists():
                shutil.rmtree(self.path)
            elif original_path.exists():
                shutil.rmtree(original_path)
        except OSError as error:
            raise explain_write_error(self.path, error) from error

    def _original_path(self, name: str) -> Path:
        return self.path / _ORIGINAL / name


def load_backup(tree_path: Path) -> Backup:
    """Return what is remembered of the tree; raise TreeError when that cannot be read."""
    backup = Backup(tree_path)
    path = backup.path / "state.json"
    data = read_bytes(path)
    if data is None:
        return backup
    try:
        state = json.loads(data)
        schema = state["schema"]
        if schema == _SCHEMA:
            backup.version = state.get("mbedtls")
            backup.entries = {name: _parse_entry(name, raw) for name, raw in state["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "Put the tree's files back from git, and remove that directory."
        raise TreeError(f"{path} is damaged", hint) from error
    if schema != _SCHEMA:
        raise TreeError(f"{path} is of another version of nodemcu-tls", "Use that version.")
    return backup


def describe_change(backup: Backup, header: bytes | None, version: str | None) -> str | None:
    """Tell in what a tree, by its user_mbedtls.h, has become another one since the last apply.

    None when it has not: that file is known, or an edited one of ours.
    """
    entry = backup.entries.get(USER_MBEDTLS)
    if entry is None or header is None or entry.knows(header) or BANNER.encode() in header:
        return None
    change = f"{USER_MBEDTLS} is another one than before the apply"
    if version is not None and backup.version not in {None, version}:
        change += f", and mbedTLS {backup.version} has become {version}"
    return change


@contextmanager
def hold_tree(tree_path: Path) -> Iterator[None]:
    """Keep other applies out of the tree; its directory for the backup is made if need be."""
    path = tree_path / STATE_DIR
    make_directory(path)
    write_file(path / ".gitignore", "*\n")
    lock_path = path / "lock"
    try:
        file = lock_path.open("a")
    except OSError as error:
        raise explain_write_error(lock_path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TreeError(f"another apply is at work in {tree_path}", "Wait for it.") from error
        except OSError as error:  # a file system without locks
            raise explain_write_error(lock_path, error) from error
        yield


def make_digest(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal."""
    return sha256(content).hexdigest()


def _parse_entry(name: str, raw: dict[str, Any]) -> Entry:
    if name not in FILES:
        raise ValueError(name)
    return Entry(**raw)
