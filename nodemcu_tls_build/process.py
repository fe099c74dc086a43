"""Run other programs: the only door to subprocess."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nodemcu_tls_build.errors import BuildError, OutputError, ToolFailed, ToolNotFound

Args = Sequence[str | Path]

_ASK_AFTER = 1.0  # seconds an interrupted child has before it is sent SIGINT once more
_KILL_AFTER = 4.0  # seconds it has after that


def run_capture(
    args: Args,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
) -> str:
    """Run a program to its end and return its standard output.

    Raises ToolNotFound when it cannot be started and ToolFailed, with standard output and
    standard error as `output`, when it does not end with 0.
    """
    command = [str(arg) for arg in args]
    try:
        result = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            check=False,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}),
        )
    except OSError as error:
        raise _explain_start_error(command, cwd, error) from error
    code = _shell_code(result.returncode)
    if code != 0:
        raise ToolFailed(
            f"{Path(command[0]).name} {describe_exit(code)}",
            None,
            command,
            result.stdout + result.stderr,
            code,
        )
    return result.stdout


def run_live(
    args: Args,
    *,
    on_line: Callable[[str], None],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    keep_open: Sequence[int] = (),
) -> int:
    """Run a program, hand each line it prints to `on_line`, and return its exit code.

    Standard output and standard error are merged; bytes that are not UTF-8 arrive as U+FFFD.
    A child that dies by signal N gives 128 + N, as in a shell. When the wait is interrupted
    (Ctrl-C, or an error raised by `on_line`), the child is given 5 seconds to end by its own
    SIGINT handling, then killed, and the exception goes on. The child and its children have the
    file descriptors in `keep_open` too.
    """
    command = [str(arg) for arg in args]
    try:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            pass_fds=keep_open,
        )
    except OSError as error:
        raise _explain_start_error(command, cwd, error) from error
    try:
        assert child.stdout is not None  # noqa: S101 -- for the type checker: PIPE was asked for
        for line in child.stdout:
            on_line(line.rstrip("\n"))
        return _shell_code(child.wait())
    except BaseException:
        _stop(child)
        raise
    finally:
        if child.stdout is not None:
            child.stdout.close()


def describe_exit(code: int) -> str:
    """Return the end of a sentence about an exit code as `run_live` returns it."""
    if code > 128:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(code - 128).name}"
    return f"ended with exit code {code}"


def _shell_code(returncode: int) -> int:
    return returncode if returncode >= 0 else 128 - returncode


def _stop(child: subprocess.Popen[str]) -> None:
    """End the child; go on reading what it prints, so that a full pipe does not hold it up."""
    for seconds in (_ASK_AFTER, _KILL_AFTER):
        try:
            child.communicate(timeout=seconds)
            return
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
    child.kill()
    child.wait()


def _explain_start_error(command: Sequence[str], cwd: Path | None, error: OSError) -> BuildError:
    if cwd is not None and not cwd.is_dir():
        return OutputError(f"cannot run {command[0]} in {cwd}: no such directory")
    if isinstance(error, FileNotFoundError):
        return ToolNotFound(
            f"{command[0]} was not found", "Install it, or put its directory on PATH."
        )
    reason = error.strerror or type(error).__name__
    return ToolNotFound(
        f"{command[0]} cannot be started: {reason}", "Check that it is a program for this machine."
    )
