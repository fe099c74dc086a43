"""`nodemcu-tls cert new-ca`, `new-server`, `new-client`: a small PKI for development."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nodemcu_tls_build.commands import json_option
from nodemcu_tls_build.commands.passphrase import make_ask, passphrase_option

if TYPE_CHECKING:
    from nodemcu_tls_build.certs.pki import Authority, Made, Writing

_FILE = click.Path(path_type=Path)
_MAX_DAYS = 36500

F = TypeVar("F", bound=Callable[..., Any])


def _days_option(default: int, help: str) -> Callable[[F], F]:
    return click.option(
        "--days",
        type=click.IntRange(1, _MAX_DAYS),
        default=default,
        show_default=True,
        metavar="N",
        help=help,
    )


def _out_options(command: F) -> F:
    """Add `--out` and `--force`, as `out_dir` and `force`."""
    out = click.option(
        "--out",
        "out_dir",
        type=_FILE,
        default=Path(),
        metavar="DIR",
        help="Where the files go; the current directory unless given.",
    )
    force = click.option("--force", is_flag=True, help="Replace keys and certificates.")
    return out(force(command))


def _issuing_options(command: F) -> F:
    """Add what says who issues, and how new keys are encrypted."""
    options = (
        click.option(
            "--ca-cert",
            "ca_cert_path",
            type=_FILE,
            metavar="FILE",
            help="The CA's certificate; ca.crt in DIR unless given.",
        ),
        click.option(
            "--ca-key",
            "ca_key_path",
            type=_FILE,
            metavar="FILE",
            help="The CA's private key; ca.key in DIR unless given.",
        ),
        passphrase_option,
        click.option(
            "--new-passphrase-file",
            "new_passphrase_path",
            type=_FILE,
            metavar="FILE",
            help="Encrypt the new keys with this passphrase, one line.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("new-ca")
@click.option("--name", default="Development CA", show_default=True, help="The CA's common name.")
@_days_option(3650, "How long it is valid: as long as the devices that it is built into.")
@_out_options
@click.option(
    "--passphrase-file",
    "passphrase_path",
    type=_FILE,
    metavar="FILE",
    help="Encrypt the key with this passphrase, one line.",
)
@json_option
def new_ca(  # noqa: PLR0913, PLR0917 -- one parameter an option
    name: str,
    days: int,
    out_dir: Path,
    force: bool,
    passphrase_path: Path | None,
    as_json: bool,
) -> None:
    """Make a CA for development: ca.crt and ca.key.

    The key is on P-256 and readable to you alone. The certificate is for servers' and clients'
    certificates right below it: no CA can be in between.
    """
    from nodemcu_tls_build.certs.pki import make_ca

    made = make_ca(name, days=days, writing=_make_writing(out_dir, passphrase_path, force=force))
    steps = [
        f"nodemcu-tls build --ca {_quote(made.cert_path)}",
        f"nodemcu-tls cert new-server server.test{_name_directory(out_dir)}",
    ]
    _show([made], steps, days=days, as_json=as_json)


@click.command("new-server")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_days_option(397, "How long it is valid, at most as long as the CA's.")
@_out_options
@_issuing_options
@json_option
def new_server(  # noqa: PLR0913, PLR0917 -- one parameter an option
    names: tuple[str, ...],
    days: int,
    out_dir: Path,
    force: bool,
    ca_cert_path: Path | None,
    ca_key_path: Path | None,
    passphrase_path: Path | None,
    new_passphrase_path: Path | None,
    as_json: bool,
) -> None:
    """Make a server's certificate for one or several NAMEs: NAME.crt and NAME.key.

    A NAME is a DNS name, *. in front of it or not, or an IP address. The files have the first
    one's name.
    """
    from nodemcu_tls_build.certs.pki import make_server

    authority = _make_authority(out_dir, ca_cert_path, ca_key_path, passphrase_path)
    writing = _make_writing(out_dir, new_passphrase_path, force=force)
    made = make_server(names, authority, days=days, writing=writing)
    files = f"-cert {_quote(made[0].cert_path)} -key {_quote(made[0].key_path)}"
    _show(made, [f"openssl s_server -accept 4433 {files} -www"], days=days, as_json=as_json)


@click.command("new-client")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_days_option(3650, "How long it is valid, at most as long as the CA's.")
@_out_options
@_issuing_options
@json_option
def new_client(  # noqa: PLR0913, PLR0917 -- one parameter an option
    names: tuple[str, ...],
    days: int,
    out_dir: Path,
    force: bool,
    ca_cert_path: Path | None,
    ca_key_path: Path | None,
    passphrase_path: Path | None,
    new_passphrase_path: Path | None,
    as_json: bool,
) -> None:
    """Make a client's certificate for each NAME, its common name: NAME.crt and NAME.key.

    For many devices there is `nodemcu-tls fleet`.
    """
    from nodemcu_tls_build.certs.pki import make_clients

    authority = _make_authority(out_dir, ca_cert_path, ca_key_path, passphrase_path)
    writing = _make_writing(out_dir, new_passphrase_path, force=force)
    made = make_clients(names, authority, days=days, writing=writing)
    ca = f"--ca {_quote(authority.cert_path)}"
    steps = [
        f"nodemcu-tls provision PORT {ca} --cert {_quote(it.cert_path)} --key {_quote(it.key_path)}"
        for it in made
    ]
    _show(made, steps, days=days, as_json=as_json)


def _make_authority(
    out_dir: Path, cert_path: Path | None, key_path: Path | None, passphrase_path: Path | None
) -> Authority:
    from nodemcu_tls_build.certs.pki import Authority

    if bool(cert_path) != bool(key_path):
        raise click.UsageError("--ca-cert and --ca-key go together", click.get_current_context())
    ask = make_ask(passphrase_path)
    return Authority(cert_path or out_dir / "ca.crt", key_path or out_dir / "ca.key", ask)


def _make_writing(out_dir: Path, passphrase_path: Path | None, *, force: bool) -> Writing:
    from nodemcu_tls_build.certs.pki import Writing

    passphrase = make_ask(passphrase_path)(out_dir) if passphrase_path else None
    return Writing(out_dir, replace=force, passphrase=passphrase)


def _name_directory(out_dir: Path) -> str:
    return "" if out_dir == Path() else f" --out {_quote(out_dir)}"


def _quote(path: Path) -> str:
    return shlex.quote(str(path))


def _show(made: Sequence[Made], steps: Sequence[str], *, days: int, as_json: bool) -> None:
    if as_json:
        data = {"made": [it.to_dict() for it in made], "next": list(steps)}
        click.echo(json.dumps(data, indent=2))
        return
    for it in made:
        names = f" for {', '.join(it.names)}" if it.names else f": CN={it.name}"
        click.echo(
            f"Made {it.cert_path} and {it.key_path}{names}, valid until {it.not_after:%Y-%m-%d}."
        )
    if made[0].is_cut:
        click.echo(f"That is when the CA's certificate ends: {days} days were asked for.")
    for title, step in zip(("Next:", *["     "] * len(steps)), steps, strict=False):
        click.echo(f"{title} {step}")
