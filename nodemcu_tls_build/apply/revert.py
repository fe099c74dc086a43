"""Put a tree back to what it was before the first apply."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nodemcu_tls_build.apply.backup import Backup, describe_change, hold_tree, load_backup
from nodemcu_tls_build.apply.edited import keep_edited
from nodemcu_tls_build.apply.tree import BANNER, FILES, USER_MBEDTLS, read_bytes
from nodemcu_tls_build.apply.write import Change, check_writable, write_changes
from nodemcu_tls_build.errors import TreeError


@dataclass(frozen=True)
class Reverted:
    """What a revert changes, none if there was no apply; `copies` keep the user's edits.

    `kept` names files that were edited since and stay so, and `change` tells why they may be.
    """

    changes: tuple[Change, ...]
    copies: tuple[Path, ...] = ()
    kept: tuple[str, ...] = ()
    change: str | None = None


def revert_tree(path: Path, *, dry_run: bool = False, force: bool = False) -> Reverted:
    """Put the files back as they were before the first apply, all of them or none.

    Those that were edited since are kept, and can be put back later; `force` puts them back now,
    and copies aside.
    """
    if not path.is_dir():
        raise TreeError(f"{path} is not a directory", "Give the tree that was applied to.")
    backup = load_backup(path)
    if not backup.entries:
        _check_never_applied(path)
        return Reverted(())
    every = _plan(path, backup)
    edited = [change.name for change in every if _is_edited(backup, change)]
    kept = () if force else tuple(edited)
    changes = tuple(change for change in every if change.name not in kept)
    for change in changes:
        check_writable(change)
    header = read_bytes(path / USER_MBEDTLS)
    reverted = Reverted(changes, (), kept, describe_change(backup, header, None))
    if dry_run:
        return reverted
    with hold_tree(path):
        copies = tuple(keep_edited(path / name) for name in edited if force)
        write_changes(changes)
        backup.forget([change.name for change in changes])
    return replace(reverted, copies=copies)


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
