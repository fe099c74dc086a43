"""Run other programs: the only door to subprocess."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from nodemcu_tls_build.errors import BuildError, OutputError, ToolFailed, ToolNotFound

Args = Sequence[str | Path]

_ASK_AFTER = 1.0  # seconds an interrupted child has before it is sent SIGINT once more
_KILL_AFTER = 4.0  # seconds it has after that

_LOOK_AFTER = 1.0  # seconds at most after which a limit is looked at again: it may have changed

TIMED_OUT = 124  # exit code of a program that took longer than it was given, as of timeout(1)
FELL_SILENT = 123  # exit code of one that printed nothing for longer than it was given


class Stopper:
    """End programs that run, from any thread and once for all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def stop(self) -> None:
        """Send every program SIGTERM; from now on one that is started is sent it at once."""
        with self._lock:
            self._stopped = True
            for child in self._children:
                child.send_signal(signal.SIGTERM)

    @contextlib.contextmanager
    def watch(self, child: subprocess.Popen[str]) -> Iterator[None]:
        """Have `stop` end the child, too, as long as the context lasts."""
        with self._lock:
            self._children.add(child)
            if self._stopped:
                child.send_signal(signal.SIGTERM)
        try:
            yield
        finally:
            with self._lock:
                self._children.discard(child)


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


def run_live(  # noqa: PLR0913 -- what to run, and seven ways to run it
    args: Args,
    *,
    on_line: Callable[[str], None],
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    keep_open: Sequence[int] = (),
    timeout: float | None = None,
    count_silence: Callable[[], float] | None = None,
    stoppers: Sequence[Stopper] = (),
) -> int:
    """Run a program, hand each line it prints to `on_line`, and return its exit code.

    Standard output and standard error are merged; bytes that are not UTF-8 arrive as U+FFFD.
    A child that dies by signal N gives 128 + N, as in a shell. When the wait is interrupted
    (Ctrl-C, or an error raised by `on_line`), the child is given 5 seconds to end by its own
    SIGINT handling, then killed, and the exception goes on. After `timeout` seconds it is ended
    in the same way, and the exit code is TIMED_OUT. `count_silence` tells how many seconds it may
    take to its next line, from now on; when it takes longer, the exit code is FELL_SILENT. Each of
    `stoppers` may end it, too. The child and its children have the file descriptors in `keep_open`
    too.
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
        with contextlib.ExitStack() as stack:
            for stopper in stoppers:
                stack.enter_context(stopper.watch(child))
            limit = stack.enter_context(_Limit(child, timeout, count_silence))
            for line in child.stdout:
                limit.note_line()  # first: what the line says may make the next one's time short
                on_line(line.rstrip("\n"))
            code = _shell_code(child.wait())
        return limit.code or code
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


class _Limit:
    """Interrupt a child when its time is up, kill it a little later; `code` tells which time.

    A context: it ends with the wait for the child.
    """

    def __init__(
        self,
        child: subprocess.Popen[str],
        timeout: float | None,
        count_silence: Callable[[], float] | None,
    ) -> None:
        self.code = 0
        self._child = child
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._count_silence = count_silence
        self._heard_at = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def note_line(self) -> None:
        """Take note that the child has printed a line."""
        self._heard_at = time.monotonic()

    def __enter__(self) -> _Limit:
        if self._deadline is not None or self._count_silence:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        while True:
            left, code = self._find_next()
            if left <= 0:
                break
            if self._over.wait(min(left, _LOOK_AFTER)):
                return
        self.code = code
        self._child.send_signal(signal.SIGINT)
        if not self._over.wait(_ASK_AFTER + _KILL_AFTER):
            self._child.kill()

    def _find_next(self) -> tuple[float, int]:
        """Return the seconds to the limit that is reached first, and the code that tells it."""
        now = time.monotonic()
        limits = [] if self._deadline is None else [(self._deadline - now, TIMED_OUT)]
        if self._count_silence:
            limits.append((self._heard_at + self._count_silence() - now, FELL_SILENT))
        return min(limits)


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
