"""Give the emulator this process's terminal, or its piped input, and wait for its end."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nodemcu_tls_build.errors import ToolFailed, ToolNotFound
from nodemcu_tls_build.process import describe_exit

TIMED_OUT = 124  # as timeout(1) has it
READER_GONE = 141  # as a shell shows a program that SIGPIPE ended
_END_OF_INPUT = b"\x04"  # ends the firmware's prompt
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_PATIENCE = 2.0  # seconds for the emulator to end when asked to
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_libc = ctypes.CDLL(None)


def run_console(
    command: Sequence[str],
    *,
    uses_input: bool,
    timeout: float | None,
    on_warning: Callable[[str], None],
    descriptors: Sequence[int] = (),
) -> int:
    """Run the emulator to its end and return its exit code, or 124 after `timeout` seconds.

    Its console is standard output and, with `uses_input`, standard input: a terminal is handed
    over as it is and put back as it was; other input is passed on and ended with a ^D. It gets
    open `descriptors` under their own numbers, and ends with this process at the latest. Raises
    ToolFailed when the emulator itself, rather than the firmware in it, failed.
    """
    terminal = uses_input and os.isatty(_STDIN)
    piped = uses_input and not terminal
    stdin = None if terminal else subprocess.PIPE if piped else subprocess.DEVNULL
    with _keep_terminal():
        try:
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stderr=subprocess.PIPE,
                pass_fds=descriptors,
                preexec_fn=die_with_parent,  # noqa: PLW1509 -- there are no threads
            )
        except OSError as error:
            raise ToolNotFound(
                f"{command[0]} cannot be started: {error.strerror}",
                "Install QEMU: sudo apt-get install qemu-system-misc",
            ) from error
        try:
            code, messages = _attend(process, timeout)
        finally:
            _stop(process)
    check_end(command, code, messages, on_warning)
    return code


def die_with_parent() -> None:
    """Have this process, which is to become the emulator, killed when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Input:
    """Standard input on its way to the emulator; never waits on either side."""

    def __init__(self, sink: int) -> None:
        os.set_blocking(sink, False)
        self.sink = sink
        self.pending = b""
        self.last = b"\n"
        self.ended = False
        self.done = False

    def watch(self) -> tuple[int, int]:
        """Return the descriptor to wait for, and for what."""
        return (self.sink, select.POLLOUT) if self.pending else (_STDIN, select.POLLIN)

    def step(self) -> None:
        """Read some, or write some of what was read."""
        if self.pending:
            self._write()
            return
        try:
            self.pending = os.read(_STDIN, 4096)
        except OSError:  # closed: as good as its end
            self.pending = b""
        if not self.pending:
            self.pending = (b"" if self.last == b"\n" else b"\n") + _END_OF_INPUT
            self.ended = True
        self.last = self.pending[-1:]

    def _write(self) -> None:
        try:
            self.pending = self.pending[os.write(self.sink, self.pending) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.done = True
        self.done = self.done or (self.ended and not self.pending)


def _attend(process: subprocess.Popen[bytes], timeout: float | None) -> tuple[int, str]:
    """Serve the emulator until it ends; return its exit code and what it said on stderr."""
    assert process.stderr is not None  # noqa: S101 -- for the type checker: PIPE was asked for
    said = process.stderr.fileno()
    messages = b""
    feed = _Input(process.stdin.fileno()) if process.stdin else None
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        watched = {said: select.POLLIN, _STDOUT: 0}
        if feed and not feed.done:
            descriptor, event = feed.watch()
            watched[descriptor] = event
        ready = _poll(watched, deadline)
        if ready is None:
            process.kill()
            process.wait()
            return TIMED_OUT, ""
        if ready.get(_STDOUT, 0) & (select.POLLERR | select.POLLHUP):
            return READER_GONE, ""
        if said in ready:
            part = os.read(said, 4096)
            messages += part
            if not part:  # it has ended
                return process.wait(), messages.decode(errors="replace")
        if feed and not feed.done and feed.watch()[0] in ready:
            feed.step()


def _poll(watched: dict[int, int], deadline: float | None) -> dict[int, int] | None:
    """Return the events by descriptor; None at the deadline."""
    poller = select.poll()
    for descriptor, events in watched.items():
        poller.register(descriptor, events)
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    return dict(poller.poll(None if left is None else left * 1000)) or None


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stderr):
        if stream:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


@contextlib.contextmanager
def _keep_terminal() -> Iterator[None]:
    """Put back the terminal's modes and the descriptors' flags, which the emulator changes."""
    modes = termios.tcgetattr(_STDIN) if os.isatty(_STDIN) else None
    flags = {}
    for descriptor in (_STDIN, _STDOUT, _STDERR):
        with contextlib.suppress(OSError):
            flags[descriptor] = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        yield
    finally:
        for descriptor, value in flags.items():
            fcntl.fcntl(descriptor, fcntl.F_SETFL, value)
        if modes:
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(_STDIN, termios.TCSADRAIN, modes)


def check_end(
    command: Sequence[str], code: int, messages: str, on_warning: Callable[[str], None]
) -> None:
    """Tell the emulator's own failure, which it signs with its name, from the firmware's.

    `messages` is what it said on standard error: in a ToolFailed, else line by line a warning.
    """
    lines = messages.splitlines()
    prefix = f"{Path(command[0]).name}: "
    harmless = (f"{prefix}warning: ", f"{prefix}info: ", f"{prefix}Slirp: ")
    signed = [s for s in lines if s.startswith(prefix) and not s.startswith(harmless)]
    reason = signed[-1].removeprefix(prefix) if signed else ""
    if code < 0:
        reason = describe_exit(128 - code)
    if code < 0 or (code == 1 and reason) or reason.startswith("terminating on signal"):
        raise ToolFailed(f"the emulator failed: {reason}", None, command, messages, code)
    for line in lines:
        on_warning(line)
