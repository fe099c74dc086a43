"""`nodemcu-tls cert minimise`: of a bundle, the roots that some servers need."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nodemcu_tls_build.commands import json_option, timeout_option

if TYPE_CHECKING:
    from nodemcu_tls_build.certs.minimise import Minimised

_FILE = click.Path(path_type=Path)
_TIMEOUT = 10.0


@click.command()
@click.argument("bundle_path", metavar="BUNDLE", type=_FILE)
@click.option(
    "--chain",
    "chain_paths",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="What a server sends, its own certificate first; may be repeated.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME[:PORT]",
    help="Ask this server, on port 443 unless given; may be repeated.",
)
@click.option(
    "--out", "out_path", type=_FILE, metavar="FILE", help="Where the roots go, not to the screen."
)
@timeout_option(f"How long a host may take; {_TIMEOUT:.0f} unless given.")
@json_option
@click.pass_context
def minimise(  # noqa: PLR0913, PLR0917 -- one parameter an option
    ctx: click.Context,
    bundle_path: Path,
    chain_paths: tuple[Path, ...],
    hosts: tuple[str, ...],
    out_path: Path | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Keep of a BUNDLE of CA certificates the roots that some servers' chains need.

    A root is needed when its key made the last signature on the shortest way up a chain. What the
    servers send is not trusted for anything else.
    """
    from datetime import UTC, datetime

    from nodemcu_tls_build.certs.bundle import MinimiseRequest, minimise_bundle
    from nodemcu_tls_build.files import write_file

    if not chain_paths and not hosts:
        raise click.UsageError("give the servers: --chain or --host", ctx)
    _check_out(out_path, bundle_path=bundle_path, chain_paths=chain_paths)
    request = MinimiseRequest(bundle_path, chain_paths, hosts, timeout or _TIMEOUT)
    result = minimise_bundle(request, now=datetime.now(UTC))
    text = result.render()
    if out_path:
        write_file(out_path, text)
    _show(result, text, out_path, as_json=as_json)


def _check_out(out_path: Path | None, *, bundle_path: Path, chain_paths: Sequence[Path]) -> None:
    from nodemcu_tls_build.errors import OutputError

    if out_path is None or not out_path.exists():
        return
    for path in (bundle_path, *chain_paths):
        if path.exists() and out_path.samefile(path):
            what = "the bundle itself: its other roots" if path == bundle_path else "a chain: it"
            raise OutputError(f"{out_path} is {what} would be lost", "Give another file to --out.")


def _show(result: Minimised, text: str, out_path: Path | None, *, as_json: bool) -> None:
    from nodemcu_tls_build.certs.store_write import ROOM

    if as_json:
        place = {"file": str(out_path)} if out_path else {"pem": text}
        click.echo(json.dumps(result.to_dict() | place, indent=2))
        return
    for warning in result.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if not out_path:
        click.echo(text, nl=False)
    told = (
        f"Kept {len(result.kept)} of {result.count} roots: {result.kept_size:,} of"
        f" {result.size:,} bytes; a store's sector holds {ROOM:,}."
    )
    click.echo(told, err=not out_path)
