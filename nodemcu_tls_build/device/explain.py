"""Say in one sentence why esptool failed, from what it printed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nodemcu_tls_build.device.ports import explain_busy
from nodemcu_tls_build.errors import DeviceError
from nodemcu_tls_build.process import FELL_SILENT, TIMED_OUT, describe_exit

_FATAL = "A fatal error occurred: "
_ADVICE = re.compile(r"This can have many causes|For troubleshooting")
_MOST = 200  # characters of esptool's own words

_WRONG_CHIP = re.compile(r"This chip is (?P<chip>\S+), not ESP8266")
_BUSY = re.compile(r"exclusively lock|[Rr]esource busy|Resource temporarily unavailable")
_UNKNOWN_CHIP = "doesn't appear to be an ESP8266"

_BOOTLOADER = "Is it an ESP8266, powered, and in its bootloader (GPIO0 low at reset)?"
_CABLE = "Check cable and supply, try a lower --baud, then run the command again."
_GONE = "the port was gone in the middle of it"
_AGAIN = "Plug it in again, then run the command again."

# What esptool says, in the order in which it is looked for: reason, hint.
_REASONS: tuple[tuple[str, str, str], ...] = (
    (r"No module named esptool", "esptool is not installed", "Install it: pip install esptool"),
    (
        r"MD5 of file does not match|flash region is empty",
        "the flash does not hold what was written to it",
        "Try again; when it stays so, the flash is worn out or its supply too weak.",
    ),
    (
        r"will not fit in|greater than detected flash size",
        "it does not fit into the device's flash",
        "Build it for a board with less flash: board.flash_size in the profile.",
    ),
    (
        r"\[Errno 5\]|\[Errno 6\]|\[Errno 19\]|Input/output error|No such device"
        r"|returned no data|device disconnected|Attempting to use a port that is not open"
        r"|write failed|read failed|[Cc]onnection (failed|lost|aborted)|reset by peer|Broken pipe"
        r"|socket disconnected|Lost connection|Bad file descriptor",
        _GONE,
        _AGAIN,
    ),
    (r"There was no response", "the device stopped answering, or answers too slowly", _CABLE),
    (
        r"Invalid head of packet|Invalid SLIP escape|serial noise|corrupt|Corrupt|checksum"
        r"|Digest mismatch|Expected digest|Read more than expected|doesn't match request"
        r"|Unexpected response|Failed to start stub|status response|Packet content transfer stopped"
        r"|Guru Meditation|Invalid (data|response)|\(result was |Bad data (length|checksum)",
        "its answers are garbled",
        _CABLE,
    ),
    (
        r"Failed to connect to .*No serial data received",
        "the device does not answer",
        _BOOTLOADER,
    ),
    (
        r"[Tt]imed out|[Tt]imeout|stopped responding|StopIteration|No serial data received"
        r"|data stream stopped|no sync reply|No more data",
        "the device stopped answering",
        _CABLE,
    ),
    (r"Failed to connect to ", "the device does not answer as a bootloader does", _BOOTLOADER),
    (r"Traceback \(most recent call last\)", "its answers make no sense", _CABLE),
)


def explain_wrong_chip(port: str, lines: Sequence[str]) -> DeviceError | None:
    """Return the error when esptool met another chip than an ESP8266."""
    text = "\n".join(lines)
    match = _WRONG_CHIP.search(text)
    if not match and _UNKNOWN_CHIP not in text:
        return None
    what = f"an {match['chip']}" if match else "not known to esptool"
    return DeviceError(
        f"the chip on {port} is {what}, not an ESP8266",
        "Is it the right port? The firmware is for the ESP8266 only.",
    )


def explain_lost(port: str, what: str) -> DeviceError:
    """Return the error for a port that was gone before `what` was done."""
    return DeviceError(f"{what} on {port} failed: {_GONE}", _AGAIN)


def explain_failure(port: str, what: str, lines: Sequence[str], code: int) -> DeviceError:
    """Return the error for a run of esptool that failed; `what` is what it did."""
    text = "\n".join(lines)
    if _BUSY.search(text):
        return explain_busy(port)
    start = f"{what} on {port} failed"
    if code == FELL_SILENT:  # it said nothing of it: it was still waiting
        return DeviceError(f"{start}: the device stopped answering", _CABLE)
    for pattern, reason, hint in _REASONS:
        if re.search(pattern, text):
            return DeviceError(f"{start}: {reason}{_quote(lines)}", hint)
    if code == TIMED_OUT:
        return DeviceError(f"{start}: it came to no end", _CABLE)
    return DeviceError(f"{start}: esptool {describe_exit(code)}{_quote(lines)}", _CABLE)


def _quote(lines: Sequence[str]) -> str:
    """Return esptool's own words in brackets, if it gave a reason."""
    for line in lines:
        _, found, rest = line.partition(_FATAL)
        reason = _ADVICE.split(rest)[0].strip().rstrip(".")[:_MOST]
        if found and reason:
            return f" (esptool: {reason}{')' * (reason.count('(') - reason.count(')'))})"
    return ""
