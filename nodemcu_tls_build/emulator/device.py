"""A virtual ESP8266: reset, its serial loader, and the firmware in its flash."""

from __future__ import annotations

import time
from collections.abc import Callable

from nodemcu_tls_build.emulator.bootloader import Bootloader
from nodemcu_tls_build.emulator.chip import Chip
from nodemcu_tls_build.emulator.faults import Faults
from nodemcu_tls_build.emulator.flash_chip import FlashChip, PowerCut
from nodemcu_tls_build.emulator.guest import CONSOLE_BAUD, Guest
from nodemcu_tls_build.emulator.pins import Pins, Start
from nodemcu_tls_build.emulator.serial_server import Unplugged
from nodemcu_tls_build.emulator.wire import Wire, hear
from nodemcu_tls_build.image import MAGIC

QUICK_END = 5.0  # seconds after its boot: a firmware that ends sooner may do so again and again
MAX_QUICK_ENDS = 5


class VirtualDevice:
    """The chip and its board at the end of a serial line.

    `boot` starts the flash's contents in an emulator. Only `step`, which is given the poll's
    answer for what `watch` asked, reads from that; nothing here waits. What the host gets is
    fetched with `take_output`.
    """

    def __init__(
        self,
        flash: FlashChip,
        boot: Callable[[], Guest],
        log: Callable[[str], None],
        *,
        faults: Faults | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._flash = flash
        self._boot = boot
        self._log = log
        self._clock = clock
        self._faults = faults or Faults()
        self._wire = Wire(self._faults)
        self._pins = Pins()
        self._host_baud = CONSOLE_BAUD
        self._loader: Bootloader | None = None
        self._loader_baud: int | None = None  # None: it takes the host's with the first frame
        self._guest: Guest | None = None
        self._booted_at = 0.0
        self._quick_ends = 0
        self._has_power = False

    def switch_on(self) -> None:
        """Give the chip power: it boots what is in flash, if there is anything."""
        self._has_power = True
        if self._flash.read(0, 1)[0] == MAGIC:
            self._start(Start.FLASH)
        else:
            self._log("The flash holds no image: waiting for a reset into the loader.")

    def switch_off(self) -> None:
        """End whatever runs."""
        self._has_power = False
        self._stop()

    # What the serial server tells.

    def plug_in(self) -> None:
        """Take note of a client; a device whose power had failed has it again."""
        self._host_baud = CONSOLE_BAUD  # until the client says
        if not self._has_power:
            self.switch_on()

    def pull_out(self) -> None:
        """Release both lines; what was under way to the host is lost."""
        self.set_lines(dtr=False, rts=False)
        self._wire.clear()

    def set_lines(self, *, dtr: bool, rts: bool) -> None:
        """Take the two lines as the host sets them."""
        self._start(self._pins.set_lines(self._clock(), dtr=dtr, rts=rts))

    def set_baud(self, baud: int) -> None:
        """Take the host's rate in bits a second."""
        self._host_baud = baud

    def receive(self, data: bytes) -> None:
        """Take bytes of the host; raise Unplugged where a fault takes the connection away."""
        data, ends = self._wire.count(data)
        if self._loader:
            self._load(self._loader, data)
        elif self._guest:
            self._guest.write(hear(data, sent_at=self._host_baud, heard_at=CONSOLE_BAUD))
        if ends:
            raise Unplugged("Fault: the plug is out; the next connection finds the device again.")

    # What the main loop calls.

    def watch(self, *, has_room: bool) -> dict[int, int]:
        """Return the descriptors to wait for; the console waits while the host has no room."""
        return self._guest.watch(has_room=has_room) if self._guest else {}

    @property
    def deadline(self) -> float | None:
        """Return the time by which `step` and `take_output` have something to do."""
        return min(
            (time for time in (self._pins.deadline, self._wire.deadline) if time is not None),
            default=None,
        )

    def step(self, ready: dict[int, int]) -> None:
        """Go on with what the poll found ready, or what is due."""
        self._start(self._pins.check(self._clock()))
        guest = self._guest
        if not guest:
            return
        shown = guest.step(ready)
        if shown is None:
            self._end_guest(guest)
        else:
            self._send(shown, CONSOLE_BAUD)

    def take_output(self) -> bytes:
        """Return what has arrived at the host since the last time."""
        return self._wire.take(self._clock())

    def _send(self, data: bytes, baud: int) -> None:
        self._wire.send(data, self._clock(), sent_at=baud, heard_at=self._host_baud)

    def _start(self, start: Start | None) -> None:
        """Do what the pins ask for."""
        if start is None or not self._has_power:
            return
        self._stop()
        if start is not Start.RESET:  # every reset ends as one of the others
            self._log(f"Reset: {start.value}.")
        self._quick_ends = 0
        if start is Start.LOADER:
            self._loader = Bootloader(Chip(), self._flash, self._faults)
            self._loader_baud = None
        elif start is Start.FLASH:
            self._start_guest()

    def _stop(self) -> None:
        self._loader = None
        guest, self._guest = self._guest, None
        if guest:
            guest.kill()

    def _load(self, loader: Bootloader, data: bytes) -> None:
        """Let the loader have bytes of the host, and send its answers."""
        baud = self._loader_baud or self._host_baud
        loader.host_baud = self._host_baud
        try:
            answers = loader.receive(hear(data, sent_at=self._host_baud, heard_at=baud))
        except PowerCut:
            self.switch_off()
            raise Unplugged(
                "Fault: the power has failed; it is back with the next connection."
            ) from None
        self._send(self._wire.cut(answers), baud)
        if answers:
            self._loader_baud = loader.baud or baud
        if loader.is_lost:
            self._log("The loader started a program in RAM, which is not emulated.")
            self._loader = None
        if loader.wants_boot:
            self._log("The loader starts the program in flash.")
            self._loader = None
            self._start_guest()

    def _start_guest(self) -> None:
        self._booted_at = self._clock()
        self._guest = self._boot()

    def _end_guest(self, guest: Guest) -> None:
        """Boot again, as the chip does after a firmware's end, unless that leads nowhere."""
        self._guest = None
        code, warnings = guest.finish()
        for line in warnings:
            self._log(line)
        if guest.was_refused(code):
            self._log("The boot ROM refused the image: waiting for a reset.")
            return
        quick = self._clock() - self._booted_at < QUICK_END
        self._quick_ends = self._quick_ends + 1 if quick else 0
        if self._quick_ends == MAX_QUICK_ENDS:
            self._log(
                f"The firmware ended {MAX_QUICK_ENDS} times right after its boot, "
                f"with exit code {code} at last: waiting for a reset."
            )
            return
        self._log(f"The firmware ended with exit code {code}: it boots again.")
        self._start_guest()
