"""Flashing a virtual ESP8266 that misbehaves: a clear error, and the next flash succeeds."""

from __future__ import annotations

import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from emulated import NODEMCU_TLS
from virtual_device import run_device

from nodemcu_tls_build.memmap import IROM_OFFSET, KIB

_LIMIT = 300
_PLACES = 100
_AT_ONCE = 4  # a flash waits more than it computes


def run_cli(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NODEMCU_TLS, *map(str, args)],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=_LIMIT,
    )


def check_failure(result: subprocess.CompletedProcess[str], *reasons: str) -> None:
    """Check that a command failed with a sentence and a hint, and took nothing for verified."""
    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    assert "erified" not in said
    assert "Traceback" not in said
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, said
    assert any(reason in errors[0] for reason in reasons), said
    assert "\nHint: " in result.stderr


def check_flashed(build_dir: Path, flash_path: Path) -> None:
    flash = flash_path.read_bytes()
    for name, offset in (("0x00000.bin", 0), ("0x10000.bin", IROM_OFFSET)):
        image = (build_dir / name).read_bytes()
        assert flash[offset : offset + len(image)] == image, name


def flash_well(build_dir: Path, flash_path: Path) -> None:
    """Flash a device that is in order, whatever was left in its flash."""
    with run_device(build_dir, flash_path) as device:
        result = run_cli("flash", device.url, "--build", build_dir)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "erified" in result.stdout
    check_flashed(build_dir, flash_path)


# The fault, and parts of the sentence of which one must be in the error.
LASTING = {
    "lose=500": ("",),
    "corrupt=500": ("",),
    "deaf": ("",),
    "wrong-chip": ("ESP32",),
    "stuck-sector=0x20000": ("",),
    "stuck-bit=0x20010": ("",),
}


@pytest.mark.parametrize("fault", LASTING)
def test_fault_that_stays(fault: str, firmware: Path, tmp_path: Path) -> None:
    flash_path = tmp_path / "flash.bin"
    flash_path.write_bytes(os.urandom(1024 * KIB))  # so that what does not erase shows
    with run_device(firmware, flash_path, "--fault", fault) as device:
        result = run_cli("flash", device.url, "--build", firmware)
    check_failure(result, *LASTING[fault])
    flash_well(firmware, flash_path)


@pytest.mark.parametrize("fault", ["unplug=100000", "cut-frame=40", "power-cut=100000"])
def test_fault_that_passes(fault: str, firmware: Path, tmp_path: Path) -> None:
    flash_path = tmp_path / "flash.bin"
    with run_device(firmware, flash_path, "--fault", fault) as device:
        check_failure(run_cli("flash", device.url, "--build", firmware), "")
        result = run_cli("flash", device.url, "--build", firmware)
        assert result.returncode == 0, result.stdout + result.stderr
    check_flashed(firmware, flash_path)


def test_slow_device(firmware: Path, tmp_path: Path) -> None:
    flash_path = tmp_path / "flash.bin"
    with run_device(firmware, flash_path, "--fault", "delay=20") as device:
        result = run_cli("flash", device.url, "--build", firmware)
    assert result.returncode == 0, result.stdout + result.stderr
    check_flashed(firmware, flash_path)


def test_chip_with_less_flash_than_the_image_says(firmware: Path, tmp_path: Path) -> None:
    flash_path = tmp_path / "flash.bin"
    with run_device(firmware, flash_path, "--flash-size", "512KB") as device:
        check_failure(run_cli("flash", device.url, "--build", firmware), "512")
    assert flash_path.read_bytes() == b"\xff" * 512 * KIB


def test_power_cut_at_a_hundred_places(firmware: Path, tmp_path: Path) -> None:
    programmed = sum((firmware / name).stat().st_size for name in ("0x00000.bin", "0x10000.bin"))
    random_places = random.Random(8266)
    # Half of what is programmed and erased: each place lies within the first flash.
    places = [1, 255, 256, 4095, 4096, 4097]
    places += [random_places.randrange(programmed) for _ in range(_PLACES - len(places))]

    def cut(number: int) -> None:
        flash_path = tmp_path / f"{number}.bin"
        with run_device(firmware, flash_path, "--fault", f"power-cut={places[number]}") as device:
            check_failure(run_cli("flash", device.url, "--build", firmware), "")
            result = run_cli("flash", device.url, "--build", firmware)
            assert result.returncode == 0, f"{places[number]}: {result.stdout}{result.stderr}"
        check_flashed(firmware, flash_path)
        flash_path.unlink()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        assert len(list(pool.map(cut, range(_PLACES)))) == _PLACES
