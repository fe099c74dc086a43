"""`nodemcu-tls monitor`: the serial console of a device."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from nodemcu_tls_build.commands import baud_option, build_option, timeout_option

if TYPE_CHECKING:
    from nodemcu_tls_build.commands.line_editor import LineEditor
    from nodemcu_tls_build.monitor.batch import BatchRequest
    from nodemcu_tls_build.monitor.console import Console, Shown
    from nodemcu_tls_build.monitor.link import Link
    from nodemcu_tls_build.monitor.log import Log
    from nodemcu_tls_build.monitor.report import Decoder

_MARK = "--- "  # before what the device did not say
_STDIN = 0
# Seconds of silence before a typed line is sent though there is no prompt: to a device that had
# one before, and to one that may have shown it before the monitor was there.
_BUSY_PATIENCE, _START_PATIENCE = 3.0, 0.3


def _check_until(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    if value == "":
        raise click.BadParameter("needs a text to wait for", context, parameter)
    return value


@click.command()
@click.argument("port", required=False)
@baud_option
@build_option("Decode crashes and addresses with this build's firmware.elf.")
@click.option("--reset", is_flag=True, help="Reset the device first, by RTS.")
@click.option(
    "--log",
    "log_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Append all that the device says, and the reports of its crashes, to FILE.",
)
@click.option(
    "--until",
    callback=_check_until,
    metavar="TEXT",
    help="End with exit code 0 when the device says TEXT; the echo of input does not count.",
)
@timeout_option("End after this time, with exit code 124.")
@click.option("--keep-going", is_flag=True, help="Do not end when the device crashes.")
@click.pass_context
def monitor(  # noqa: PLR0913, PLR0917 -- one parameter an option
    ctx: click.Context,
    port: str | None,
    baud: int,
    build_dir: Path,
    reset: bool,
    log_path: Path | None,
    until: str | None,
    timeout: float | None,
    keep_going: bool,
) -> None:
    """Show the serial console of the device on PORT and send it lines.

    PORT is a device file or rfc2217://HOST:PORT; without it, the one likely device. Opening it
    does not reset the device, and when it goes away, by a reset or by the cable, it is waited for.

    A crash dump is followed by a report: what happened, where, and who called that, with
    function, file and line. So are addresses of code in what the device says. Lines that the
    device did not say begin with ---.

    On a terminal a line is edited and sent with Enter; the firmware echoes it, so it is shown
    once. Ctrl-C clears the line, and a chunk that is unfinished at a >> prompt. Ctrl-T Ctrl-R
    resets the device, Ctrl-D on an empty line or Ctrl-] leaves.

    With input from elsewhere, or with --until, --timeout or --keep-going, it is for scripts: the
    input's lines are sent one by one, each when the prompt has come. It ends when TEXT was seen
    (exit code 0) or at the timeout (124); with neither, when the prompt has come after the last
    line (0). A crash of the device ends it with exit code 1, unless --keep-going.
    """
    from nodemcu_tls_build.commands.ports import choose
    from nodemcu_tls_build.device.ports import hold_port
    from nodemcu_tls_build.monitor.batch import BatchRequest
    from nodemcu_tls_build.monitor.console import Console
    from nodemcu_tls_build.monitor.link import Link
    from nodemcu_tls_build.monitor.report import Decoder

    port = choose(None) if port is None else port
    decoder = Decoder(build_dir)
    if ctx.get_parameter_source("build_dir") is ParameterSource.COMMANDLINE:
        decoder.load()
    wants_batch = until is not None or timeout is not None or keep_going
    tell = _Teller()
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(_open_log(log_path, tell))
        stack.enter_context(hold_port(port))
        link = stack.enter_context(contextlib.closing(Link(port, baud, tell)))
        console = Console(decoder, time.monotonic())
        if _can_edit() and not wants_batch:
            editor = _open_editor(link, console, log)
            tell.write = editor.write
            _tell_start(tell, port, decoder)
            editor.run(reset=reset)
        else:
            text = until.encode(errors="surrogateescape") if until else None
            request = BatchRequest(text, timeout, keep_going, reset)
            ctx.exit(_run_batch(link, console, log, tell, request))


def _can_edit() -> bool:
    is_dumb = os.environ.get("TERM", "dumb") == "dumb"
    return not is_dumb and sys.stdin.isatty() and sys.stdout.isatty()


def _run_batch(
    link: Link, console: Console, log: Log | None, tell: _Teller, request: BatchRequest
) -> int:
    from nodemcu_tls_build.monitor.batch import Batch
    from nodemcu_tls_build.monitor.pump import Pump
    from nodemcu_tls_build.monitor.typist import Typist

    output = _Output()
    batch = Batch(request, _STDIN, output.show, tell)
    typist = Typist(request.patience, request.patience, time.monotonic())
    pump = Pump(link, console, typist, log=log, hides_echo=False, on_heard=batch.listen)
    if request.was_reset:
        for shown in pump.reset():
            output.show(shown)
    try:
        return batch.run(pump)
    finally:
        output.end_line()


def _open_editor(link: Link, console: Console, log: Log | None) -> LineEditor:
    from nodemcu_tls_build.commands.line_editor import LineEditor
    from nodemcu_tls_build.monitor.pump import Pump
    from nodemcu_tls_build.monitor.typist import Typist

    typist = Typist(_BUSY_PATIENCE, _START_PATIENCE, time.monotonic())
    return LineEditor(
        Pump(link, console, typist, log=log, hides_echo=True, drops_lines=True), _style_notes
    )


def _tell_start(tell: _Teller, port: str, decoder: Decoder) -> None:
    from nodemcu_tls_build.commands.line_editor import KEYS
    from nodemcu_tls_build.errors import ImageError

    tell(f"Connected to {port}. {KEYS}")
    try:
        decoder.load()
    except ImageError as error:
        tell(f"Crashes are not decoded: {error.message}. {error.hint or ''}".rstrip())


class _Output:
    """Standard output: what the device says as it comes, notes on lines of their own."""

    def __init__(self) -> None:
        self._at_start = True

    def show(self, shown: Shown) -> None:
        if shown.text:
            self._write(shown.text)
            self._at_start = shown.text.endswith("\n")
        if shown.notes:
            self.end_line()
            self._write(_style_notes(shown))

    def end_line(self) -> None:
        if not self._at_start:
            self._write("\n")
        self._at_start = True

    def _write(self, text: str) -> None:
        from nodemcu_tls_build.files import explain_write_error

        try:
            click.echo(text, nl=False)
        except BrokenPipeError:
            raise
        except OSError as error:
            # What could not be written would be tried again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise explain_write_error(Path("standard output"), error) from error


def _style_notes(shown: Shown) -> str:
    """Return the notes as lines, with colours on a terminal unless NO_COLOR is set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    has_colours = sys.stdout.isatty() and not plain
    lines = []
    for note in shown.notes:
        line = f"{_MARK}{note.text}"
        if has_colours and note.style == "title":
            line = click.style(line, fg="red", bold=True)
        elif has_colours:
            line = click.style(line, dim=True) if note.style == "dim" else click.style(line, "cyan")
        lines.append(f"{line}\n")
    return "".join(lines)


class _Teller:
    """Say what concerns the monitor itself, on standard error unless `write` is another."""

    def __init__(self) -> None:
        self.write: Callable[[str], None] = lambda text: click.echo(text, nl=False, err=True)

    def __call__(self, text: str) -> None:
        self.write(f"{_MARK}{text}\n")


@contextlib.contextmanager
def _open_log(path: Path | None, tell: _Teller) -> Iterator[Log | None]:
    from nodemcu_tls_build.monitor.log import Log

    if path is None:
        yield None
        return
    with contextlib.closing(Log(path, tell)) as log:
        yield log
