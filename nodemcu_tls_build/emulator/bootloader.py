"""An ESP8266 in its serial bootloader: bytes from the host in, bytes to the host out."""

from __future__ import annotations

from dataclasses import replace

from nodemcu_tls_build.emulator.bootloader_rom import RomLoader
from nodemcu_tls_build.emulator.bootloader_stub import StubLoader
from nodemcu_tls_build.emulator.bootloader_wire import Exit, Loader
from nodemcu_tls_build.emulator.chip import ESP32_MAGIC, Chip
from nodemcu_tls_build.emulator.faults import Faults
from nodemcu_tls_build.emulator.flash_chip import FlashChip
from nodemcu_tls_build.emulator.slip import Decoder
from nodemcu_tls_build.emulator.target import Target


class Bootloader:
    """The ROM's loader, and esptool's stub once that was uploaded and started.

    `baud` is the rate that the loader wants from now on, None for any: the ROM measures it.
    `wants_boot` says that the host asked for the program in flash; nothing is answered any more.
    """

    def __init__(self, chip: Chip, flash: FlashChip, faults: Faults) -> None:
        if faults.wrong_chip:
            chip = replace(chip, magic=ESP32_MAGIC)
        self.wants_boot = False
        self._target = Target(chip, flash)
        self._loader: Loader | None = RomLoader(self._target)
        self._decoder = Decoder(RomLoader.limit)

    @property
    def baud(self) -> int | None:
        """Return the rate that the loader wants, None for any."""
        return None if self._loader is None else self._loader.baud

    @property
    def is_lost(self) -> bool:
        """Tell whether the host started a program in RAM, which nothing here can run."""
        return self._loader is None and not self.wants_boot

    @property
    def host_baud(self) -> int:
        """The host's rate, which the host sees again in the UART's divider."""
        return self._target.host_baud

    @host_baud.setter
    def host_baud(self, baud: int) -> None:
        self._target.host_baud = baud

    def receive(self, data: bytes) -> bytes:
        """Take what the host sent, return the answer; may raise PowerCut, then all is lost."""
        answer = bytearray()
        for frame in self._decoder.receive(data):
            if self._loader is None:
                break
            answer += self._loader.handle(frame)
            if self._loader.exit is not None:
                answer += self._leave(self._loader, self._loader.exit)
        return bytes(answer)

    def _leave(self, loader: Loader, way: Exit) -> bytes:
        """Start what follows a loader; return what that says unasked."""
        self.wants_boot = way is Exit.BOOT
        self._loader = None
        if way is Exit.RESET:
            self._loader = RomLoader(self._target)
        version = self._target.find_stub(loader.entry) if way is Exit.STUB else None
        if version is not None:
            self._loader = StubLoader(self._target, version)
        if self._loader is None:
            return b""
        self._decoder.limit = self._loader.limit
        return self._loader.start()
