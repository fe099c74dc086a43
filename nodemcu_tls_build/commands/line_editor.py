"""A device's console on a terminal: what it says above, the line that is typed at the bottom."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.validation import ValidationError, Validator

from nodemcu_tls_build.monitor.console import Shown
from nodemcu_tls_build.monitor.pump import Pump
from nodemcu_tls_build.monitor.typist import LONGEST_LINE, PROMPTS

KEYS = "Ctrl-] leaves, Ctrl-T Ctrl-R resets the device."
_PATIENCE = 5.0  # seconds for the listening thread to end


class LineEditor:
    """Edit lines for a device and show what it says; `style_notes` makes text of its notes."""

    def __init__(self, pump: Pump, style_notes: Callable[[Shown], str]) -> None:
        self._pump = pump
        self._style_notes = style_notes
        self._wants_reset = False
        self._is_over = threading.Event()
        self._error: BaseException | None = None
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
        with _keep_terminal(), patch_stdout(raw=True):
            thread.start()
            try:
                self._read_lines()
            finally:
                self._is_over.set()
                thread.join(_PATIENCE)
                if not thread.is_alive():
                    for shown in self._pump.finish():
                        self._show(shown)
        if self._error:
            raise self._error

    def _read_lines(self) -> None:
        while self._error is None:
            try:
                text = self._session.prompt()
            except EOFError:
                return
            for line in text.removesuffix("\n").split("\n"):
                self._pump.typist.put(line.encode(errors="surrogateescape"))

    def _listen(self) -> None:
        """Use the port: only this thread does."""
        try:
            while not self._is_over.is_set():
                if self._wants_reset:
                    self._wants_reset = False
                    self._show_all(self._pump.reset())
                self._show_all(self._pump.step())
        except BaseException as error:  # it is raised where it can be seen
            self._error = error
            if self._session.app.is_running and self._session.app.loop:
                self._session.app.loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        if self._session.app.is_running:
            self._session.app.exit(exception=EOFError)

    def _show_all(self, parts: Sequence[Shown]) -> None:
        for shown in parts:
            self._show(shown)
        unfinished = self._pump.console.unfinished
        if unfinished in PROMPTS:
            self._prompt = unfinished
        elif not self._pump.typist.at_prompt:
            self._prompt = ""
        message = self._make_message()
        if message != self._message:
            self._message = message
            self._session.app.invalidate()

    def _show(self, shown: Shown) -> None:
        text = ""
        if shown.line is not None:
            # What comes while the prompt waits is shown above it, not behind it.
            text = f"{shown.line.removeprefix(self._prompt)}\n"
        text += self._style_notes(shown)
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()

    def _make_message(self) -> str:
        """Return what stands before the line that is typed: the device's unfinished line."""
        if self._pump.typist.is_typing:
            return ""
        return (self._pump.console.unfinished or self._prompt).expandtabs()

    def _bind_keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        def clear(event: KeyPressEvent) -> None:
            event.current_buffer.reset()

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
