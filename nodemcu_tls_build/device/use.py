"""Have a device to oneself, from the first question to the reset at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from nodemcu_tls_build.device.bridge import open_bridge
from nodemcu_tls_build.device.chip import DeviceChip, identify_chip
from nodemcu_tls_build.device.ports import hold_port, is_url
from nodemcu_tls_build.device.reset import explain_reset_error, reset_device
from nodemcu_tls_build.device.tool import Line
from nodemcu_tls_build.errors import DeviceError
from nodemcu_tls_build.process import Stopper


@contextlib.contextmanager
def use_device(line: Line) -> Iterator[tuple[Line, DeviceChip]]:
    """Hold the port and ask who is there; at the end let the program in flash start.

    Yields the line to use from now on. Raises DeviceError.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(hold_port(line.port))
        if is_url(line.port):
            lost = Stopper()  # esptool would wait for the port to come back
            bridge = stack.enter_context(open_bridge(line.port, on_lost=lost.stop))
            line = replace(line, bridge=bridge, stoppers=(*line.stoppers, lost))
        try:
            yield line, identify_chip(line)
        except BaseException:
            with contextlib.suppress(DeviceError):  # what went wrong before is what counts
                _reset(line)
            raise
        line.report("resetting the device", None)
        if not _reset(line):
            line.report("the port has no reset line: press the device's button", None)


def _reset(line: Line) -> bool:
    if line.bridge is None:
        return reset_device(line.port)
    try:
        line.bridge.reset()
    except OSError as error:
        raise explain_reset_error(line.port, error) from error
    return True
