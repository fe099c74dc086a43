"""`nodemcu-tls apply`: put a profile into a NodeMCU firmware tree, or take it out again."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nodemcu_tls_build.commands import json_option, set_option

if TYPE_CHECKING:
    from nodemcu_tls_build.apply import Plan, Reverted


@click.command()
@click.argument("tree", type=click.Path(path_type=Path))
@click.option(
    "--profile", metavar="NAME|FILE", help="A preset, or a profile file. [default: default]"
)
@set_option
@click.option(
    "--ca",
    "ca_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="CA certificates (PEM) to build in, in place of the tree's server-ca.crt.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@click.option("--revert", is_flag=True, help="Put back what was there before the first apply.")
@click.option(
    "--force", is_flag=True, help="Replace files that were edited since; keep copies (*.edited)."
)
@json_option
@click.pass_context
def apply(  # noqa: PLR0913, PLR0917 -- one parameter an option
    ctx: click.Context,
    tree: Path,
    profile: str | None,
    settings: tuple[str, ...],
    ca_path: Path | None,
    dry_run: bool,
    revert: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Put a profile and CA certificates into TREE, a checkout of NodeMCU's firmware.

    TREE's own mbedTLS is configured, its user_config.h and user_modules.h get TLS turned on; its
    make then builds the firmware. A backup is kept in TREE/.nodemcu-tls.
    """
    if revert:
        if profile is not None or settings or ca_path is not None:
            raise click.UsageError("--revert takes no --profile, --set or --ca", ctx)
        _revert(tree, dry_run=dry_run, force=force, as_json=as_json)
        return
    from nodemcu_tls_build.apply import apply_plan, make_plan

    plan = make_plan(tree, profile=profile or "default", settings=settings, ca_path=ca_path)
    copies = [] if dry_run else apply_plan(plan, force=force)
    if as_json:
        from nodemcu_tls_build.commands.show_apply import describe_plan

        click.echo(json.dumps(describe_plan(plan, copies, dry_run=dry_run), indent=2))
    else:
        _show_plan(plan, copies, dry_run=dry_run)


def _show_plan(plan: Plan, copies: list[Path], *, dry_run: bool) -> None:
    from nodemcu_tls_build.commands.show import show
    from nodemcu_tls_build.commands.show_apply import format_changes, list_notes

    tree = plan.tree
    diff = format_changes(plan.changes)
    if diff:
        show(f"{diff}\n")
    show(f"{tree.path}: NodeMCU firmware with mbedTLS {tree.version}")
    if plan.bundle:
        show(f"CA built in: {', '.join(plan.bundle.subjects)}")
    for name in plan.touched:
        show(f"{name}: made newer, for make")
    for copy in copies:
        show(f"{copy}: {'your edits' if plan.change is None else 'what was remembered before'}")
    for name in plan.edited if dry_run and plan.change is None else ():
        show(f"{name}: edited since it was written, is replaced only with --force")
    for note in list_notes(plan):
        show(f"Note: {note}")
    profile = f"the profile {plan.profile.name}"
    if plan.is_empty:
        show(f"Nothing to do: the tree has {profile} already.")
    elif dry_run:
        show(f"Would apply {profile}: nothing was written.")
    else:
        show(f"Applied {profile}. Build with the tree's own make; --revert undoes it.")


def _revert(tree: Path, *, dry_run: bool, force: bool, as_json: bool) -> None:
    from nodemcu_tls_build.apply import revert_tree

    reverted = revert_tree(tree, dry_run=dry_run, force=force)
    if as_json:
        from nodemcu_tls_build.commands.show_apply import describe_reverted

        click.echo(json.dumps(describe_reverted(tree, reverted, dry_run=dry_run), indent=2))
    else:
        _show_reverted(tree, reverted, dry_run=dry_run)


def _show_reverted(tree: Path, reverted: Reverted, *, dry_run: bool) -> None:
    from nodemcu_tls_build.commands.show import show
    from nodemcu_tls_build.commands.show_apply import format_changes

    diff = format_changes(reverted.changes)
    if diff:
        show(f"{diff}\n")
    for copy in reverted.copies:
        show(f"{copy}: your edits")
    for name in reverted.kept:
        show(f"{name}: edited since the apply, is kept; --revert --force puts it back, too")
    if reverted.kept and reverted.change is not None:
        show(f"Note: {tree} is no longer what was applied to: {reverted.change}")
    if not reverted.changes and not reverted.kept:
        show(f"Nothing to revert: {tree} has no backup of an apply.")
    elif dry_run:
        show(f"Would put {tree} back as it was: nothing was written.")
    else:
        rest = ", but for what was edited" if reverted.kept else ""
        show(f"Put {tree} back as it was before the first apply{rest}.")
