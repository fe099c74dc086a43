"""Run esptool on a port, with a limit of time, and say in one sentence why it failed.

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
_CONNECT_TIME = 120.0  # seconds; a silent device takes esptool up to one minute
_ERASE_TIME = 60.0  # seconds a MiB; the worst that esptool itself waits for
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
        return _CONNECT_TIME + _SLACK * self.transfer / rate + _ERASE_TIME * self.changes / _MIB


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

    code = run_live(
        [*_list_options(line), *args],
        on_line=take,
        env=_make_environment(),
        keep_open=keep_open,
        timeout=step.count_seconds(line.baud),
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


def _make_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    return kept | _ENVIRONMENT


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
