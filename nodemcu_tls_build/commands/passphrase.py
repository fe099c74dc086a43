"""How commands come by the passphrase of a private key: from a file, or asked for on a terminal."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import click

from nodemcu_tls_build.commands import FilePath

F = TypeVar("F", bound=Callable[..., Any])

_MAX_BYTES = 4096
_LOCAL_MODES = 3  # where they are in what termios returns


def passphrase_option(command: F) -> F:
    """Add `--passphrase-file`, as `passphrase_path`."""
    return click.option(
        "--passphrase-file",
        "passphrase_path",
        type=FilePath(),
        metavar="FILE",
        help="The key's passphrase, one line; it is asked for when there is none.",
    )(command)


def make_ask(passphrase_path: Path | None) -> Callable[[Path], bytes | None]:
    """Return what gives the passphrase of a key, None where there is neither file nor terminal."""

    @cache  # a pipe can be read but once
    def read() -> bytes:
        return _read(passphrase_path) if passphrase_path else b""

    def ask(key_path: Path) -> bytes | None:
        if passphrase_path:
            return read()
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return None
        return _prompt(key_path)

    return ask


def _read(path: Path) -> bytes:
    from nodemcu_tls_build.errors import CertificateError
    from nodemcu_tls_build.files import read_file

    try:
        data = read_file(path, _MAX_BYTES, allow_pipe=True)
    except OSError as error:
        raise CertificateError(
            f"cannot read the passphrase in {path}: {error.strerror}", "Check the path."
        ) from error
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    if b"\n" in line:
        raise CertificateError(
            f"{path} has more than one line", "Put the passphrase there alone, on one line."
        )
    return line


def _prompt(key_path: Path) -> bytes:
    """Ask on the terminal, without an echo; the bytes are taken as they are typed."""
    from nodemcu_tls_build.errors import CertificateError

    terminal = sys.stdin.fileno()
    modes = termios.tcgetattr(terminal)
    silent = [*modes[:_LOCAL_MODES], modes[_LOCAL_MODES] & ~termios.ECHO]
    silent += modes[_LOCAL_MODES + 1 :]
    line = b""
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
        click.echo(f"Passphrase of {key_path}: ", nl=False, err=True)
        while not line.endswith(b"\n") and (piece := os.read(terminal, _MAX_BYTES)):
            line += piece
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, modes)
    click.echo(err=True)
    if not line:
        raise CertificateError(
            f"the passphrase of {key_path} was not given", "Type it, or use --passphrase-file FILE."
        )
    return line.removesuffix(b"\n")
