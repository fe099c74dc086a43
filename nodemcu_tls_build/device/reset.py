"""Reset a device by the control lines of its serial port: RTS is reset, DTR is GPIO0."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable

import serial

from nodemcu_tls_build.errors import DeviceError

_PULSE = 0.1  # seconds that the chip is held in reset
_NO_LINES = {errno.ENOTTY, errno.EINVAL}  # what a port without control lines says


def reset_device(port: str) -> bool:
    """Let the program in flash start.

    Returns False when the port has no such lines; raises DeviceError for other troubles.
    """
    try:
        device = serial.Serial()
        device.port, device.dtr, device.rts = port, False, False
        with device:
            pulse_reset(device)
    except (OSError, ValueError) as error:  # SerialException is an OSError
        if isinstance(error, OSError) and error.errno in _NO_LINES:
            return False
        raise explain_reset_error(port, error) from error
    return True


def pulse_reset(
    device: serial.SerialBase, *, before_release: Callable[[], None] = lambda: None
) -> None:
    """Hold the chip in reset for a moment; raises OSError."""
    device.rts = True
    time.sleep(_PULSE)
    before_release()
    device.rts = False


def explain_reset_error(port: str, error: Exception) -> DeviceError:
    """Return the error for a port whose control lines cannot be set."""
    return DeviceError(f"{port} cannot be reset: {error}", "Press the device's reset button.")
