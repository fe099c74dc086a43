"""`nodemcu-tls emulate`, run the way a user runs it, and clients for its port."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import serial

EMULATE = (sys.executable, "-m", "nodemcu_tls_build", "emulate")
_READY = re.compile(r"Virtual ESP8266 on (rfc2217://127\.0\.0\.1:\d+)\n")
_LIMIT = 60  # seconds for what takes one or two
_STEP = 0.05


class VirtualDeviceProcess:
    """A virtual device that runs: its port's URL, its process, and what it has logged."""

    def __init__(self, process: subprocess.Popen[str], log_path: Path) -> None:
        self.process = process
        self._log_path = log_path
        assert process.stdout
        line = process.stdout.readline()
        match = _READY.fullmatch(line)
        assert match, f"{line!r} {self.log()}"
        self.url = match[1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def log(self) -> str:
        """Return what it has written on standard error so far."""
        return self._log_path.read_text(encoding="utf-8")

    def wait_for_log(self, text: str, count: int = 1) -> None:
        """Wait until the log has this text so many times."""
        deadline = time.monotonic() + _LIMIT
        while self.log().count(text) < count:
            assert time.monotonic() < deadline, f"no {text!r} in {self.log()!r}"
            assert self.process.poll() is None, self.log()
            time.sleep(_STEP)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, unless it has ended, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(_LIMIT)


@contextmanager
def run_device(
    build_dir: Path, flash_path: Path | None = None, *args: str
) -> Iterator[VirtualDeviceProcess]:
    """Run a virtual device with the boot ROM of this build; end it at last."""
    flash = () if flash_path is None else ("--flash", str(flash_path))
    command = [*EMULATE, "--build", str(build_dir), *flash, *args]
    with tempfile.TemporaryDirectory() as directory:
        log_path = Path(directory, "stderr")
        with log_path.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        device = None
        try:
            device = VirtualDeviceProcess(process, log_path)
            yield device
        finally:
            process.terminate()
            try:
                process.wait(_LIMIT)
            finally:
                process.kill()
                process.communicate()


class SerialConsole:
    """A terminal on a port: reset, wait, type."""

    def __init__(self, url: str, baud: int = 115200) -> None:
        self.port = serial.serial_for_url(url, baudrate=baud, timeout=_STEP)
        self.shown = b""

    def __enter__(self) -> SerialConsole:
        return self

    def __exit__(self, *_: object) -> None:
        self.port.close()

    def reset(self) -> None:
        """Pulse reset with GPIO0 high, and forget what was shown before."""
        self.port.dtr = False
        self.port.rts = True
        self.port.reset_input_buffer()
        self.shown = b""
        self.port.rts = False

    def type(self, text: str) -> None:
        """Press these keys."""
        self.port.write(text.encode())

    def wait_for(self, text: str) -> str:
        """Wait until this is shown; return what was shown before it since the last wait."""
        deadline = time.monotonic() + _LIMIT
        while text.encode() not in self.shown:
            assert time.monotonic() < deadline, f"no {text!r} in {self.shown!r}"
            self.shown += self.port.read(max(1, self.port.in_waiting))
        before, _, self.shown = self.shown.partition(text.encode())
        return before.decode(errors="replace")
