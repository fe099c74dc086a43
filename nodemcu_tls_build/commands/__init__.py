"""The commands, one module each: parse, call, show."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_JSON = "nodemcu_tls_build.json"
_ERROR_CODE = "nodemcu_tls_build.error_code"

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


def baud_option(command: F) -> F:
    """Add `--baud`."""
    return click.option(
        "--baud",
        type=click.IntRange(min=300, max=4_000_000),
        default=115200,
        show_default=True,
        metavar="N",
        help="Bits per second on the serial line.",
    )(command)


class FilePath(click.Path):
    """A path of a file or directory; what it is, and whether it can be read, is found out later."""

    def __init__(self) -> None:
        super().__init__(readable=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty text, which would be the current directory."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


def set_option(command: F) -> F:
    """Add `--set`, any number of times, as `settings`."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Lay a setting over the profile, such as tls.in_buffer=8KiB; may be repeated.",
    )(command)


def build_option(help: str = "The output directory of the build.") -> Callable[[F], F]:
    """Add `--build`, as `build_dir`."""
    return click.option(
        "--build",
        "build_dir",
        type=click.Path(path_type=Path),
        default=Path("build"),
        show_default=True,
        metavar="DIR",
        help=help,
    )


def hosts_option(command: F) -> F:
    """Add `--add-host`, as `hosts`."""
    return click.option(
        "--add-host",
        "hosts",
        multiple=True,
        metavar="NAME:IP",
        help="Let NAME resolve to IP; the IP host-gateway is this machine's loopback.",
    )(command)


def timeout_option(help: str) -> Callable[[F], F]:
    """Add `--timeout`."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True, max=1_000_000),
        callback=_refuse_nan,
        metavar="SECONDS",
        help=help,
    )


def wants_json(context: click.Context) -> bool:
    """Tell whether the command that runs below `context` was given `--json`."""
    return bool(context.meta.get(_JSON))


def set_error_code(context: click.Context, code: int) -> None:
    """Have an error end the command that runs below `context` with this exit code, not with 1."""
    context.meta[_ERROR_CODE] = code


def get_error_code(context: click.Context) -> int:
    """Return the exit code for an error of the command that runs below `context`."""
    return int(context.meta.get(_ERROR_CODE, 1))


def _remember_json(context: click.Context, parameter: click.Parameter, value: bool) -> bool:
    context.meta[_JSON] = value
    return value


def _refuse_nan(
    context: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    if value is not None and math.isnan(value):
        raise click.BadParameter("is not a number of seconds", context, parameter)
    return value
