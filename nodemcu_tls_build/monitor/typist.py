"""Type lines to the firmware's prompt, none before it is ready, and tell its echo from output."""

from __future__ import annotations

from collections import deque

INTERRUPT = b"\x03"  # Ctrl-C: the firmware drops what was typed of a chunk
LONGEST_LINE = 255  # what the firmware's prompt takes
PROMPTS = ("> ", ">> ")
_PROMPTS = tuple(prompt.encode() for prompt in PROMPTS)
_WINDOW = 64  # bytes on the way without an echo: half of what the chip's UART holds
_CHATTER = 6  # times as long is waited for the prompt of a device that is not silent
_ECHO_PATIENCE = 0.5  # seconds; a device that does not echo is typed to all the same


class Typist:
    """Hold the lines that are to be sent, and follow what the device makes of them.

    A line is sent when the prompt is there, else after `patience` seconds without a word from
    the device, or `first_patience` when it has shown no prompt yet; and after some times that
    from a device which says other things. Times are seconds of one monotonic clock.
    """

    def __init__(self, patience: float, first_patience: float, now: float) -> None:
        self._patience = patience
        self._first_patience = first_patience
        self._knows_prompt = False
        self._lines: deque[bytes] = deque()
        self._unsent = b""
        self._echo = bytearray()  # what the device is expected to repeat
        self._has_matched = False  # some of it has come
        self._in_output = False  # the line that comes is no echo
        self._start = b""  # of the line that comes, as far as it can be a prompt
        self._last_event = self._sent_at = now
        self.at_prompt = False
        self.gave_up = False  # a line was sent though no prompt had come

    @property
    def waiting_lines(self) -> int:
        """Return how many lines have not been begun."""
        return len(self._lines)

    @property
    def knows_prompt(self) -> bool:
        """Tell whether the device has shown a prompt."""
        return self._knows_prompt

    @property
    def is_typing(self) -> bool:
        """Tell whether lines are on their way."""
        return bool(self._lines or self._unsent)

    def silence(self, now: float) -> float:
        """Return for how long nothing has been heard or sent."""
        return now - self._last_event

    def is_overdue(self, now: float) -> bool:
        """Tell whether the prompt should have come by now."""
        patience = self._patience if self._knows_prompt else self._first_patience
        is_late = self.silence(now) >= patience or now - self._sent_at >= _CHATTER * patience
        return is_late and not self.at_prompt

    def drop_lines(self) -> int:
        """Forget what has not been sent; return how many lines that is."""
        count = len(self._lines) + bool(self._unsent)
        self._lines.clear()
        self._unsent = b""
        self._drop_echo()
        return count

    def put(self, line: bytes) -> None:
        """Queue a line, without its end."""
        self._lines.append(line)

    def forget(self, now: float) -> None:
        """Start over with a device that was reset or is another; the queued lines stay."""
        self._unsent, self._start = b"", b""
        self.at_prompt = self._knows_prompt = False
        self._drop_echo()
        self._last_event = self._sent_at = now

    def poke(self, now: float) -> bytes:
        """Return what makes a device show its prompt when it has nothing to say."""
        return self._begin(b"", now)

    def hear(self, data: bytes, now: float) -> bytes:
        """Take what the device said; return it without the echo of what was typed."""
        if not data:
            return b""
        self._last_event = now
        return bytes(byte for byte in data if not self._take_echo(byte) and self._take_output(byte))

    def next_bytes(self, now: float) -> bytes:
        """Return what is to be sent now."""
        if not self._unsent and self._lines and (self.at_prompt or self.is_overdue(now)):
            self.gave_up = self.gave_up or not self.at_prompt
            return self._begin(self._lines.popleft(), now)
        if self._unsent:
            return self._go_on(now)
        return b""

    def _begin(self, line: bytes, now: float) -> bytes:
        self._drop_echo()
        self._unsent, self.at_prompt = line + b"\r", False
        return self._go_on(now)

    def _go_on(self, now: float) -> bytes:
        room = _WINDOW - len(self._echo)
        if room <= 0 and self.silence(now) >= _ECHO_PATIENCE:
            self._drop_echo()
            room = _WINDOW
        part, self._unsent = self._unsent[: max(0, room)], self._unsent[max(0, room) :]
        self._echo += bytes(b for b in part.replace(b"\r", b"\n") if b >= 0x20 or b in b"\t\n")
        if part:
            self._last_event = self._sent_at = now
        return part

    def _drop_echo(self) -> None:
        self._echo.clear()
        self._has_matched = self._in_output = False

    def _take_echo(self, byte: int) -> bool:
        """Tell whether the byte is the echo's next one."""
        if not self._echo or self._in_output:
            return False
        if byte == self._echo[0]:
            del self._echo[0]
            self._has_matched = True
            if byte == ord("\n"):
                self._start, self._has_matched = b"", False
            return True
        return byte == ord("\r") and self._echo[0] == ord("\n")

    def _take_output(self, byte: int) -> bool:
        if byte == ord("\n"):
            self._start = b""
            self._in_output = False
            if self._echo and not self._has_matched:
                self._drop_echo()  # a whole line without it: this device does not echo
        else:
            self._in_output = bool(self._echo)
            if len(self._start) < len(_PROMPTS[-1]):
                self._start += bytes([byte])
                if self._start in _PROMPTS and not self._echo and not self._unsent:
                    self.at_prompt = self._knows_prompt = True
        return True
