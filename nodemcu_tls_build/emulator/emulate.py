"""Put a virtual device behind a port, and keep both going until this process is told to end."""

from __future__ import annotations

import contextlib
import select
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nodemcu_tls_build.emulator.chip import FLASH_SIZES as CHIP_SIZES
from nodemcu_tls_build.emulator.device import VirtualDevice
from nodemcu_tls_build.emulator.faults import Faults
from nodemcu_tls_build.emulator.flash_chip import FlashChip
from nodemcu_tls_build.emulator.guest import Guest
from nodemcu_tls_build.emulator.qemu import Setup, make_command
from nodemcu_tls_build.emulator.serial_server import SerialServer
from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.files import explain_write_error, read_file
from nodemcu_tls_build.image import FLASH_SIZES
from nodemcu_tls_build.memmap import FLASH_WINDOW, KIB
from nodemcu_tls_build.toolchain import find_qemu

_NEW_FLASH = 1024 * KIB
_HEADER = 4  # bytes of it: the last one has the size
_ROM_LIMIT = 1024 * KIB
_ELF = b"\x7fELF"


@dataclass(frozen=True)
class EmulateRequest:
    """What to emulate.

    `flash_path` keeps the flash; without it the chip is a fresh one. `flash_size` is in bytes,
    None the file's size, or 1 MiB for a new one. `port` 0 is any that is free. `hosts` are
    NAME:IPV4 pairs as `parse_hosts` gives them.
    """

    build_dir: Path
    flash_path: Path | None = None
    flash_size: int | None = None
    port: int = 0
    hosts: tuple[str, ...] = ()
    faults: Faults = field(default_factory=Faults)


def run_device(
    request: EmulateRequest, *, on_ready: Callable[[str], None], log: Callable[[str], None]
) -> None:
    """Emulate a device until an exception, of a signal handler or an error, ends it.

    `on_ready` is called with the port's URL once it can be opened.
    """
    rom_path = request.build_dir / "bootrom.elf"
    _check_rom(rom_path)
    qemu_path = find_qemu()
    with contextlib.ExitStack() as stack:
        flash_path = (request.flash_path or _make_private_dir(stack) / "flash.bin").absolute()
        size = request.flash_size or _find_size(flash_path)
        flash = stack.enter_context(FlashChip.open(flash_path, size, faults=request.faults))

        def boot() -> Guest:
            setup = Setup(rom_path, flash_path, find_firmware_flash(flash), request.hosts)
            return Guest(make_command(qemu_path, setup))

        device = VirtualDevice(flash, boot, log, faults=request.faults)
        stack.callback(device.switch_off)
        server = SerialServer(request.port, device, log)
        stack.callback(server.close)
        on_ready(server.url)
        device.switch_on()
        while True:
            _run_once(server, device)


def find_firmware_flash(flash: FlashChip) -> int:
    """Return the size of flash that the image's header states, as far as there is so much."""
    stated = FLASH_SIZES.get(flash.read(0, _HEADER)[3] >> 4, FLASH_WINDOW.size)
    return min(stated, flash.size, FLASH_WINDOW.size)


def _run_once(server: SerialServer, device: VirtualDevice) -> None:
    """Wait until there is something to do, and do it."""
    poller = select.poll()
    watched = server.watch() | device.watch(has_room=server.has_room)
    for descriptor, events in watched.items():
        poller.register(descriptor, events)
    deadline = device.deadline
    wait = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000 + 1
    ready = dict(poller.poll(wait))
    device.step(ready)  # first, so that a console's last words come before what a reset shows
    server.step(ready)
    server.send(device.take_output())


def _check_rom(path: Path) -> None:
    hint = f"The boot ROM comes from a build: nodemcu-tls build --out {path.parent}"
    try:
        header = read_file(path, _ROM_LIMIT)[: len(_ELF)]
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}", hint) from error
    if header != _ELF:
        raise ImageError(f"{path} is no program", hint)


def _make_private_dir(stack: contextlib.ExitStack) -> Path:
    try:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nodemcu-tls-")))
    except OSError as error:
        raise explain_write_error(Path(tempfile.gettempdir()), error) from error


def _find_size(path: Path) -> int:
    """Return the size of a flash that exists, else that of a new one."""
    try:
        status = path.stat()
    except OSError:
        return _NEW_FLASH
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:  # the first cannot be opened
        return _NEW_FLASH
    if status.st_size not in CHIP_SIZES.values():
        raise ImageError(
            f"{path} has {status.st_size:,} bytes: no flash is of that size",
            "Delete it for a fresh one, or name the flash file of a board.",
        )
    return status.st_size
