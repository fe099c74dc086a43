"""Run esptool on a port, with limits of time, and say in one sentence why it failed.

esptool runs as a subprocess: it is under the GPL, this project under the MIT licence.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nodemcu_tls_build.device.bridge import Bridge
from nodemcu_tls_build.device.explain import explain_failure, explain_lost, explain_wrong_chip
from nodemcu_tls_build.process import Stopper, run_live

Report = Callable[[str, float | None], None]

_PERCENT = re.compile(r" (\d+\.\d)% ")
_ENVIRONMENT = {  # esptool's output is read here: no colours, no line ends of its own
    "NO_COLOR": "1",
    "TERM": "dumb",
    "COLUMNS": "1000",
    "PYTHONIOENCODING": "utf-8",
}
# By itself esptool waits a tenth of a second for the first answer, two for one while it starts its
# stub: too little for a remote port. More attempts would only take longer, nothing is reset anew.
_REMOTE_SETTINGS = b"""[esptool]
sync_timeout = 0.5
mem_end_rom_timeout = 1
connect_attempts = 3
"""
_SETTINGS_NAME = "ESPTOOL_CFGFILE"
_CONNECT_TIME = 120.0  # seconds; a silent device takes esptool up to one minute
_ERASE_TIME = 60.0  # seconds a MiB; the worst that esptool itself waits for
_QUIET_TIME = 60.0  # seconds; esptool connects in one line, and sends its stub in one
_GREETING_TIME = 10.0  # seconds for the stub's greeting, which esptool would await for ever
_GREETING_AWAITED = "Running stub flasher"  # what esptool says then
_STUB_RUNS = re.compile(r"Stub flasher (is already )?running")
_SLACK = 3.0  # a line may be so many times slower than its rate
_ROM_BAUD = 115200  # esptool begins with it
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Line:
    """A device on a serial line, and how to talk to it.

    `report` is told what is being done and, from time to time, how much of it in percent.
    `stoppers` end what runs. `bridge` is the port when it is a remote one.
    """

    port: str
    baud: int = _ROM_BAUD
    report: Report = field(default=lambda _text, _percent: None)
    stoppers: tuple[Stopper, ...] = ()
    bridge: Bridge | None = None


@dataclass(frozen=True)
class Step:
    """One run of esptool: what it is (`reading the flash`), and how many bytes go to and fro.

    `changes` are the bytes of flash that are erased, written or digested besides.
    """

    what: str
    transfer: int = 0
    changes: int = 0

    def count_seconds(self, baud: int) -> float:
        """Return how long the step may take, generously."""
        rate = min(baud, _ROM_BAUD) / 10  # bytes a second
        return _CONNECT_TIME + _SLACK * self.transfer / rate + self._count_change()

    def count_silence(self, said: Sequence[str]) -> float:
        """Return how long esptool may take to its next line, from those that it has said.

        Digests and erased ranges take long, and nothing is said meanwhile; nor is it while a block
        is written that inflates to much of the flash.
        """
        if any(_STUB_RUNS.match(text) for text in said):
            return _QUIET_TIME + self._count_change()
        awaits_greeting = any(text.startswith(_GREETING_AWAITED) for text in said)
        return _GREETING_TIME if awaits_greeting else _QUIET_TIME

    def _count_change(self) -> float:
        return _ERASE_TIME * self.changes / _MIB


def run_esptool(
    line: Line,
    step: Step,
    args: Sequence[str],
    *,
    keep_open: Sequence[int] = (),
    accepts: Callable[[list[str]], bool] = lambda _: False,
) -> list[str]:
    """Run esptool and return what it printed.

    Raises DeviceError when it fails, unless `accepts` finds in what it printed that this is an
    answer, too. The chip stays in its bootloader.
    """
    line.report(step.what, None)
    lines: list[str] = []

    def take(text: str) -> None:
        match = _PERCENT.search(text)
        if match:
            line.report(step.what, float(match[1]))
        else:
            lines.append(text.rstrip())

    with open_memory(_REMOTE_SETTINGS) as (settings, settings_path):
        code = run_live(
            [*_list_options(line), *args],
            on_line=take,
            env=_make_environment(settings_path if line.bridge else None),
            keep_open=[*keep_open, settings],
            timeout=step.count_seconds(line.baud),
            count_silence=lambda: step.count_silence(tuple(lines)),
            stoppers=line.stoppers,
        )
    if line.bridge and line.bridge.lost:
        raise explain_lost(line.port, step.what)
    wrong_chip = explain_wrong_chip(line.port, lines)
    if wrong_chip:
        raise wrong_chip
    if code != 0 and not accepts(lines):
        raise explain_failure(line.port, step.what, lines, code)
    return lines


def _list_options(line: Line) -> list[str]:
    """Return how esptool begins; the chip behind a bridge is reset here, not by esptool.

    With -P no file of the current directory, a `serial.py`, takes the place of a module.
    """
    if line.bridge:
        line.bridge.start_loader()
    return [
        *(sys.executable, "-P", "-u", "-m", "esptool", "--chip", "esp8266"),
        *("--port", line.bridge.path if line.bridge else line.port, "--baud", str(line.baud)),
        *("--before", "no-reset" if line.bridge else "default-reset"),
        *("--after", "no-reset-stub"),
    ]


def _make_environment(settings_path: Path | None) -> dict[str, str]:
    """Return esptool's environment; the user's own settings come before those in the file."""
    kept = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    settings = {_SETTINGS_NAME: str(settings_path)} if settings_path else {}
    return settings | kept | _ENVIRONMENT


@contextlib.contextmanager
def open_memory(data: bytes = b"") -> Iterator[tuple[int, Path]]:
    """Give a file in memory: what is in a flash may be secret, and never reaches a disk.

    Yields its descriptor, which a program has to inherit, and its path for that program.
    """
    descriptor = os.memfd_create("flash", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield descriptor, Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
