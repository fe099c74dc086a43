"""`nodemcu-tls device`: look at a device, save its flash, put it back, erase it."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nodemcu_tls_build.commands import baud_option, json_option

if TYPE_CHECKING:
    from nodemcu_tls_build.device.tool import Line

_FILE = click.Path(path_type=Path)
_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def device() -> None:
    """Look at a device, save its flash, put it back, erase it.

    PORT is a device file or a URL rfc2217://HOST:PORT; without one, the only likely port is
    taken. It comes last, because it is what may be left out.
    """


@device.command()
@click.argument("port", required=False)
@baud_option
@json_option
def info(port: str | None, baud: int, as_json: bool) -> None:
    """Say what the device on PORT is and what it holds."""
    from nodemcu_tls_build.commands.show import show
    from nodemcu_tls_build.commands.show_device import format_info
    from nodemcu_tls_build.device.whole import read_info

    with _open_line(port, baud, quiet=as_json) as line:
        found = read_info(line)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        show(format_info(found))


@device.command()
@click.argument("path", type=_FILE, metavar="FILE")
@click.argument("port", required=False)
@click.option("--force", is_flag=True, help="Replace FILE when it exists.")
@baud_option
def backup(path: Path, port: str | None, force: bool, baud: int) -> None:
    """Save the whole flash to the new file FILE, which only its owner may read.

    It may hold private keys.
    """
    from nodemcu_tls_build.device.whole import back_up

    with _open_line(port, baud) as line:
        size = back_up(line, path, force=force)
    click.echo(f"Saved {size:,} bytes of {line.port} to {path}; the device's digest is the same.")


@device.command()
@click.argument("path", type=_FILE, metavar="FILE")
@click.argument("port", required=False)
@_yes_option
@baud_option
@click.pass_context
def restore(ctx: click.Context, path: Path, port: str | None, yes: bool, baud: int) -> None:
    """Write FILE, a backup, over all that is in a flash of the same size."""
    from nodemcu_tls_build.device.whole import restore as restore_flash

    with _open_line(port, baud) as line:
        if not yes:
            _confirm(ctx, f"Write {path} over the whole flash of {line.port}, keys too?")
        size = restore_flash(line, path)
    click.echo(f"Wrote {size:,} bytes of {path} to {line.port}; the device's digest is the same.")


@device.command()
@click.argument("port", required=False)
@click.option("--keep-credentials", is_flag=True, help="Leave stored certificates and keys alone.")
@_yes_option
@baud_option
@click.pass_context
def erase(
    ctx: click.Context, port: str | None, keep_credentials: bool, yes: bool, baud: int
) -> None:
    """Erase the whole flash, stored certificates and keys too unless they are to be kept."""
    from nodemcu_tls_build.device.whole import erase as erase_flash

    with _open_line(port, baud) as line:
        if not yes:
            rest = "but its credentials" if keep_credentials else "its certificates and keys too"
            _confirm(ctx, f"Erase the whole flash of {line.port}, {rest}?")
        ranges, places_kept = erase_flash(line, keep_credentials=keep_credentials)
    places = " and ".join(f"{start:#x} to {end:#x}" for start, end in ranges)
    kept = "credentials too"
    if keep_credentials:
        kept = "credentials kept" if places_kept else "no credentials were found"
    click.echo(f"Erased the flash of {line.port}, {places}: {kept}.")


def _confirm(ctx: click.Context, question: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("give --yes: there is no terminal to ask on", ctx)
    click.confirm(question, abort=True, err=True)


@contextmanager
def _open_line(port: str | None, baud: int, *, quiet: bool = False) -> Iterator[Line]:
    """Choose the port and show what is done on it."""
    from nodemcu_tls_build.commands.ports import choose, show_ports
    from nodemcu_tls_build.device.tool import Line

    port = choose(port)
    with show_ports([port], quiet=quiet) as shown:
        yield Line(port, baud, shown.report_for(port))
