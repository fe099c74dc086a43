"""A virtual device in its loader behind a plain socket: quick for esptool, without lines or rates.

esptool's client of RFC 2217 pauses for 0.2 seconds at each request; its `socket://` does not.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from nodemcu_tls_build.emulator.device import VirtualDevice
from nodemcu_tls_build.emulator.faults import Faults, parse_faults
from nodemcu_tls_build.emulator.flash_chip import FlashChip
from nodemcu_tls_build.emulator.guest import Guest
from nodemcu_tls_build.emulator.serial_server import Unplugged

MIB = 1024 * 1024
_LIMIT = 120  # seconds
_POLL = 0.05


def boot_nothing() -> Guest:
    """Be a chip whose program says and does nothing."""
    return Guest(["sleep", "600"])


class RawPort:
    """The port's URL, and what the device has logged. Each connection finds a fresh loader."""

    def __init__(self, flash: FlashChip, faults: Faults) -> None:
        self.log: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._device = VirtualDevice(flash, boot_nothing, self.log.append, faults=faults)
        self._thread = threading.Thread(target=self._serve_all)
        self.url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> RawPort:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(_LIMIT)
        self._listener.close()
        self._device.switch_off()

    def run_esptool(self, *args: str | Path) -> subprocess.CompletedProcess[str]:
        """Run esptool on the port to its end."""
        command = [sys.executable, "-m", "esptool", "--chip", "esp8266", "--port", self.url]
        return subprocess.run(
            [*command, "--connect-attempts", "1", *map(str, args)],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
        )

    def _serve_all(self) -> None:
        with contextlib.suppress(OSError):  # the listener was shut down
            while True:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(Unplugged, ConnectionError):
                    self._serve(connection)
                self._device.pull_out()

    def _serve(self, connection: socket.socket) -> None:
        device = self._device
        device.plug_in()
        device.set_lines(dtr=False, rts=True)
        device.set_lines(dtr=True, rts=False)
        connection.settimeout(_POLL)
        last = time.monotonic()
        while time.monotonic() - last < _LIMIT:
            with contextlib.suppress(TimeoutError):
                if not (data := connection.recv(65536)):
                    return
                device.receive(data)
                last = time.monotonic()
            connection.sendall(device.take_output())


@contextlib.contextmanager
def run_raw_port(path: Path, *faults: str, size: int = MIB) -> Iterator[RawPort]:
    """Run a device with its flash in this file and these faults; end it at last."""
    parsed = parse_faults(faults)
    with FlashChip.open(path, size, faults=parsed) as flash, RawPort(flash, parsed) as port:
        yield port
