"""Reset a device by the control lines of its serial port."""

from __future__ import annotations

import errno
import time

import serial

from nodemcu_tls_build.errors import DeviceError

_PULSE = 0.1  # seconds that the chip is held in reset
_NO_LINES = {errno.ENOTTY, errno.EINVAL}  # what a port without control lines says


def reset_device(port: str) -> bool:
    """Let the program in flash start: RTS resets the chip, DTR leaves its boot mode alone.

    Returns False when the port has no such lines; raises DeviceError for other troubles.
    """
    try:
        device = serial.serial_for_url(port, do_not_open=True)
        device.dtr = device.rts = False
        with device:
            device.rts = True
            time.sleep(_PULSE)
            device.rts = False
    except (OSError, ValueError) as error:  # SerialException is an OSError
        if isinstance(error, OSError) and error.errno in _NO_LINES:
            return False
        raise DeviceError(
            f"{port} cannot be reset: {error}", "Press the device's reset button."
        ) from error
    return True
