"""Flashing, as far as it goes without a device: a silent device."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodemcu_tls_build.device.flash import verify_device, write_device
from nodemcu_tls_build.errors import DeviceError, ImageError


@pytest.fixture
def port() -> Iterator[str]:
    """Give the name of a serial port behind which nobody answers."""
    device, terminal = pty.openpty()
    yield os.ttyname(terminal)
    os.close(terminal)
    os.close(device)


@pytest.fixture
def build_dir(tmp_path: Path) -> Path:
    images = []
    for name, offset in (("0x00000.bin", 0), ("0x10000.bin", 0x10000)):
        data = b"\xe9\x00\x02\x20" + name.encode()
        (tmp_path / name).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        images.append({"name": name, "offset": offset, "length": len(data), "sha256": digest})
    build = {"build_id": "00" * 20, "flash_size": 1024 * 1024, "images": images}
    (tmp_path / "build.json").write_text(json.dumps(build), encoding="utf-8")
    return tmp_path


def run_cli(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nodemcu_tls_build", *args],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"ESPTOOL_CONNECT_ATTEMPTS": "1"},
    )


def test_port_is_checked_after_the_build(build_dir: Path) -> None:
    for run in (write_device, verify_device):
        with pytest.raises(DeviceError, match="cannot find /dev/ttyNONE"):
            run(build_dir, "/dev/ttyNONE", 115200, print)
    (build_dir / "0x10000.bin").write_bytes(b"another")
    for run in (write_device, verify_device):
        with pytest.raises(ImageError, match="is not what the build made"):
            run(build_dir, "/dev/ttyNONE", 115200, print)


@pytest.mark.parametrize(
    ("command", "action"), [("flash", "write-flash"), ("verify", "verify-flash")]
)
def test_silent_device(build_dir: Path, port: str, command: str, action: str) -> None:
    result = run_cli(command, port, "--build", str(build_dir))
    assert result.returncode == 1
    assert result.stdout.startswith("esptool v")
    assert result.stderr.splitlines() == [
        f"Error: {action} on {port} failed: Failed to connect to ESP8266: No serial data received.",
        "Hint: Is it an ESP8266, powered, and in its bootloader (GPIO0 low at reset)?",
    ]


@pytest.mark.parametrize("command", ["flash", "verify"])
def test_no_port_given(command: str) -> None:
    result = run_cli(command)
    assert result.returncode == 2
    assert "Missing argument 'PORT'" in result.stderr
