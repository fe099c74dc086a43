"""The real esptool on the loader: what it uploads, and a write with its older stub.

Everything else that esptool does is tested on the whole virtual device.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path

import pytest

from nodemcu_tls_build.emulator.bootloader import Bootloader
from nodemcu_tls_build.emulator.chip import Chip
from nodemcu_tls_build.emulator.faults import Faults
from nodemcu_tls_build.emulator.flash_chip import FlashChip
from nodemcu_tls_build.emulator.target import Target

MIB = 1024 * 1024


def find_stub_dir() -> Path:
    # Not by its module's name: scripts beside pytest have that name, too.
    return Path(str(metadata.distribution("esptool").locate_file("esptool/targets/stub_flasher")))


@pytest.mark.parametrize("version", [1, 2])
def test_stubs_are_told_apart(tmp_path: Path, version: int) -> None:
    stub = json.loads((find_stub_dir() / str(version) / "esp8266.json").read_text())
    with FlashChip.open(tmp_path / "flash.bin", MIB) as flash:
        target = Target(Chip(), flash)
        for part in ("text", "data"):
            contents = base64.b64decode(stub[part])
            target.start_upload(stub[f"{part}_start"], len(contents))
            target.store(stub[f"{part}_start"], contents)
        assert target.find_stub(stub["entry"]) == version


def serve(server: socket.socket, flash: FlashChip) -> None:
    """Be the device for one connection."""
    connection, _ = server.accept()
    loader = Bootloader(Chip(), flash, Faults())
    with connection:
        connection.settimeout(60)
        while data := connection.recv(65536):
            connection.sendall(loader.receive(data))


def test_write_with_the_older_stub(tmp_path: Path) -> None:
    image = b"".join(b"line %d\n" % number for number in range(20_000))
    (tmp_path / "image.bin").write_bytes(image)
    flash_path = tmp_path / "flash.bin"
    flash_path.write_bytes(bytes(MIB))
    with (
        FlashChip.open(flash_path, MIB) as flash,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        server.settimeout(60)
        thread = threading.Thread(target=serve, args=(server, flash))
        thread.start()
        port = f"socket://127.0.0.1:{server.getsockname()[1]}"
        result = subprocess.run(
            [
                *(sys.executable, "-m", "esptool", "--port", port, "--baud", "460800"),
                *("--before", "no-reset", "--after", "no-reset"),
                *("write-flash", "0x10000", str(tmp_path / "image.bin")),
            ],
            env=os.environ | {"ESPTOOL_STUB_VERSION": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        thread.join(60)
    assert result.returncode == 0, result.stdout
    assert "Hash of data verified" in result.stdout
    assert flash_path.read_bytes()[0x10000 : 0x10000 + len(image)] == image
