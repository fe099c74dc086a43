"""Flashing, as far as it goes without a device: the port's troubles and a silent device."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from nodemcu_tls_build.errors import DeviceError, ImageError
from nodemcu_tls_build.device.flash import check_port, verify_device, write_device


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


def test_free_port(port: str) -> None:
    check_port(port)


def test_port_by_another_name(port: str, tmp_path: Path) -> None:
    (tmp_path / "usb-Silicon_Labs").symlink_to(port)
    check_port(str(tmp_path / "usb-Silicon_Labs"))


def test_missing_port() -> None:
    with pytest.raises(DeviceError, match="cannot find /dev/ttyNONE: No such file") as caught:
        check_port("/dev/ttyNONE")
    assert caught.value.hint
    assert "plugged in" in caught.value.hint


def test_what_is_no_serial_port(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (str(tmp_path / "file"), str(tmp_path), "/dev/null"):
        with pytest.raises(DeviceError, match="is not a serial port"):
            check_port(path)


def test_busy_port(port: str) -> None:
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import fcntl, sys\n"
            "file = open(sys.argv[1], 'rb', buffering=0)\n"
            "fcntl.flock(file, fcntl.LOCK_EX)\n"
            "print('locked', flush=True)\n"
            "sys.stdin.read()\n",
            port,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(DeviceError, match="is in use by another program"):
            check_port(port)
    check_port(port)


def test_port_that_another_program_has_to_itself(
    port: str, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    tiocexcl = 0x540C
    Path(port).chmod(0o666)
    with Path(port).open("rb", buffering=0) as terminal:
        fcntl.ioctl(terminal, tiocexcl)
        with unprivileged(), pytest.raises(DeviceError, match="is in use by another program"):
            check_port(port)


def test_forbidden_port(
    port: str, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    Path(port).chmod(0)
    with unprivileged(), pytest.raises(DeviceError, match="no permission to use") as caught:
        check_port(port)
    group = Path(port).group()
    assert caught.value.hint
    assert f"sudo usermod -aG {group} $USER" in caught.value.hint


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
