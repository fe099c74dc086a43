"""`nodemcu-tls cert check`: can a profile's firmware use these certificates and keys."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from nodemcu_tls_build.commands import json_option, set_option
from nodemcu_tls_build.commands.passphrase import make_ask, passphrase_option


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path)
)
@click.option(
    "--profile",
    "profile_name",
    default="default",
    show_default=True,
    metavar="PROFILE",
    help="The profile whose firmware is to use them: a preset, or a file (*.toml).",
)
@set_option
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A name or address that devices connect to; may be repeated.",
)
@click.option(
    "--purpose",
    type=click.Choice(("server", "client", "ca")),
    help="What the certificates are for, where it is not what they look like.",
)
@passphrase_option
@json_option
@click.pass_context
def check(  # noqa: PLR0913, PLR0917 -- one parameter an option
    ctx: click.Context,
    paths: tuple[Path, ...],
    profile_name: str,
    settings: tuple[str, ...],
    hosts: tuple[str, ...],
    purpose: str | None,
    passphrase_path: Path | None,
    as_json: bool,
) -> None:
    """Say what is in FILES, and everything that keeps the firmware from using it.

    FILES hold certificates and keys, PEM or DER: those of a CA, of a server with its chain, or of
    a client with its key. The file with the end's own certificate has what is sent; CAs in other
    files are those that are trusted. The exit code is 0, or 1 when there are findings.
    """
    from nodemcu_tls_build.certs.inspect import CheckRequest, Purpose, inspect_files
    from nodemcu_tls_build.commands.show import show
    from nodemcu_tls_build.commands.show_certs import format_inspection, inspection_to_dict
    from nodemcu_tls_build.profile import load_profile

    now = datetime.now(UTC)
    loaded = load_profile(profile_name, settings)
    request = CheckRequest(
        paths=paths,
        profile=loaded,
        hosts=hosts,
        purpose=Purpose(purpose) if purpose else None,
        now=now,
        ask_passphrase=make_ask(passphrase_path),
    )
    found = inspect_files(request)
    if as_json:
        click.echo(json.dumps(inspection_to_dict(found, loaded.name), indent=2))
    else:
        show(format_inspection(found, loaded.name, now=now))
    ctx.exit(1 if found.findings else 0)
