"""Write a build to a device and compare a device with a build, through esptool.

esptool runs as a subprocess: it is under the GPL, this project under the MIT licence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from nodemcu_tls_build.device.ports import check_port
from nodemcu_tls_build.errors import DeviceError
from nodemcu_tls_build.image import BuildOutput, check_image_files, load_build_output
from nodemcu_tls_build.process import run_live

_ESPTOOL_SAYS = "A fatal error occurred: "
_KEEP_HEADER = ("--flash-mode", "keep", "--flash-freq", "keep", "--flash-size", "keep")
_HINTS = {  # by what esptool says
    "Failed to connect": "Is it an ESP8266, powered, and in its bootloader (GPIO0 low at reset)?",
    "Verification failed": "Write the build to it with `nodemcu-tls flash`.",
    "No module named esptool": "Install it: pip install esptool",
}


def write_device(build_dir: Path, port: str, baud: int, on_line: Callable[[str], None]) -> None:
    """Write the build's images to the device on `port`; raise DeviceError when that fails.

    `on_line` gets what esptool prints.
    """
    _run_esptool("write-flash", build_dir, port, baud, on_line)


def verify_device(build_dir: Path, port: str, baud: int, on_line: Callable[[str], None]) -> None:
    """Compare the device's flash with the build's images; raise DeviceError when they differ."""
    _run_esptool("verify-flash", build_dir, port, baud, on_line)


def _run_esptool(
    action: str, build_dir: Path, port: str, baud: int, on_line: Callable[[str], None]
) -> None:
    output = load_build_output(build_dir)
    check_image_files(output)
    check_port(port)
    lines: list[str] = []

    def keep_line(line: str) -> None:
        lines.append(line)
        on_line(line)

    code = run_live(_make_command(action, output, port, baud), on_line=keep_line)
    if code != 0:
        reason = _find_reason(lines, code)
        hint = next((hint for start, hint in _HINTS.items() if start in reason), None)
        raise DeviceError(f"{action} on {port} failed: {reason}", hint)


def _make_command(action: str, output: BuildOutput, port: str, baud: int) -> list[str]:
    """Return esptool's command line; the images keep the flash settings of their own header."""
    pairs = [(f"{image.offset:#x}", str(image.path)) for image in output.images]
    return [
        *(sys.executable, "-u", "-m", "esptool", "--chip", "esp8266", "--port", port),
        *("--baud", str(baud), action, *_KEEP_HEADER),
        *(word for pair in pairs for word in pair),
    ]


def _find_reason(lines: list[str], code: int) -> str:
    """Return what esptool gave as the reason, else its last words."""
    for line in lines:
        _, found, reason = line.partition(_ESPTOOL_SAYS)
        if found:
            return reason.strip()
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else f"esptool ended with exit code {code}"
