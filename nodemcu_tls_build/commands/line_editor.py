"""A device's console on a terminal: what it says above, the line that is typed at the bottom."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.validation import ValidationError, Validator

from nodemcu_tls_build.monitor.console import Shown
from nodemcu_tls_build.monitor.pump import Pump
from nodemcu_tls_build.monitor.report import Note
from nodemcu_tls_build.monitor.typist import INTERRUPT, LONGEST_LINE, PROMPTS

KEYS = "Ctrl-] leaves, Ctrl-T Ctrl-R resets the device."
_HANGS = "No prompt since the last line: the device is busy, or hangs. Ctrl-T Ctrl-R resets it."
_SILENCE = 10.0  # seconds without a prompt after which a device may hang
_PATIENCE = 5.0  # seconds for the listening thread to end


class LineEditor:
    """Edit lines for a device and show what it says; `style_notes` makes text of its notes.

    One prompt lasts all the time: between two the terminal would not be ours, and Ctrl-C a signal.
    """

    def __init__(self, pump: Pump, style_notes: Callable[[Shown], str]) -> None:
        self._pump = pump
        self._style_notes = style_notes
        self._wants_reset = False
        self._wants_interrupt = False
        self._has_told_silence = False
        self._is_over = threading.Event()
        self._error: BaseException | None = None
        self._pending: deque[str] = deque()  # what is to be shown above the line
        self._message = ""  # as it was when the screen was told to show it
        self._prompt = ""  # as the device showed it last, while it waits there
        # Lines may hold keys: what was typed is remembered, but in no file.
        self._session: PromptSession[str] = PromptSession(
            self._make_message,
            history=InMemoryHistory(),
            key_bindings=self._bind_keys(),
            validator=_LineLength(),
            validate_while_typing=False,
            reserve_space_for_menu=0,
            output=_open_output(),
        )

    def run(self, *, reset: bool) -> None:
        """Serve the person at the terminal until they leave; with `reset`, start the device."""
        self._wants_reset = reset
        thread = threading.Thread(target=self._listen, name="monitor", daemon=True)
        with _keep_terminal():
            try:
                with contextlib.suppress(EOFError):  # which is how to leave
                    self._session.prompt(pre_run=lambda: self._begin(thread))
            finally:
                self._is_over.set()
                if thread.ident is not None:
                    thread.join(_PATIENCE)
                if not thread.is_alive():
                    self._show_all(self._pump.finish())
                sys.stdout.write(self._take_pending())
                sys.stdout.flush()
        if self._error:
            raise self._error

    def _begin(self, thread: threading.Thread) -> None:
        thread.start()
        if self._session.app.loop is not None:  # once keys are read: what was written before
            self._session.app.loop.call_soon(self._write_above)

    def write(self, text: str) -> None:
        """Show whole lines above the one that is typed; any thread may do it."""
        self._pending.append(text)
        loop = self._session.app.loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it is over: shown at the end
                loop.call_soon_threadsafe(self._write_above)

    def _write_above(self) -> None:
        app = self._session.app
        if app.is_running:
            app.renderer.erase()
            app.output.write_raw(self._take_pending())
            app.output.flush()
            app.invalidate()

    def _take_pending(self) -> str:
        text = ""
        while self._pending:
            text += self._pending.popleft()
        return text

    def _listen(self) -> None:
        """Use the port: only this thread does."""
        try:
            while not self._is_over.is_set():
                if self._wants_reset:
                    self._wants_reset = False
                    self._show_all(self._pump.reset())
                if self._wants_interrupt:
                    self._wants_interrupt = False
                    self._pump.typist.drop_lines()
                    self._pump.send(INTERRUPT)
                self._show_all(self._pump.step())
                self._watch_silence()
        except BaseException as error:  # it is raised where it can be seen
            self._error = error
            loop = self._session.app.loop
            if loop is not None:
                loop.call_soon_threadsafe(self._leave)

    def _watch_silence(self) -> None:
        """Say once that a device which had a prompt does not answer a line."""
        typist = self._pump.typist
        if typist.at_prompt or not typist.knows_prompt or not self._pump.link.is_connected:
            self._has_told_silence = False
        elif not self._has_told_silence and typist.silence(time.monotonic()) >= _SILENCE:
            self._has_told_silence = True
            self._show_all([Shown("", notes=[Note(_HANGS)])])

    def _leave(self) -> None:
        if self._session.app.is_running:
            self._session.app.exit(exception=EOFError)

    def _show_all(self, parts: Sequence[Shown]) -> None:
        text = "".join(map(self._format, parts))
        if text:
            self.write(text)
        unfinished = self._pump.console.unfinished
        if unfinished in PROMPTS:
            self._prompt = unfinished
        elif not self._pump.typist.at_prompt:
            self._prompt = ""
        message = self._make_message()
        if message != self._message:
            self._message = message
            self._session.app.invalidate()

    def _format(self, shown: Shown) -> str:
        """Return the lines; what comes while the prompt waits is shown above it, not behind it."""
        line = "" if shown.line is None else f"{shown.line.removeprefix(self._prompt)}\n"
        return line + self._style_notes(shown)

    def _make_message(self) -> str:
        """Return what stands before the line that is typed: the device's unfinished line."""
        if self._pump.typist.is_typing:
            return ""
        return (self._pump.console.unfinished or self._prompt).expandtabs()

    def _send(self, text: str) -> None:
        """Leave the line on the screen as it was typed, and queue it for the device."""
        text = text.removesuffix("\n")  # of what was pasted
        self.write(f"{self._make_message()}{text}\n")
        for line in text.split("\n"):
            self._pump.typist.put(line.encode(errors="surrogateescape"))

    def _bind_keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def send(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if buffer.validate(set_cursor=False):
                buffer.append_to_history()
                self._send(buffer.text)
                buffer.reset()

        @keys.add("c-c")
        def clear(event: KeyPressEvent) -> None:
            event.current_buffer.reset()
            typist = self._pump.typist
            self._wants_interrupt |= typist.is_typing or self._prompt == PROMPTS[-1]

        @keys.add("c-z")
        def suspend(event: KeyPressEvent) -> None:
            event.app.suspend_to_background()

        @keys.add("c-]")
        def leave(event: KeyPressEvent) -> None:
            event.app.exit(exception=EOFError)

        @keys.add("c-t", "c-r")
        def reset(event: KeyPressEvent) -> None:
            self._wants_reset = True

        return keys


class _LineLength(Validator):
    def validate(self, document: Document) -> None:
        for line in document.text.split("\n"):
            length = len(line.encode(errors="surrogateescape"))
            if length > LONGEST_LINE:
                raise ValidationError(
                    len(document.text),
                    f"This line has {length} bytes, the firmware's prompt takes {LONGEST_LINE}.",
                )


def _open_output() -> Output:
    """Return the terminal, which is not asked where its cursor is: that fills the screen."""
    output = create_output()
    if isinstance(output, Vt100_Output):
        output.enable_cpr = False
    return output


@contextlib.contextmanager
def _keep_terminal() -> Iterator[None]:
    """Put the terminal's modes back, however this ends."""
    descriptor = sys.stdin.fileno()
    modes = termios.tcgetattr(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error, OSError):  # the terminal is gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, modes)
            os.write(sys.stdout.fileno(), b"\x1b[?2004l")  # pasted text is not bracketed any more
