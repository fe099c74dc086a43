"""`nodemcu-tls emulate`, with the real esptool and the real firmware."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from emulated import NODEMCU_TLS
from pki import make_authority, make_pem
from virtual_device import EMULATE, SerialConsole, VirtualDeviceProcess, run_device

from nodemcu_tls_build.memmap import SECTOR, find_credentials

_LIMIT = 120  # seconds; esptool takes 20 on such a port, nearly all of it in pauses of its client
MIB = 1024 * 1024


def run_esptool(
    device: VirtualDeviceProcess, *args: str | Path, stub: int = 2
) -> subprocess.CompletedProcess[str]:
    """Run esptool on the device's port to its end."""
    result = subprocess.run(
        [sys.executable, "-m", "esptool", "--chip", "esp8266", "--port", device.url]
        + [str(arg) for arg in args],
        check=False,
        env=os.environ | {"ESPTOOL_STUB_VERSION": str(stub)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT,
    )
    assert result.returncode == 0, result.stdout + result.stderr + device.log()
    return result


def run_emulate(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a device that has to fail."""
    return subprocess.run(
        [*EMULATE, *map(str, args)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT,
    )


def make_flash(build_dir: Path, path: Path, size: int = MIB) -> Path:
    path.write_bytes((build_dir / "flash.bin").read_bytes().ljust(size, b"\xff"))
    return path


def find_emulator(device: VirtualDeviceProcess) -> int:
    """Wait until the device has started its emulator; return the process's id."""
    pid = device.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    deadline = time.monotonic() + _LIMIT
    while not (found := children.read_text().split()):
        assert time.monotonic() < deadline, device.log()
        time.sleep(0.05)
    return int(found[0])


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + _LIMIT
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def list_images(build_dir: Path) -> list[str]:
    return ["0x0", str(build_dir / "0x00000.bin"), "0x10000", str(build_dir / "0x10000.bin")]


def test_flashed_at_another_rate_and_booted(firmware: Path, tmp_path: Path) -> None:
    flash_path = tmp_path / "flash.bin"
    with run_device(firmware, flash_path, "--flash-size", "4MB") as device:
        assert flash_path.read_bytes() == b"\xff" * 4 * MIB
        run_esptool(device, "--baud", "921600", "write-flash", *list_images(firmware))
        image = (firmware / "flash.bin").read_bytes()
        assert flash_path.read_bytes() == image.ljust(4 * MIB, b"\xff")
        with SerialConsole(device.url) as console:  # esptool's reset has booted it
            console.type("=6 * 7\n")
            console.wait_for("\n42\n> ")
            console.type("while true do end\n")
            console.wait_for("end\n")
            console.reset()
            console.wait_for("> ")
            console.type("=2 ^ 10\n")
            console.wait_for("\n1024\n> ")
        result = run_esptool(device, "verify-flash", *list_images(firmware), stub=1)
        assert result.stdout.count("digest matched") == 2


def test_without_a_stub(firmware: Path, tmp_path: Path) -> None:
    with run_device(firmware, tmp_path / "flash.bin") as device:
        result = run_esptool(device, "--no-stub", "--after", "no-reset", "chip-id")
        assert "Chip ID: 0x" in result.stdout
        device.wait_for_log("The client has gone.")
        assert "boots from flash" not in device.log()


def test_firmware_writes_to_the_same_flash(firmware: Path, tmp_path: Path) -> None:
    flash_path = make_flash(firmware, tmp_path / "flash.bin", 16 * MIB)
    before = flash_path.read_bytes()
    certificate = make_pem(make_authority("ecdsa").certificate).decode()
    with run_device(firmware, flash_path, "--add-host", "server.test:host-gateway") as device:
        with SerialConsole(device.url) as console:
            console.reset()
            console.wait_for("> ")
            console.type("net.dns.resolve('server.test', print)\n")
            console.wait_for("10.0.2.2")
            console.type("=rtctime.get() > 1.7e9\n")
            console.wait_for("\ntrue\n")
            console.type(f"=tls.cert.verify([[{certificate}]])\n")
            console.wait_for("]])\ntrue\n> ")
            console.reset()
            console.wait_for("> ")
            console.type("=pcall(tls.cert.verify, true)\n")
            console.wait_for("\ntrue\ttrue\n")
        assert device.stop() == 128 + signal.SIGTERM
    after = flash_path.read_bytes()
    credentials = find_credentials(MIB)
    assert after[credentials : credentials + 4] == b"NTLS"
    assert after[:credentials] + after[credentials + 2 * SECTOR :] == (
        before[:credentials] + before[credentials + 2 * SECTOR :]
    )


def test_firmware_that_ends_boots_again(firmware: Path, tmp_path: Path) -> None:
    flash_path = make_flash(firmware, tmp_path / "flash.bin")
    with run_device(firmware, flash_path) as device, SerialConsole(device.url) as console:
        console.reset()
        console.wait_for("> ")
        for code in (5, 3):
            console.type(f"os.exit({code})\n")
            device.wait_for_log(f"The firmware ended with exit code {code}: it boots again.")
            console.wait_for("> ")
        console.type("=1 + 1\n")
        console.wait_for("\n2\n> ")


def test_wrong_rate_is_garbage(firmware: Path, tmp_path: Path) -> None:
    flash_path = make_flash(firmware, tmp_path / "flash.bin")
    with run_device(firmware, flash_path) as device:
        with SerialConsole(device.url, baud=9600) as console:
            console.reset()
            console.type("=1 + 1\n")
            device.wait_for_log("boots from flash", 2)
            console.port.timeout = 1
            assert b"> " not in console.port.read(100)
        with SerialConsole(device.url) as console:
            console.type("\n=1 + 1\n")
            console.wait_for("\n2\n> ")


def test_no_image_is_refused_once(firmware: Path) -> None:
    with run_device(firmware) as device, SerialConsole(device.url) as console:
        device.wait_for_log("The flash holds no image: waiting for a reset into the loader.")
        console.reset()
        console.wait_for("boot: refused: no image in flash (bad magic)\n")
        device.wait_for_log("The boot ROM refused the image: waiting for a reset.")


def test_flash_file_that_is_cut_off(firmware: Path, tmp_path: Path) -> None:
    flash_path = tmp_path / "flash.bin"
    with run_device(firmware, flash_path) as device:
        os.truncate(flash_path, 0)
        with contextlib.suppress(OSError), SerialConsole(device.url) as console:
            console.reset()
        assert device.process.wait(60) == 1
        assert f"Error: {flash_path} was cut off while it was in use: 0 bytes" in device.log()
        assert "lost" not in device.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_the_emulator_too(
    firmware: Path, tmp_path: Path, number: signal.Signals
) -> None:
    flash_path = make_flash(firmware, tmp_path / "flash.bin")
    with run_device(firmware, flash_path) as device:
        emulator = find_emulator(device)
        SerialConsole(device.url).port.close()  # it is past its start
        assert os.getpgid(emulator) == emulator  # a terminal's ^C is not for it
        assert device.stop(number) == 128 + number
        assert not is_running(emulator)
        assert "Traceback" not in device.log()


def test_killed_device_leaves_no_emulator(firmware: Path, tmp_path: Path) -> None:
    flash_path = make_flash(firmware, tmp_path / "flash.bin")
    with run_device(firmware, flash_path) as device:
        emulator = find_emulator(device)
        device.stop(signal.SIGKILL)
        wait_for_end(emulator)


def test_flash_in_use(firmware: Path, tmp_path: Path) -> None:
    flash_path = make_flash(firmware, tmp_path / "flash.bin")
    with run_device(firmware, flash_path):
        result = run_emulate("--build", firmware, "--flash", flash_path)
        assert result.returncode == 1
        assert "is the flash of an emulator that is running" in result.stderr
        run = subprocess.run(
            [*NODEMCU_TLS, "run", str(firmware), "--flash", str(flash_path), "--timeout", "60"],
            check=False,
            input="",
            capture_output=True,
            text=True,
            timeout=_LIMIT,
        )
        assert run.returncode == 1
        assert "is the flash of an emulator that is running" in run.stderr


def test_port_in_use(firmware: Path) -> None:
    with run_device(firmware) as device:
        result = run_emulate("--build", firmware, "--port", str(device.port))
        assert (result.returncode, result.stdout) == (1, "")
        address = f"127.0.0.1:{device.port}"
        assert f"cannot listen on {address}: Address already in use\n" in result.stderr
        assert "Hint: Choose another --port" in result.stderr


def test_bad_arguments(firmware: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.bin").write_bytes(bytes(1000))
    small = make_flash(firmware, tmp_path / "flash.bin")
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "bootrom.elf").write_bytes(b"no ELF")
    for args, message in (
        (("--build", tmp_path / "junk"), "bootrom.elf is no program"),
        (("--build", tmp_path), "cannot read"),
        (
            ("--build", firmware, "--flash", tmp_path / "odd.bin"),
            "odd.bin has 1,000 bytes: no flash is of that size",
        ),
        (("--build", firmware, "--flash", tmp_path), "cannot write"),
        (
            ("--build", firmware, "--flash", small, "--flash-size", "512KB"),
            "has 1,048,576 bytes, the flash has 524,288",
        ),
        (("--build", firmware, "--fault", "lose"), "needs a value: lose=N"),
        (("--build", firmware, "--add-host", "x"), "'x' is not NAME:IP"),
    ):
        result = run_emulate(*args)
        assert (result.returncode, result.stdout) == (1, ""), args
        assert message in result.stderr
        assert "Hint: " in result.stderr
    for args in (("--port", "65536"), ("--flash-size", "3MB"), ("--build",)):
        assert run_emulate(*args).returncode == 2


def test_emulator_that_cannot_start(
    firmware: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flash_path = make_flash(firmware, tmp_path / "flash.bin")
    qemu_path = tmp_path / "qemu"
    qemu_path.write_text("#!/bin/sh\necho 'qemu: no such machine' >&2\nexit 1\n")
    qemu_path.chmod(0o755)
    monkeypatch.setenv("NODEMCU_TLS_QEMU", str(qemu_path))
    result = run_emulate("--build", firmware, "--flash", flash_path)
    assert result.returncode == 1
    assert "the emulator failed: no such machine" in result.stderr
    monkeypatch.setenv("NODEMCU_TLS_QEMU", str(tmp_path / "missing"))
    result = run_emulate("--build", firmware, "--flash", flash_path)
    assert result.returncode == 1
    assert "is not a program" in result.stderr
