"""`nodemcu-tls provision`: credentials into a flash, without a new build."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nodemcu_tls_build.commands import FilePath, baud_option, json_option
from nodemcu_tls_build.commands.passphrase import make_ask, passphrase_option

if TYPE_CHECKING:
    from nodemcu_tls_build.certs.store_write import Credentials
    from nodemcu_tls_build.provision.layout import Format
    from nodemcu_tls_build.provision.result import Provisioned, Stored

_FILE = FilePath()
_FORMATS = click.Choice(["ntls", "nodemcu"])
_format_option = click.option(
    "--format",
    "layout",
    type=_FORMATS,
    default="ntls",
    show_default=True,
    help="Whose firmware reads them: this one, or NodeMCU's own.",
)
_flash_option = click.option(
    "--flash", "flash_path", type=_FILE, metavar="FILE", help="A flash image in a file."
)


class _Provision(click.Command):
    """A command whose first argument may be `show`, the name of another one."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        if args[:1] == ["show"]:
            return show.make_context(f"{info_name} show", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(cls=_Provision)
@click.argument("port", required=False)
@click.option("--ca", "ca_path", type=_FILE, metavar="FILE", help="CA certificates, PEM.")
@click.option(
    "--cert",
    "cert_path",
    type=_FILE,
    metavar="FILE",
    help="The client's certificate, then those between it and its CA.",
)
@click.option("--key", "key_path", type=_FILE, metavar="FILE", help="The client's private key.")
@click.option(
    "--store",
    "store_path",
    type=_FILE,
    metavar="FILE",
    help="A store image, such as one of a fleet's, in place of the others.",
)
@passphrase_option
@_flash_option
@click.option(
    "--out", "out_path", type=_FILE, metavar="FILE", help="Write a store image, and no flash."
)
@click.option("--force", is_flag=True, help="Let --out replace another file.")
@_format_option
@baud_option
@json_option
@click.pass_context
def provision(  # noqa: PLR0913, PLR0917 -- one parameter an option
    ctx: click.Context,
    port: str | None,
    ca_path: Path | None,
    cert_path: Path | None,
    key_path: Path | None,
    store_path: Path | None,
    passphrase_path: Path | None,
    flash_path: Path | None,
    out_path: Path | None,
    force: bool,
    layout: str,
    baud: int,
    as_json: bool,
) -> None:
    """Put CA certificates, or a client's certificate and key, where the firmware finds them.

    They go into the device on the serial port PORT, into a flash image (--flash) or into a store
    image of their own (--out); the firmware is left as it is. What is not given is left as it
    is, too, and what is stored already is not written again.

    `nodemcu-tls provision show` tells what is stored.
    """
    from nodemcu_tls_build.provision.layout import Format

    if bool(cert_path) != bool(key_path):
        raise click.UsageError("--cert and --key go together", ctx)
    if store_path and (ca_path or cert_path):
        raise click.UsageError("--store goes without --ca, --cert and --key", ctx)
    if not (store_path or ca_path or cert_path):
        raise click.UsageError("give --ca, or --cert and --key, or --store", ctx)
    if sum(place is not None for place in (port, flash_path, out_path)) > 1:
        raise click.UsageError("give one of --flash, --out and PORT", ctx)
    credentials = _load(ca_path, cert_path, key_path, store_path, passphrase_path)
    chosen = Format(layout)
    if flash_path:
        from nodemcu_tls_build.provision.flash_file import provision_flash_file

        result = provision_flash_file(flash_path, credentials, chosen)
    elif out_path:
        from nodemcu_tls_build.provision.flash_file import make_store_file

        result = make_store_file(out_path, credentials, chosen, force=force)
    else:
        result = _provision_port(port, baud, credentials, chosen, quiet=as_json)
    _show_result(result, as_json=as_json)


@click.command()
@click.argument("source", metavar="[FILE|PORT]", required=False)
@_flash_option
@_format_option
@baud_option
@json_option
@click.pass_context
def show(  # noqa: PLR0913, PLR0917 -- one parameter an option
    ctx: click.Context,
    source: str | None,
    flash_path: Path | None,
    layout: str,
    baud: int,
    as_json: bool,
) -> None:
    """Tell what is stored in a flash image, in a store image or in the device on PORT.

    Private keys are named by their kind, never shown.
    """
    from nodemcu_tls_build.provision.layout import Format

    if source and flash_path:
        raise click.UsageError("give one of --flash, FILE and PORT", ctx)
    chosen = Format(layout)
    path = flash_path or (Path(source) if source and _is_file(source) else None)
    if path:
        from nodemcu_tls_build.provision.flash_file import SHOW, read_stored

        stored = read_stored(path, chosen, SHOW)
    else:
        stored = _read_port(source, baud, chosen, quiet=as_json)
    _show_stored(stored, as_json=as_json)


def _is_file(source: str) -> bool:
    """Tell a file from a port: a URL, or a device."""
    from nodemcu_tls_build.device.ports import is_url

    path = Path(source)
    return not is_url(source) and not path.is_char_device()


def _load(
    ca_path: Path | None,
    cert_path: Path | None,
    key_path: Path | None,
    store_path: Path | None,
    passphrase_path: Path | None,
) -> Credentials:
    from nodemcu_tls_build.provision.request import load_credentials, load_store

    if store_path:
        return load_store(store_path)
    return load_credentials(
        ca_path=ca_path,
        cert_path=cert_path,
        key_path=key_path,
        ask_passphrase=make_ask(passphrase_path),
    )


def _provision_port(
    port: str | None, baud: int, credentials: Credentials, layout: Format, *, quiet: bool
) -> Provisioned:
    from nodemcu_tls_build.commands.ports import choose, show_ports
    from nodemcu_tls_build.device.tool import Line
    from nodemcu_tls_build.provision.on_device import provision_device

    port = choose(port)
    with show_ports([port], quiet=quiet) as shown:
        return provision_device(Line(port, baud, shown.report_for(port)), credentials, layout)


def _read_port(port: str | None, baud: int, layout: Format, *, quiet: bool) -> Stored:
    from nodemcu_tls_build.commands.ports import choose, show_ports
    from nodemcu_tls_build.device.tool import Line
    from nodemcu_tls_build.provision.on_device import read_device

    port = choose(port)
    with show_ports([port], quiet=quiet) as shown:
        return read_device(Line(port, baud, shown.report_for(port)), layout)


def _show_result(result: Provisioned, *, as_json: bool) -> None:
    from nodemcu_tls_build.commands.show import show as show_text
    from nodemcu_tls_build.commands.show_stored import describe_provisioned

    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
    else:
        show_text(describe_provisioned(result))


def _show_stored(stored: Stored, *, as_json: bool) -> None:
    from nodemcu_tls_build.commands.show import show as show_text
    from nodemcu_tls_build.commands.show_stored import format_stored

    if as_json:
        click.echo(json.dumps(stored.to_dict(), indent=2))
    else:
        show_text(format_stored(stored))
