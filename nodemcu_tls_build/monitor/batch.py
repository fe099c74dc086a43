"""Talk to a device without a person: lines in, output out, and an exit code for CI."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass

from nodemcu_tls_build.errors import DeviceError
from nodemcu_tls_build.monitor.console import Shown
from nodemcu_tls_build.monitor.pump import Pump
from nodemcu_tls_build.monitor.typist import LONGEST_LINE

TIMED_OUT = 124  # as timeout(1) has it
CRASHED = 1
_QUEUED = 16  # lines that are read ahead
_POKE_AFTER = 0.3  # seconds of silence before the device is asked for its prompt
_POKE_ANYWAY = 1.0  # seconds after which a device that is not silent is asked
_LOST_FOR = 30.0  # seconds to wait for a lost device when there is no timeout


@dataclass(frozen=True)
class BatchRequest:
    """When to end: at a text that the device says, or after a time.

    `until` counts when no line of the input waits to be typed, `timeout` is in seconds. With
    neither, the end is the prompt after the last line, for which there are `patience` seconds of
    silence, more from a device that says other things. A crash ends it too unless
    `keeps_going`. `was_reset`: the device is starting.
    """

    until: bytes | None = None
    timeout: float | None = None
    keeps_going: bool = False
    was_reset: bool = False
    patience: float = 10.0


class Batch:
    """One run; `show` gets what is to be shown, `on_notice` what is to be told beside it."""

    def __init__(
        self,
        request: BatchRequest,
        input_file: int | None,
        show: Callable[[Shown], None],
        on_notice: Callable[[str], None],
    ) -> None:
        self._request = request
        self._input = _Input(input_file)
        self._show = show
        self._on_notice = on_notice
        self._is_found = False
        self._tail = b""
        self._has_poked = request.was_reset
        self._has_warned = False
        self._lost_at: float | None = None
        self._met_at = time.monotonic()  # when the device was new

    def listen(self, heard: bytes) -> None:
        """Look for the text in what the device says: what was typed does not count."""
        until = self._request.until
        if until:
            self._tail += heard
            self._is_found = self._is_found or until in self._tail
            self._tail = self._tail[-len(until) :]

    def run(self, pump: Pump) -> int:
        """Send the input's lines, each to the prompt; return the exit code.

        That is 0, 1 after a crash, 124 at the timeout. Raises DeviceError when the device gives
        no prompt or does not come back, and for a line that is too long for it.
        """
        timeout = self._request.timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            for shown in pump.step():
                self._show(shown)
            code = self._find_end(pump, deadline)
            if code is not None:
                break
            self._type(pump)
        for shown in pump.finish():
            self._show(shown)
        return CRASHED if pump.console.crashes and not self._request.keeps_going else code

    def _find_end(self, pump: Pump, deadline: float | None) -> int | None:
        now = time.monotonic()
        if pump.console.crashes and not self._request.keeps_going:
            return CRASHED
        if self._is_found and not self._has_lines(pump):
            return 0
        if deadline is not None and now >= deadline:
            return TIMED_OUT
        self._check_link(pump, now, deadline)
        ends_at_prompt = not self._request.until and deadline is None
        if not ends_at_prompt or self._has_lines(pump) or not self._input.has_ended:
            return None
        self._check_patience(pump, now)
        return 0 if pump.typist.at_prompt else None

    def _check_patience(self, pump: Pump, now: float) -> None:
        if pump.link.is_connected and pump.typist.is_overdue(now):
            raise DeviceError(
                f"{pump.link.port} gave no prompt for too long",
                "Say when to end with --until TEXT or --timeout SECONDS, "
                "or start the device again with --reset.",
            )

    def _check_link(self, pump: Pump, now: float, deadline: float | None) -> None:
        if pump.link.is_connected and self._lost_at is not None:
            self._lost_at = None
            self._has_poked, self._met_at = False, now  # it may be silent at its prompt
        elif pump.link.is_connected:
            return
        elif self._lost_at is None:
            self._lost_at = now
        elif deadline is None and now - self._lost_at >= _LOST_FOR:
            raise DeviceError(
                f"{pump.link.port} did not come back in {_LOST_FOR:g} seconds",
                "Is the device plugged in?",
            )

    def _has_lines(self, pump: Pump) -> bool:
        self._input.read()
        return bool(self._input.lines) or pump.typist.is_typing

    def _type(self, pump: Pump) -> None:
        """Queue lines for the device; ask for its prompt when it does not show one."""
        if pump.typist.waiting_lines == 0:
            self._input.read()
        for line in self._input.take(_QUEUED - pump.typist.waiting_lines):
            pump.typist.put(line)
        now = time.monotonic()
        wants_prompt = pump.typist.waiting_lines or self._needs_prompt
        if pump.typist.at_prompt:
            self._has_poked = True
        elif not self._has_poked and wants_prompt and self._is_poke_due(pump, now):
            self._has_poked = True
            pump.send(pump.typist.poke(now))
        if pump.typist.gave_up and not self._has_warned:
            self._has_warned = True
            self._on_notice("Warning: the device shows no prompt, lines are sent all the same.")

    def _is_poke_due(self, pump: Pump, now: float) -> bool:
        return pump.typist.silence(now) >= _POKE_AFTER or now - self._met_at >= _POKE_ANYWAY

    @property
    def _needs_prompt(self) -> bool:
        return not self._request.until and self._request.timeout is None and self._input.has_ended


class _Input:
    """The lines of standard input, without waiting for them."""

    def __init__(self, descriptor: int | None) -> None:
        self.lines: list[bytes] = []
        self.has_ended = descriptor is None
        self._descriptor = descriptor
        self._part = b""
        self._count = 0

    def read(self) -> None:
        """Read what is there."""
        if self.lines or self.has_ended or self._descriptor is None:
            return
        if not select.select([self._descriptor], [], [], 0)[0]:
            return
        try:
            data = os.read(self._descriptor, 4096)
        except OSError:  # closed: as good as its end
            data = b""
        *whole, self._part = (self._part + data).split(b"\n")
        if not data:
            self.has_ended = True
            whole += [self._part] if self._part else []
        for line in whole:
            self._count += 1
            self.lines.append(self._check(line.removesuffix(b"\r")))

    def take(self, count: int) -> list[bytes]:
        """Take up to so many of the lines that were read."""
        taken, self.lines = self.lines[: max(0, count)], self.lines[max(0, count) :]
        return taken

    def _check(self, line: bytes) -> bytes:
        if len(line) > LONGEST_LINE:
            raise DeviceError(
                f"line {self._count} of the input has {len(line)} bytes",
                f"The firmware's prompt takes {LONGEST_LINE} in a line: break it.",
            )
        return line
