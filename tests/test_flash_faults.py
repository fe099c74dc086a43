"""Flashing a virtual ESP8266 that misbehaves: a clear error, and the next flash succeeds."""

from __future__ import annotations

import json
import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from builds import load_report
from emulated import NODEMCU_TLS
from virtual_device import run_device
from warm_esptool import use_warm_esptool

from nodemcu_tls_build.device.flash import FlashRequest, flash_device
from nodemcu_tls_build.device.plan import load_plan
from nodemcu_tls_build.device.tool import Line
from nodemcu_tls_build.errors import DeviceError
from nodemcu_tls_build.memmap import IROM_OFFSET, KIB

_LIMIT = 300
_PLACES = 100
_PARTS = 4
_AT_ONCE = 6  # a flash waits more than it computes
_SMALL = 20 * KIB


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


def cut_mapped_image(firmware: Path, build_dir: Path) -> int:
    """Make a build whose mapped image is the start of a real one; return its bytes in flash.

    A flash of it takes so little that many of them are not too much.
    """
    report = load_report(firmware)
    build_dir.mkdir()
    for image in report["images"]:
        data = (firmware / image["name"]).read_bytes()[:_SMALL]
        (build_dir / image["name"]).write_bytes(data)
        image |= {"length": len(data), "sha256": sha256(data).hexdigest()}
    (build_dir / "build.json").write_text(json.dumps(report))
    (build_dir / "bootrom.elf").symlink_to(firmware / "bootrom.elf")
    return sum(image["length"] for image in report["images"])


@pytest.mark.parametrize("part", range(_PARTS))
def test_power_cut_at_many_places(
    part: int, firmware: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is called as a function, the device and esptool are processes."""
    use_warm_esptool(monkeypatch)
    build_dir = tmp_path / "build"
    programmed = cut_mapped_image(firmware, build_dir)
    request = FlashRequest(load_plan(build_dir), verify=False)
    places = [0, 1, 255, 256, 257, 4095, 4096, 4097]  # of the bytes erased and programmed
    others = range(4098, 2 * programmed)  # at least as many are erased
    places += random.Random(8266).sample(others, _PLACES - len(places))  # noqa: S311 -- no secret

    def cut(place: int) -> None:
        flash_path = tmp_path / f"{place}.bin"
        with run_device(build_dir, flash_path, "--fault", f"power-cut={place}") as device:
            line = Line(device.url)
            with pytest.raises(DeviceError, match=r"^writing the flash on .* failed: ") as caught:
                flash_device(line, request)
            assert caught.value.hint
            assert "the power has failed" in device.log()
            result = flash_device(line, request)
        assert "0x10000.bin" in result.written, place
        check_flashed(build_dir, flash_path)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        mine = places[part::_PARTS]
        assert len(list(pool.map(cut, mine))) == len(mine)
