"""How commands come by the passphrase of a private key: from a file, or asked for on a terminal."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_MAX_BYTES = 4096


def passphrase_option(command: F) -> F:
    """Add `--passphrase-file`, as `passphrase_path`."""
    return click.option(
        "--passphrase-file",
        "passphrase_path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The key's passphrase, one line; it is asked for when there is none.",
    )(command)


def make_ask(passphrase_path: Path | None) -> Callable[[Path], bytes | None]:
    """Return what gives the passphrase of a key, None where there is neither file nor terminal."""

    def ask(key_path: Path) -> bytes | None:
        if passphrase_path:
            return _read(passphrase_path)
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return None
        text: str = click.prompt(f"Passphrase of {key_path}", hide_input=True, err=True)
        return text.encode()

    return ask


def _read(path: Path) -> bytes:
    from nodemcu_tls_build.errors import CertificateError
    from nodemcu_tls_build.files import read_file

    try:
        data = read_file(path, _MAX_BYTES)
    except OSError as error:
        raise CertificateError(
            f"cannot read the passphrase in {path}: {error.strerror}", "Check the path."
        ) from error
    return data.removesuffix(b"\n").removesuffix(b"\r")
