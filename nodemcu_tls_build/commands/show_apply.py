"""What an apply changes in a tree, for people and as JSON."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nodemcu_tls_build.apply.tree import CA_FILE, CA_HEADER
from nodemcu_tls_build.apply.write import Change

if TYPE_CHECKING:
    from nodemcu_tls_build.apply import Plan, Reverted

_BYTES = re.compile(r"[+-]\s+(?:0x[0-9a-f]{2}, ?)+")
_REBUILT = (
    "the tree's Makefile makes server-ca.crt.h anew in every build, with a script for Python 2:"
    " another Python leaves it empty, and the firmware has no CA then. Take the rule of newer"
    " firmware, whose target is server-ca.crt.h and which needs server-ca.crt, or have make find"
    " Python 2."
)
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def format_changes(changes: Sequence[Change]) -> str:
    """Return a unified diff of all changes, coloured; the bytes of certificates are left out."""
    return "\n".join(
        _paint(line)
        for change in changes
        if change.old != change.new
        for line in _leave_bytes_out(make_diff(change))
    )


def make_diff(change: Change) -> list[str]:
    """Return the lines of a unified diff, without their ends."""
    old, new = (_split(content) for content in (change.old, change.new))
    names = (
        "/dev/null" if change.old is None else f"a/{change.name}",
        "/dev/null" if change.new is None else f"b/{change.name}",
    )
    return [_make_printable(line) for line in difflib.unified_diff(old, new, *names, lineterm="")]


def list_notes(plan: Plan) -> list[str]:
    """Return what the user has to know about this tree, each a sentence or two."""
    notes = []
    tree = plan.tree
    if plan.change is not None:
        notes.append(f"the tree is no longer what was applied to before: {plan.change}.")
    if plan.bundle is None:
        notes.append(f"no CA is built in: give one with --ca, or put {CA_FILE} into the tree.")
    elif not tree.builds_ca:
        notes.append(f"the tree's Makefile does not name {Path(CA_HEADER).name}: its make may")
        notes[-1] += " not build the CA in."
    elif len(plan.bundle.der) > 1 and tree.takes_pem:
        notes.append("this firmware reads one record of CA certificates: all are in it, as text.")
    elif len(plan.bundle.der) > 1:
        notes.append("NodeMCU's own connections trust the first CA certificate of the area only.")
    if plan.bundle is not None and tree.rebuilds_ca:
        notes.append(_REBUILT)
    if not tree.config:
        notes.append("the tree has no configuration of mbedTLS's own: what it turns on stays on.")
    notes += [f"{key} has no effect in NodeMCU's firmware." for key in plan.without_effect]
    return notes


def describe_plan(plan: Plan, copies: Sequence[Path], *, dry_run: bool) -> dict[str, Any]:
    """Return an apply as JSON-able data."""
    bundle = plan.bundle
    return {
        "tree": str(plan.tree.path),
        "mbedtls": {"found": plan.tree.version, "profiled_as": plan.tree.profile_version},
        "profile": {"name": plan.profile.name, "sha256": plan.profile.digest()},
        "ca": list(bundle.subjects) if bundle else [],
        "dry_run": dry_run,
        "changed": not plan.is_empty,
        "files": _describe_changes(plan.changes),
        "touched": list(plan.touched),
        "edited": list(plan.edited),
        "copies": [str(copy) for copy in copies],
        "notes": list_notes(plan),
    }


def describe_reverted(tree: Path, reverted: Reverted, *, dry_run: bool) -> dict[str, Any]:
    """Return a revert as JSON-able data."""
    return {
        "tree": str(tree),
        "dry_run": dry_run,
        "changed": any(change.old != change.new for change in reverted.changes),
        "files": _describe_changes(reverted.changes),
        "copies": [str(copy) for copy in reverted.copies],
        "kept": list(reverted.kept),
    }


def _describe_changes(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [
        {"path": change.name, "action": change.action, "diff": make_diff(change)}
        for change in changes
    ]


def _split(content: bytes | None) -> list[str]:
    if not content:
        return []
    lines = content.decode("utf-8", errors="replace").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _make_printable(line: str) -> str:
    """Keep what stands in a user's file from doing anything to a terminal."""
    line = line.removesuffix("\r")
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in line)


def _leave_bytes_out(lines: Sequence[str]) -> list[str]:
    kept: list[str] = []
    count = 0
    for line in [*lines, ""]:
        if _BYTES.fullmatch(line):
            count += 1
            continue
        if count:
            kept.append(f"  … {count} lines of bytes")
            count = 0
        kept.append(line)
    return kept[:-1]


def _paint(line: str) -> str:
    if line.startswith(("---", "+++")):
        return click.style(line, bold=True)
    colour = _COLOURS.get(line[:1])
    return click.style(line, fg=colour) if colour else line
