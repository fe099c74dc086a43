"""The `nodemcu-tls` command: its group, and how an error is shown."""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
import shlex
import signal
import sys
from types import FrameType
from typing import Any

import click

from nodemcu_tls_build.commands import get_error_code, wants_json
from nodemcu_tls_build.errors import BuildError, ConfigError, OutputError, ToolFailed

# Each a module of that name in commands/.
COMMANDS = (
    *("profile", "build", "run", "cert", "provision", "fleet", "flash", "verify", "device"),
    *("monitor", "emulate", "apply"),
)
_OUTPUT_TAIL = 20  # lines of a failed tool's output worth showing
_INTERRUPTED = 128 + signal.SIGINT
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


class _Commands(click.Group):
    """Load a command's module when it is needed; show what goes wrong in it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"nodemcu_tls_build.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return self._invoke_or_explain(ctx)
        except _OutputLostError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is left in the buffer
            if error.errno != errno.EPIPE:  # a reader that went away wants nothing more
                show_error(OutputError(f"cannot write standard output: {error.strerror}"))
            raise click.exceptions.Exit(get_error_code(ctx)) from error
        except KeyboardInterrupt as interrupt:
            _echo("\nInterrupted." if sys.stderr.isatty() else "Interrupted.")  # after the ^C
            raise click.exceptions.Exit(_INTERRUPTED) from interrupt

    def _invoke_or_explain(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BuildError as error:
            if wants_json(ctx):
                click.echo(json.dumps(error.to_dict(), indent=2))
            else:
                show_error(error)
            raise click.exceptions.Exit(get_error_code(ctx)) from error


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="nodemcu-tls", message="%(prog)s %(version)s")
def cli() -> None:
    """Build ESP8266 firmware with TLS in it, run it in an emulator, flash it to a device."""


def main() -> None:
    """Run the command line of this process."""
    for number in _ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _end_cleanly)
    _open_closed_streams()
    _watch_streams()
    cli(prog_name="nodemcu-tls")


def show_error(error: BuildError) -> None:
    """Print the error and its hint on standard error."""
    _echo(f"{_style('Error:', fg='red', bold=True)} {error.message}")
    if isinstance(error, ConfigError):
        for problem in error.problems:
            _echo(f"  - {problem}")
    if isinstance(error, ToolFailed):
        _echo(f"  $ {shlex.join(error.command)}")
        lines = error.output.rstrip().splitlines()
        if len(lines) > _OUTPUT_TAIL:
            _echo(f"  … {len(lines) - _OUTPUT_TAIL} lines before these")
        for line in lines[-_OUTPUT_TAIL:]:
            _echo(f"  {line}")
    if error.hint:
        _echo(f"{_style('Hint:', fg='yellow', bold=True)} {error.hint}")


def _open_closed_streams() -> None:
    """Make each standard stream that was closed the null device.

    Python leaves None in its place, and its number to the next file that is opened: a port, or
    one that a child has to inherit and then gets as its input or output.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)  # as any other standard stream
            stream = os.fdopen(descriptor, "w" if number else "r", encoding="utf-8")
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # for good: an object that goes closes its number


class _OutputLostError(OSError):
    """Standard output cannot be written to."""


class _Output(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise _OutputLostError(error.errno, error.strerror) from error


class _Errors(io.FileIO):
    """What cannot be said on standard error goes unsaid: the work goes on."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _watch_streams() -> None:
    """Tell a lost output from other failures; have no work stop for lost errors."""
    for name, kind in (("stdout", _Output), ("stderr", _Errors)):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.flush()
            buffer = io.BufferedWriter(kind(stream.fileno(), "w", closefd=False))
            by_line = name == "stderr" or stream.isatty()
            # A name that it has no letters for is no crash.
            watched = io.TextIOWrapper(
                buffer, stream.encoding, errors="backslashreplace", line_buffering=by_line
            )
            setattr(sys, name, watched)


def _style(text: str, *, fg: str, bold: bool) -> str:
    return text if os.environ.get("NO_COLOR") else click.style(text, fg=fg, bold=bold)


def _echo(text: str) -> None:
    click.echo(text, err=True)  # takes the colours away where there is no terminal


def _end_cleanly(number: int, frame: FrameType | None) -> None:
    """Leave through every `finally` on the way out: no child, no temporary file stays behind."""
    raise SystemExit(128 + number)
