"""pyserial's port behind RFC 2217, without settling again what is settled.

pyserial negotiates rate and format anew, a tenth of a second each time, when only the time-out of
a read changes, which the other end never learns. esptool changes it twice a command.
"""

from __future__ import annotations

from typing import Any

from serial import rfc2217


class Serial(rfc2217.Serial):  # type: ignore[misc] -- pyserial has no types
    """A serial port behind rfc2217://HOST:PORT."""

    _settled: tuple[Any, ...] | None = None

    def open(self) -> None:
        """Open the port, and settle everything once."""
        self._settled = None
        super().open()

    def _reconfigure_port(self) -> None:
        wanted = (
            *(self._baudrate, self._bytesize, self._parity, self._stopbits),
            *(self._rtscts, self._xonxoff, self._write_timeout),
        )
        if wanted != self._settled:
            super()._reconfigure_port()
            self._settled = wanted
