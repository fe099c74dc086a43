"""Serial ports for tests: pseudo terminals with a device's voice, or the real firmware, behind."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

from emulated import NODEMCU_TLS

from nodemcu_tls_build.build_output import load_build_output
from nodemcu_tls_build.image import pad_to_flash

LIMIT = 60  # seconds for anything to happen


class FakeDevice:
    """A device on a pseudo terminal: it says what the test says."""

    def __init__(self) -> None:
        self._device, self._terminal = pty.openpty()
        tty.setraw(self._terminal)
        self.port = os.ttyname(self._terminal)
        self.heard = b""
        self.heard_all = b""

    def say(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._device, data) :]

    def wait_for(self, text: bytes) -> None:
        """Wait until the host has sent this after what was waited for before."""
        while text not in self.heard:
            ready, _, _ = select.select([self._device], [], [], LIMIT)
            assert ready, self.heard
            part = os.read(self._device, 4096)
            self.heard += part
            self.heard_all += part
        self.heard = self.heard[self.heard.index(text) + len(text) :]

    def answer(self, reply: Callable[[bytes], bytes], lines: int) -> None:
        """Echo so many lines and answer each as the firmware's prompt does."""
        for _ in range(lines):
            line = b""
            while not line.endswith(b"\r"):
                ready, _, _ = select.select([self._device], [], [], LIMIT)
                assert ready, line
                byte = os.read(self._device, 1)
                self.say(b"\n" if byte == b"\r" else byte)
                line += byte
            self.say(reply(line[:-1]))

    def unplug(self) -> None:
        for descriptor in (self._device, self._terminal):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@contextlib.contextmanager
def open_device() -> Iterator[FakeDevice]:
    device = FakeDevice()
    try:
        yield device
    finally:
        device.unplug()


def plug(device: FakeDevice, name: str) -> None:
    Path(name).unlink(missing_ok=True)
    Path(name).symlink_to(device.port)


@contextlib.contextmanager
def boot_on_port(build_dir: Path, *args: str) -> Iterator[str]:
    """Boot a build in the emulator; yield the name of the serial port that is its console."""
    device, terminal = pty.openpty()
    tty.setraw(terminal)
    firmware = subprocess.Popen(
        [*NODEMCU_TLS, "run", str(build_dir), "--timeout", "90", *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert firmware.stdin
    assert firmware.stdout
    ends = ((firmware.stdout.fileno(), device), (device, firmware.stdin.fileno()))
    threads = [threading.Thread(target=_copy, args=pair, daemon=True) for pair in ends]
    for thread in threads:
        thread.start()
    try:
        yield os.ttyname(terminal)
    finally:
        firmware.terminate()
        firmware.wait(LIMIT)
        os.close(terminal)  # the device end reads EIO now
        for thread in threads:
            thread.join(LIMIT)
        os.close(device)
        for stream in (firmware.stdin, firmware.stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _copy(source: int, sink: int) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(source, 4096):
            os.write(sink, data)


def make_flash(build_dir: Path, path: Path) -> Path:
    """Write a whole flash with the build in it."""
    image = (build_dir / "flash.bin").read_bytes()
    path.write_bytes(pad_to_flash(image, load_build_output(build_dir).flash_size))
    return path
