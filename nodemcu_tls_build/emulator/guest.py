"""The firmware, running: QEMU as a child process whose console never makes anybody wait."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence

from nodemcu_tls_build.emulator.console import check_end, die_with_parent
from nodemcu_tls_build.errors import ToolNotFound

CONSOLE_BAUD = 115200  # the firmware's, whatever the host has
_INPUT_LIMIT = 64 * 1024  # bytes that wait for a firmware that does not read; more are lost
_MESSAGES_LIMIT = 16 * 1024
_CHUNK = 16 * 1024
_REFUSED = b"boot: refused: "  # app/boot/boot.c, before anything else
_REFUSED_CODE = 3

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Guest:
    """One boot of the chip, from reset to the emulator's end.

    Raises ToolNotFound when the emulator cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._pending = bytearray()
        self._is_silent = False
        self._first = b""
        self._messages = b""
        try:
            with _hold_signals():
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    process_group=0,  # ^C on the terminal is for this process, which ends it
                    preexec_fn=_prepare,  # noqa: PLW1509 -- there are no threads
                )
        except OSError as error:
            raise ToolNotFound(
                f"{command[0]} cannot be started: {error.strerror}",
                "Install QEMU: sudo apt-get install qemu-system-misc",
            ) from error
        streams = self._process.stdin, self._process.stdout, self._process.stderr
        self._input, self._output, self._said = (s.fileno() for s in streams if s)
        for descriptor in (self._input, self._output, self._said):
            os.set_blocking(descriptor, False)

    def write(self, data: bytes) -> None:
        """Type on the console; what the firmware has no room for is lost, as on the chip."""
        self._pending += data[: max(0, _INPUT_LIMIT - len(self._pending))]
        self._flush()

    def watch(self, *, has_room: bool) -> dict[int, int]:
        """Return the descriptors to wait for; the console is left alone without room for it."""
        watched = {self._said: select.POLLIN} if not self._is_silent else {}
        if has_room:
            watched[self._output] = select.POLLIN
        if self._pending:
            watched[self._input] = select.POLLOUT
        return watched

    def step(self, ready: dict[int, int]) -> bytes | None:
        """Do what `ready` allows; return what the console shows, None at the emulator's end."""
        if self._input in ready:
            self._flush()
        if self._said in ready:
            self._read_messages()
        if self._output not in ready:
            return b""
        try:
            data = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return b""
        self._first = (self._first + data)[: len(_REFUSED)]
        return data or None

    def finish(self) -> tuple[int, list[str]]:
        """Return the exit code of an emulator that has ended, and what it warned of.

        Raises ToolFailed when it was the emulator that failed, not the firmware in it.
        """
        code = self._process.wait()
        self._read_messages()
        self._close()
        warnings: list[str] = []
        messages = self._messages.decode(errors="replace")
        check_end(self._command, code, messages, warnings.append)
        return code, warnings

    def was_refused(self, code: int) -> bool:
        """Tell whether it was the boot ROM that ended it: there is nothing to boot."""
        return code == _REFUSED_CODE and self._first.startswith(_REFUSED)

    def kill(self) -> None:
        """End the emulator where it stands, as a reset ends the firmware."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _flush(self) -> None:
        try:
            while self._pending:
                del self._pending[: os.write(self._input, self._pending)]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._pending.clear()

    def _read_messages(self) -> None:
        """Keep the end of what the emulator says on standard error: it must not wait for that."""
        try:
            while part := os.read(self._said, _CHUNK):
                self._messages = (self._messages + part)[-_MESSAGES_LIMIT:]
        except BlockingIOError:
            return
        self._is_silent = True

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream:
                stream.close()


@contextlib.contextmanager
def _hold_signals() -> Iterator[None]:
    """Let a signal that ends this process wait: in the midst of a fork Python would lose it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    die_with_parent()
