"""`nodemcu-tls fleet`: an identity for each device of a list."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from nodemcu_tls_build.commands import FilePath, json_option
from nodemcu_tls_build.commands.passphrase import make_ask, passphrase_option

_FILE = FilePath()


@click.command()
@click.option(
    "--csv",
    "csv_path",
    type=_FILE,
    required=True,
    metavar="FILE",
    help="The devices, one a row, a file or a pipe; the column `device` has their names.",
)
@click.option(
    "--issuer-cert",
    "issuer_cert_path",
    type=_FILE,
    required=True,
    metavar="FILE",
    help="The issuing CA's certificate, then those between it and its root.",
)
@click.option(
    "--issuer-key", "issuer_key_path", type=_FILE, required=True, metavar="FILE", help="Its key."
)
@click.option(
    "--out",
    "out_dir",
    type=_FILE,
    required=True,
    metavar="DIR",
    help="Where the store images and manifest.jsonl go.",
)
@click.option(
    "--subject",
    default="CN={device}",
    show_default=True,
    metavar="TEMPLATE",
    help="The certificates' subject, columns' names in braces: CN={device},O=Example.",
)
@click.option(
    "--ca", "ca_path", type=_FILE, metavar="FILE", help="CA certificates for every device, PEM."
)
@click.option(
    "--days",
    type=click.IntRange(1, 36500),
    default=3650,
    show_default=True,
    metavar="N",
    help="How long the certificates are valid, at most as long as the issuer's.",
)
@click.option(
    "--encrypt-to",
    "recipient_path",
    type=_FILE,
    metavar="FILE",
    help="Encrypt each store image to this RSA public key, or the certificate of one.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Processes side by side; one for each core unless given.",
)
@passphrase_option
@json_option
def fleet(  # noqa: PLR0913, PLR0917 -- one parameter an option
    csv_path: Path,
    issuer_cert_path: Path,
    issuer_key_path: Path,
    out_dir: Path,
    subject: str,
    ca_path: Path | None,
    days: int,
    recipient_path: Path | None,
    jobs: int | None,
    passphrase_path: Path | None,
    as_json: bool,
) -> None:
    """Make a key, a certificate and a store image for each device of a list.

    DIR/manifest.jsonl gets a line for each: device, subject, serial number, fingerprint, public
    key and file with their SHA-256. What is in it already is not issued again, so an interrupted
    run is simply repeated, with the same options. The whole list is checked before anything is
    issued.

    A row with a file in the column `csr`, beside the list, gets a certificate for that request,
    and no key is made.
    """
    from nodemcu_tls_build.commands.show_fleet import show_issuing
    from nodemcu_tls_build.fleet.request import FleetRequest, prepare_fleet
    from nodemcu_tls_build.fleet.run import issue_fleet

    request = FleetRequest(
        csv_path=csv_path,
        issuer_cert_path=issuer_cert_path,
        issuer_key_path=issuer_key_path,
        out_dir=out_dir,
        subject=subject,
        days=days,
        ca_path=ca_path,
        recipient_path=recipient_path,
    )
    recipe, table = prepare_fleet(request, ask_passphrase=make_ask(passphrase_path))
    with show_issuing(quiet=as_json) as report:
        count = jobs or len(os.sched_getaffinity(0))
        result = issue_fleet(recipe, table, jobs=count, report=report)
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
        return
    kept = f"; {result.kept:,} had theirs already" if result.kept else ""
    devices = "device" if result.issued == 1 else "devices"
    click.echo(f"Issued {result.issued:,} {devices} a certificate in {out_dir}{kept}.")
    if result.not_after:
        cut = f", as the issuer's certificate: {days} days were asked for" if result.is_cut else ""
        click.echo(f"Valid until {result.not_after:%Y-%m-%d}{cut}.")
