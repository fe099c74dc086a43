"""Hold a serial port open over the device's resets, and over being unplugged."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import serial

from nodemcu_tls_build.device.ports import is_url
from nodemcu_tls_build.errors import DeviceError

_READ_WAIT = 0.05  # seconds
_RETRY_WAIT = 0.25
_WRITE_WAIT = 5.0
_RESET_PULSE = 0.1
_LOST = (serial.SerialException, OSError, ValueError, TypeError)  # TypeError: closed in mid-read


class Link:
    """A serial port, or one behind an rfc2217:// URL, that comes back when it was lost.

    `on_notice` is told when the connection goes and comes.
    """

    def __init__(self, port: str, baud: int, on_notice: Callable[[str], None]) -> None:
        """Open the port without resetting the device; raise DeviceError."""
        self.port = port
        self.losses = 0  # how often the connection went
        self._baud = baud
        self._on_notice = on_notice
        self._serial: Any = None
        try:
            self._serial = self._open()
        except _LOST as error:
            raise DeviceError(
                f"cannot open {port}: {_explain(error)}",
                "Is `nodemcu-tls emulate` or another RFC 2217 server there?"
                if is_url(port)
                else "Unplug it and plug it in again.",
            ) from error

    @property
    def is_connected(self) -> bool:
        """Tell whether the port is open."""
        return self._serial is not None

    def read(self) -> bytes:
        """Return what the device said, nothing after a short while; open a lost port again."""
        if self._serial is None:
            self._try_again()
            return b""
        try:
            data: bytes = self._serial.read(max(1, self._serial.in_waiting))
        except _LOST:
            self._lose()
            return b""
        return data

    def write(self, data: bytes) -> bool:
        """Send the bytes; False when the port is lost."""
        if self._serial is None:
            return False
        try:
            self._serial.write(data)
        except serial.SerialTimeoutException:
            return False
        except _LOST:
            self._lose()
            return False
        return True

    def reset(self) -> bool:
        """Pulse RTS, which is the reset of most boards; False when the port has no such line.

        DTR is released first: with both asserted such a board takes neither, with DTR alone it
        would start its boot loader.
        """
        if self._serial is None:
            return False
        try:
            self._serial.dtr = False
            self._serial.rts = True
            time.sleep(_RESET_PULSE)
            self._serial.rts = False
        except serial.SerialException:
            self._lose()
            return False
        except (OSError, ValueError):  # a pseudo terminal has no such lines
            return False
        return True

    def close(self) -> None:
        """Close the port."""
        if self._serial is not None:
            with contextlib.suppress(*_LOST):
                self._serial.close()
            self._serial = None

    def _open(self) -> Any:
        """Open the port.

        DTR and RTS stay asserted, as the system does it by itself: letting go of one before the
        other would reset the device.
        """
        options = {} if is_url(self.port) else {"exclusive": True, "write_timeout": _WRITE_WAIT}
        return serial.serial_for_url(self.port, self._baud, timeout=_READ_WAIT, **options)

    def _lose(self) -> None:
        self.close()
        self.losses += 1
        self._on_notice(f"Disconnected, waiting for {self.port}.")

    def _try_again(self) -> None:
        time.sleep(_RETRY_WAIT)
        if not is_url(self.port) and not Path(self.port).exists():
            return
        with contextlib.suppress(*_LOST):
            self._serial = self._open()
            self._on_notice("Connected again.")


def _explain(error: Exception) -> str:
    text = str(getattr(error, "strerror", None) or error)
    return text.rpartition("] ")[2] or type(error).__name__
