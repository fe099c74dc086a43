"""Do what a plan says, all of it or nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nodemcu_tls_build.apply.backup import STATE_DIR, Backup, hold_tree, load_backup
from nodemcu_tls_build.apply.edited import keep_edited
from nodemcu_tls_build.apply.plan import WHOLE, Plan
from nodemcu_tls_build.apply.tree import CA_FILE, CA_HEADER, read_bytes
from nodemcu_tls_build.apply.write import Change, write_changes
from nodemcu_tls_build.errors import TreeError
from nodemcu_tls_build.files import explain_write_error


def apply_plan(plan: Plan, *, force: bool = False) -> list[Path]:
    """Do what the plan says, all of it or nothing; return where edits and old backups were kept.

    Raises TreeError for edits that would be lost, unless `force` says to put them aside.
    """
    if not force:
        _check_known(plan)
    if plan.is_empty:
        return []
    path = plan.tree.path
    with hold_tree(path):
        for change in plan.changes:
            if read_bytes(path / change.name) != change.old:
                raise TreeError(f"{path / change.name} was changed meanwhile", "Run it again.")
        backup = load_backup(path)
        copies = _put_aside(plan, backup)
        is_first = not backup.entries
        backup.version = plan.tree.version
        _remember(backup, plan.changes)
        try:
            write_changes(plan.changes)
        except BaseException:
            if is_first and _is_as_before(plan):
                backup.remove()
            raise
        _set_times(path, plan.touched)
    return copies


def _check_known(plan: Plan) -> None:
    path = plan.tree.path
    if plan.change is not None:
        raise TreeError(
            f"{path} is no longer what was applied to: {plan.change}",
            f"To take its files as they are now, add --force: what is in {path / STATE_DIR} is put"
            " aside there. Or check out what you applied to, and revert that first.",
        )
    if plan.edited:
        raise TreeError(
            f"edited since they were written: {', '.join(plan.edited)}",
            "Put what you need into the profile, or keep copies of them with --force.",
        )


def _put_aside(plan: Plan, backup: Backup) -> list[Path]:
    """Keep what the apply would lose, and return where it is."""
    if plan.change is None:
        return [keep_edited(plan.tree.path / name) for name in plan.edited]
    old = {change.name: change.old for change in plan.changes}
    return [
        backup.start_anew(
            [name for name, entry in backup.entries.items() if not entry.knows(old[name])]
        )
    ]


def _is_as_before(plan: Plan) -> bool:
    return all(read_bytes(plan.tree.path / change.name) == change.old for change in plan.changes)


def _remember(backup: Backup, changes: Sequence[Change]) -> None:
    for change in changes:
        if change.old == change.new or change.new is None:
            continue
        if change.name not in backup.entries:
            backup.add(change.name, change.old, change.mode)
        entry = backup.entries[change.name]
        if change.name not in WHOLE and not entry.knows(change.old):
            entry.is_edited = True
        backup.note_written(change.name, change.new)
    if backup.entries:
        backup.save()


def _set_times(path: Path, touched: Sequence[str]) -> None:
    """Make the files newer, and the CA's header newer than what it is made of."""
    try:
        for name in touched:
            os.utime(path / name)
        if (path / CA_HEADER).exists() and (path / CA_FILE).exists():
            source = (path / CA_FILE).stat().st_mtime_ns
            if (path / CA_HEADER).stat().st_mtime_ns <= source:
                os.utime(path / CA_HEADER, ns=(source, source + 1_000_000_000))
    except OSError as error:
        raise explain_write_error(path, error) from error
