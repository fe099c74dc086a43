"""Remember what stood in a tree before the first apply, and what was written since.

It lies in `.nodemcu-tls` at the top of the tree: `state.json`, and the files' first contents below
`original`. A state is saved before the files are written, so that an apply that was cut short
leaves nothing behind that is not known.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from nodemcu_tls_build.apply.tree import FILES, read_bytes
from nodemcu_tls_build.errors import TreeError
from nodemcu_tls_build.files import explain_write_error, make_directory, write_file

STATE_DIR = ".nodemcu-tls"
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
    """What is remembered of a tree; `entries` is empty before the first apply."""

    tree_path: Path
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
        text = json.dumps({"schema": _SCHEMA, "files": files}, indent=2)
        write_file(self.path / "state.json", f"{text}\n")

    def remove(self) -> None:
        """Forget everything: the tree is as it was."""
        try:
            (self.path / "state.json").unlink(missing_ok=True)
            shutil.rmtree(self.path)
        except OSError as error:
            raise explain_write_error(self.path, error) from error

    def _original_path(self, name: str) -> Path:
        return self.path / "original" / name


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
            backup.entries = {name: _parse_entry(name, raw) for name, raw in state["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "Put the tree's files back from git, and remove that directory."
        raise TreeError(f"{path} is damaged", hint) from error
    if schema != _SCHEMA:
        raise TreeError(f"{path} is of another version of nodemcu-tls", "Use that version.")
    return backup


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
