"""The commands, one module each: parse, call, show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_JSON = "nodemcu_tls_build.json"

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Add `--json`, which makes a failure JSON on standard output too, as `as_json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        callback=_remember_json,
        help="Print JSON on standard output and nothing else.",
    )(command)


def device_arguments(command: F) -> F:
    """Add what every command about a device takes: `port`, `build_dir` and `baud`."""
    command = click.option(
        "--baud",
        type=click.IntRange(min=300),
        default=115200,
        show_default=True,
        metavar="N",
        help="Bits per second on the serial line.",
    )(command)
    command = click.option(
        "--build",
        "build_dir",
        type=click.Path(path_type=Path),
        default=Path("build"),
        show_default=True,
        metavar="DIR",
        help="The output directory of the build.",
    )(command)
    return click.argument("port")(command)


def wants_json(context: click.Context) -> bool:
    """Tell whether the command that runs below `context` was given `--json`."""
    return bool(context.meta.get(_JSON))


def _remember_json(context: click.Context, parameter: click.Parameter, value: bool) -> bool:
    context.meta[_JSON] = value
    return value
