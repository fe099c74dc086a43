"""Ask a device what it is: the chip, its address, the flash beside it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from nodemcu_tls_build.device.tool import Line, Step, run_esptool
from nodemcu_tls_build.errors import DeviceError
from nodemcu_tls_build.memmap import KIB

_FIELDS = {
    "chip": r"Chip type:\s+(\S.*)",
    "crystal": r"Crystal frequency:\s+(\d+) ?MHz",
    "mac": r"MAC:\s+((?:[0-9a-f]{2}:){5}[0-9a-f]{2})",
    "manufacturer": r"Manufacturer: ([0-9a-f]{2})",
    "flash_device": r"Device: ([0-9a-f]{4})",
    "flash_size": r"Detected flash size: (\d+[KM]B|Unknown)",
}
_SILENT_IDS = {"ffffff", "000000"}  # what is read where no flash answers


@dataclass(frozen=True)
class DeviceChip:
    """A chip and its flash; `crystal` in MHz, `flash_size` in bytes, None if nobody knows it."""

    chip: str
    crystal: int
    mac: str
    flash_id: str
    flash_size: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return asdict(self)


def identify_chip(line: Line) -> DeviceChip:
    """Ask the device what it is; raise DeviceError when it is no ESP8266 with a flash."""
    text = "\n".join(run_esptool(line, Step("identifying the device"), ["flash-id"]))
    found = {}
    for name, pattern in _FIELDS.items():
        match = re.search(rf"^{pattern}$", text, re.MULTILINE)
        if not match:
            raise DeviceError(
                f"the device on {line.port} did not say what it is ({name.replace('_', ' ')})",
                "Run the command again; when it stays so, try a lower --baud.",
            )
        found[name] = match[1]
    flash_id = found["manufacturer"] + found["flash_device"]
    if flash_id in _SILENT_IDS:
        raise DeviceError(
            f"the chip on {line.port} finds no flash: its id reads as {flash_id}",
            "Check the flash chip's connections and supply.",
        )
    size = parse_size(found["flash_size"])
    return DeviceChip(found["chip"], int(found["crystal"]), found["mac"], flash_id, size)


def parse_size(text: str) -> int | None:
    """Return the bytes that `512KB` or `4MB` means, None for anything else."""
    match = re.fullmatch(r"(\d+)([KM])B", text)
    return int(match[1]) * (KIB if match[2] == "K" else KIB * KIB) if match else None


def format_size(size: int | None) -> str:
    """Return a size of flash as people say it."""
    if size is None:
        return "unknown"
    return f"{size // KIB} KiB" if size % (KIB * KIB) else f"{size // KIB // KIB} MiB"
