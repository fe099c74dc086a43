"""An ESP8266 in its serial bootloader: bytes from the host in, bytes to the host out."""

from __future__ import annotations

from nodemcu_tls_build.emulator.chip import Chip
from nodemcu_tls_build.emulator.faults import Faults
from nodemcu_tls_build.emulator.flash_chip import FlashChip


class Bootloader:
    """The ROM's loader, and esptool's stub once that was uploaded and started.

    `baud` is the rate that the loader wants from now on, None for any (the ROM measures it).
    `wants_boot` says that the host asked for the program in flash; nothing is answered any more.
    `host_baud` is the host's rate, which READ_REG of the UART's divider tells it.
    """

    def __init__(self, chip: Chip, flash: FlashChip, faults: Faults) -> None:
        self.baud: int | None = None
        self.wants_boot = False
        self.host_baud = 115200

    def receive(self, data: bytes) -> bytes:
        """Take what the host sent, return the answer; may raise PowerCut, then all is lost."""
        raise NotImplementedError
