"""A serial port with a chip in its bootloader behind it, and builds to flash to it."""

from __future__ import annotations

import json
import os
import pty
import random
import struct
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from nodemcu_tls_build.emulator.bootloader import Bootloader
from nodemcu_tls_build.emulator.chip import Chip
from nodemcu_tls_build.emulator.faults import parse_faults
from nodemcu_tls_build.emulator.flash_chip import FlashChip, PowerCut
from nodemcu_tls_build.memmap import BOARDS, IROM_OFFSET, KIB

MIB = KIB * KIB
_POLL = 0.01


@contextmanager
def run_loader(flash_path: Path, *faults: str, size: int = MIB) -> Iterator[str]:
    """Give a port behind which a bootloader answers; its flash is the file.

    It has no control lines: the chip is reset into its bootloader whenever the port is closed.
    When its power is cut, the port hangs up.
    """
    parsed = parse_faults(faults)
    device, terminal = pty.openpty()
    tty.setraw(terminal)
    name = os.ttyname(terminal)
    os.close(terminal)
    over = threading.Event()
    held: list[int] = []  # as long as it is open, no other terminal gets the name: esptool tries it

    def serve(flash: FlashChip) -> None:
        loader = None
        while not over.is_set():
            try:
                data = os.read(device, 65536)
            except OSError:  # nobody has opened the port
                loader = None
                time.sleep(_POLL)
                continue
            loader = loader or Bootloader(Chip(), flash, parsed)
            try:
                answer = loader.receive(data)
            except PowerCut:
                held.append(os.open(name, os.O_RDWR | os.O_NOCTTY))
                break
            while answer and not parsed.deaf:
                answer = answer[os.write(device, answer) :]
        os.close(device)

    with FlashChip.open(flash_path, size, faults=parsed) as flash:
        thread = threading.Thread(target=serve, args=(flash,))
        thread.start()
        try:
            yield name
        finally:
            over.set()
            with suppress(OSError):  # wakes it up: the port is opened and closed
                os.close(os.open(name, os.O_RDWR | os.O_NOCTTY))
            thread.join()
            for descriptor in held:
                os.close(descriptor)


def make_build(directory: Path, *, seed: int = 1, flash_size: int = MIB, nibble: int = 2) -> Path:
    """Make the output directory of a small build, another one for each seed."""
    source = random.Random(seed)  # noqa: S311 -- the same in every run
    build_id = source.randbytes(20)
    boot = struct.pack("<BBBBI", 0xE9, 0, 2, nibble << 4, 0x40100000) + source.randbytes(700)
    note = struct.pack("<III4s", 4, 20, 3, b"GNU\0") + build_id
    images = []
    directory.mkdir(parents=True)
    for offset, data in ((0, boot), (IROM_OFFSET, note + source.randbytes(9000))):
        name = f"0x{offset:05x}.bin"
        (directory / name).write_bytes(data)
        place = {"name": name, "offset": offset, "length": len(data)}
        images.append(place | {"sha256": sha256(data).hexdigest()})
    report: dict[str, object] = {"schema": 1, "flash_size": flash_size}
    report |= {"build_id": build_id.hex(), "images": images}
    report["profile"] = {"board": {"name": BOARDS[0], "flash_size": flash_size}}
    (directory / "build.json").write_text(json.dumps(report), encoding="utf-8")
    return directory


def make_flash(build_dir: Path, path: Path, *, size: int = MIB) -> bytearray:
    """Return the flash, 0xff elsewhere, that a build was written to, and put it into a file."""
    flash = bytearray(b"\xff" * size)
    for image in json.loads((build_dir / "build.json").read_text(encoding="utf-8"))["images"]:
        data = (build_dir / image["name"]).read_bytes()
        flash[image["offset"] : image["offset"] + len(data)] = data
    path.write_bytes(flash)
    return flash
