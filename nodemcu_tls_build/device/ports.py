"""Find, check and hold the serial port of a device.

A port is a device file, or a URL `rfc2217://HOST:PORT` of a serial port behind a network.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from serial.tools import list_ports as serial_ports

from nodemcu_tls_build.device.lock import find_lock, take_lock
from nodemcu_tls_build.errors import DeviceError
from nodemcu_tls_build.files import try_lock

_USUAL_PORT = "The port of a device is often /dev/ttyUSB0 or /dev/ttyACM0."
_URL_FORM = "rfc2217://HOST:PORT"
_MAKERS = {  # of the chips that are the serial port of an ESP8266 board, by USB vendor
    0x10C4: "CP210x",
    0x1A86: "CH340",
    0x0403: "FTDI",
    0x067B: "PL2303",
}


@dataclass(frozen=True)
class SerialPort:
    """A serial port of this machine; `is_likely` is one with the USB chip of such a board."""

    name: str
    description: str
    is_usb: bool
    is_likely: bool


Ask = Callable[[Sequence[SerialPort]], str]


def list_ports() -> list[SerialPort]:
    """Return this machine's serial ports, those that are likely to be a device first."""
    ports = []
    for found in serial_ports.comports():
        maker = _MAKERS.get(found.vid)
        what = found.description if found.description not in {None, "", "n/a"} else ""
        description = f"{maker}: {what}" if maker and what else maker or what
        ports.append(
            SerialPort(found.device, description, found.vid is not None, maker is not None)
        )
    return sorted(ports, key=lambda port: (not port.is_likely, not port.is_usb, port.name))


def choose_port(port: str | None, *, ask: Ask | None = None) -> str:
    """Return `port`, or without one the only likely port of this machine.

    Of several ports `ask` chooses one; without it DeviceError lists them.
    """
    if port is not None:
        return port
    ports = list_ports()
    for choice in ([p for p in ports if p.is_likely], [p for p in ports if p.is_usb]):
        if len(choice) == 1:
            return choice[0].name
        if choice:
            ports = choice
            break
    if not ports:
        raise DeviceError("no serial port was found", f"Is the device plugged in? {_USUAL_PORT}")
    if ask:
        return ask(ports)
    names = ", ".join(f"{p.name} ({p.description or 'no description'})" for p in ports)
    raise DeviceError(f"which port is the device's? There are: {names}", "Name one of them.")


def is_url(port: str) -> bool:
    """Tell whether `port` is a URL, and not the name of a file."""
    return "://" in port


def check_port(port: str) -> None:
    """Raise DeviceError unless `port` is a serial port that this user may have to himself.

    Of a URL only the form is checked: its server takes one client at a time.
    """
    if is_url(port):
        _parse_url(port)
    else:
        _check_device_file(port)
        _check_free(port)


@contextlib.contextmanager
def hold_port(port: str) -> Iterator[None]:
    """Check `port` and keep other processes of nodemcu-tls away from it; raise DeviceError."""
    if is_url(port):
        host, number = _parse_url(port)
        key = f"rfc2217://{'127.0.0.1' if host == 'localhost' else host}:{number}"
    else:
        _check_device_file(port)
        key = os.path.realpath(port)
    with take_lock(find_lock(key), port):
        check_port(port)
        yield


def explain_busy(port: str) -> DeviceError:
    """Return the error for a port that another program has."""
    close = "Close it (a serial monitor?)"
    hint = f"{close}." if is_url(port) else f"{close}; this shows which it is: fuser -v {port}"
    return DeviceError(f"{port} is in use by another program", hint)


def explain_url_error(port: str, reason: str) -> DeviceError:
    """Return the error for a URL that could not be opened; `reason` is what pyserial said."""
    if "refused" in reason:
        return DeviceError(
            f"nothing listens at {port}", "Start the server, or check host and port number."
        )
    if re.search(r"not known|name resolution|No address|unreachable|timed out|No route", reason):
        return DeviceError(f"{port} cannot be reached", "Check the name of the host.")
    if "unknown option" in reason:
        return DeviceError(f"{port}: the URL has an unknown option", f"Write {_URL_FORM}.")
    return DeviceError(
        f"the server at {port} does not give its serial port",
        "Is another program connected to it? It takes one at a time.",
    )


def _parse_url(port: str) -> tuple[str, int]:
    """Return host and port number of a URL."""
    wrong = DeviceError(f"{port} is not a URL of a serial port", f"Write {_URL_FORM}.")
    try:
        parts = urlsplit(port)
        host, number = parts.hostname, parts.port
    except ValueError as error:
        raise wrong from error
    if parts.scheme != "rfc2217":
        raise DeviceError(
            f"{port}: serial ports of the kind {parts.scheme}:// are not known",
            f"Give a device file or {_URL_FORM}.",
        )
    if not host or not number or parts.path not in {"", "/"} or parts.username is not None:
        raise wrong
    return host, number


def _check_device_file(port: str) -> None:
    try:
        is_device = stat.S_ISCHR(Path(port).stat().st_mode)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file has such a name"
        raise DeviceError(
            f"cannot find {port}: {reason}", f"Is the device plugged in? {_USUAL_PORT}"
        ) from error
    if not is_device:
        raise DeviceError(f"{port} is not a serial port", _USUAL_PORT)


def _check_free(port: str) -> None:
    try:
        descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise _explain_open_error(port, error) from error
    try:
        if not os.isatty(descriptor):
            raise DeviceError(f"{port} is not a serial port", _USUAL_PORT)
        if not try_lock(descriptor):
            raise explain_busy(port)
    finally:
        os.close(descriptor)


def _explain_open_error(port: str, error: OSError) -> DeviceError:
    if isinstance(error, PermissionError):
        group = _find_group(Path(port).stat().st_gid)
        return DeviceError(
            f"no permission to use {port}",
            f"Join the group that owns it, then log in again: sudo usermod -aG {group} $USER",
        )
    if isinstance(error, BlockingIOError) or error.errno == errno.EBUSY:
        return explain_busy(port)
    return DeviceError(f"cannot open {port}: {error.strerror}", "Unplug it and plug it in again.")


def _find_group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
