"""Give esptool a remote serial port (RFC 2217) as a local one, a pseudo-terminal.

esptool opens URLs itself, but pyserial's client then waits a tenth of a second at each command of
the loader: twenty seconds a run. Here one connection lasts from the first run to the last, too,
so that nobody else gets the port in between.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import threading
import time
import tty
from collections.abc import Callable, Iterator

import serial

from nodemcu_tls_build.device.ports import explain_url_error
from nodemcu_tls_build.device.reset import pulse_reset

_TCGETS2 = 0x802C542A
_TERMIOS2 = struct.Struct("IIIIB19sII")  # the last one is the output speed in bits per second
_POLL = 0.05  # seconds after which a pump looks whether it is over
_BAUD = 115200  # what esptool begins with
_CHUNK = 4096


class Bridge:
    """A pseudo-terminal at `path` whose bytes and rate are those of the remote port.

    `lost` tells that the connection has ended by itself, and `on_lost` is called then.
    """

    def __init__(self, remote: serial.SerialBase, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost
        self._remote = remote
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self.lost = False
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._pump, args=(step,), daemon=True)
            for step in (self._pass_to_remote, self._pass_to_local)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the pumps; the remote port stays open."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        for descriptor in (self._master, self._slave):
            os.close(descriptor)

    def start_loader(self) -> None:
        """Reset the chip with GPIO0 low, as esptool would; do nothing when the port is lost."""
        with contextlib.suppress(OSError):
            self._set_baud(_BAUD)
            self._remote.dtr = False
            pulse_reset(self._remote, before_release=lambda: setattr(self._remote, "dtr", True))
            time.sleep(_POLL)
            self._remote.dtr = False

    def reset(self) -> None:
        """Reset the chip, so that the program in flash starts; raises OSError."""
        if self.lost:  # pyserial would wait seconds for an answer
            raise OSError("the connection is lost")
        self._set_baud(_BAUD)
        self._remote.dtr = False
        pulse_reset(self._remote)

    def _pump(self, step: Callable[[], None]) -> None:
        try:
            while not self._over.is_set():
                step()
        except OSError:  # SerialException is one
            if not self._over.is_set():
                self.lost = True
                self._over.set()
                self._on_lost()

    def _pass_to_remote(self) -> None:
        if select.select([self._master], [], [], _POLL)[0]:
            data = os.read(self._master, _CHUNK)
            self._set_baud(self._get_local_baud())  # esptool set it before it wrote
            self._remote.write(data)

    def _pass_to_local(self) -> None:
        data = self._remote.read(1)  # waits for _POLL at most
        data += self._remote.read(min(self._remote.in_waiting, _CHUNK))
        while data and not self._over.is_set():
            if select.select([], [self._master], [], _POLL)[1]:
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(self._master, data) :]

    def _get_local_baud(self) -> int:
        settings = fcntl.ioctl(self._master, _TCGETS2, bytes(_TERMIOS2.size))
        return int(_TERMIOS2.unpack(settings)[-1])

    def _set_baud(self, baud: int) -> None:
        if baud > 0 and self._remote.baudrate != baud:
            self._remote.baudrate = baud


@contextlib.contextmanager
def open_bridge(url: str, *, on_lost: Callable[[], None]) -> Iterator[Bridge]:
    """Connect to a remote serial port for as long as the context lasts; raise DeviceError.

    `on_lost` is called, from another thread, when the connection ends by itself.
    """
    remote = serial.serial_for_url(url, baudrate=_BAUD, timeout=_POLL, do_not_open=True)
    remote.dtr = remote.rts = False
    try:
        remote.open()
    except (OSError, ValueError) as error:
        raise explain_url_error(url, str(error)) from error
    try:
        bridge = Bridge(remote, on_lost)
        try:
            yield bridge
        finally:
            bridge.close()
    finally:
        remote.close()
