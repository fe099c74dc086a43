"""Put a tree back to what it was before the first apply."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nodemcu_tls_build.apply.backup import Backup, hold_tree, load_backup
from nodemcu_tls_build.apply.edited import keep_edited
from nodemcu_tls_build.apply.header import BANNER
from nodemcu_tls_build.apply.tree import FILES, USER_MBEDTLS, read_bytes
from nodemcu_tls_build.apply.write import Change, check_writable, write_changes
from nodemcu_tls_build.errors import TreeError


@dataclass(frozen=True)
class Reverted:
    """What a revert changes, none if there was no apply; `copies` keep the user's edits."""

    changes: tuple[Change, ...]
    copies: tuple[Path, ...] = ()


def revert_tree(path: Path, *, dry_run: bool = False, force: bool = False) -> Reverted:
    """Put every file back as it was before the first apply, all of them or none.

    Raises TreeError for files that were edited since, unless `force` says to put the edited ones
    aside.
    """
    if not path.is_dir():
        raise TreeError(f"{path} is not a directory", "Give the tree that was applied to.")
    backup = load_backup(path)
    if not backup.entries:
        _check_never_applied(path)
        return Reverted(())
    changes = _plan(path, backup)
    edited = [change.name for change in changes if _is_edited(backup, change)]
    if edited and not force and not dry_run:
        raise TreeError(
            f"edited since the apply: {', '.join(edited)}",
            "To put them back all the same and keep copies of the edited ones, add --force.",
        )
    for change in changes:
        check_writable(change)
    if dry_run:
        return Reverted(changes)
    with hold_tree(path):
        copies = tuple(keep_edited(path / name) for name in edited)
        write_changes(changes)
        backup.remove()
    return Reverted(changes, copies)


def _check_never_applied(path: Path) -> None:
    if BANNER.encode() in (read_bytes(path / USER_MBEDTLS) or b""):
        raise TreeError(
            f"{path / USER_MBEDTLS} is from nodemcu-tls, but {path} has no backup",
            "Put NodeMCU's own files back with git: git checkout app/include",
        )


def _plan(path: Path, backup: Backup) -> tuple[Change, ...]:
    return tuple(
        Change(
            name,
            (path / name).resolve(),
            read_bytes(path / name),
            backup.read_original(name),
            backup.entries[name].mode,
        )
        for name in FILES
        if name in backup.entries
    )


def _is_edited(backup: Backup, change: Change) -> bool:
    entry = backup.entries[change.name]
    if change.old is None or change.old == change.new:
        return False
    return entry.is_edited or not entry.knows(change.old)
