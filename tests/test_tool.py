"""Runs of esptool: how long they may take, and what is made of their output."""

from __future__ import annotations

from pathlib import Path

import pytest
from loader_port import MIB, run_loader

from nodemcu_tls_build.device import tool
from nodemcu_tls_build.device.chip import identify_chip
from nodemcu_tls_build.device.regions import erase_ranges, read_flash
from nodemcu_tls_build.device.tool import Line, Step
from nodemcu_tls_build.emulator.bootloader_stub import StubLoader
from nodemcu_tls_build.errors import DeviceError


def test_time_for_the_largest_flash_on_the_usual_line() -> None:
    seconds = Step("", transfer=16 * MIB, changes=16 * MIB).count_seconds(115200)
    assert 2 * (16 * MIB * 10 / 115200) < seconds < 3 * 3600
    assert Step("", transfer=MIB).count_seconds(9600) > MIB * 10 / 9600
    assert Step("").count_seconds(921600) == Step("").count_seconds(300)


def test_how_long_esptool_may_be_silent() -> None:
    erase = Step("", changes=MIB)
    connecting = ["esptool v5.6.0", "Connecting..."]
    assert erase.count_silence([]) == erase.count_silence(connecting) == 60
    greeting = [*connecting, "", "Uploading stub flasher...", "Running stub flasher..."]
    assert erase.count_silence(greeting) == 10
    assert erase.count_silence([*greeting, "Stub flasher running."]) == 120
    already = "Stub flasher is already running. No upload is necessary."
    assert erase.count_silence([*connecting, already]) == 120
    assert erase.count_silence(connecting) < erase.count_seconds(115200)


def test_a_stub_whose_greeting_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """esptool reads it without a limit of time."""
    monkeypatch.setattr(tool, "_GREETING_TIME", 1)
    monkeypatch.setattr(StubLoader, "start", lambda _: b"\xc0OH")
    with (
        run_loader(tmp_path / "flash.bin") as port,
        pytest.raises(DeviceError, match="failed: the device stopped answering") as caught,
    ):
        identify_chip(Line(port))
    assert caught.value.hint


def test_a_run_that_comes_to_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "_CONNECT_TIME", 2)
    monkeypatch.setenv("ESPTOOL_CONNECT_ATTEMPTS", "0")  # for ever
    with (
        run_loader(tmp_path / "flash.bin", "deaf") as port,
        pytest.raises(
            DeviceError, match=r"identifying the device on \S+ failed: it came to no end"
        ),
    ):
        identify_chip(Line(port))


def test_modules_of_the_current_directory_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "serial.py").write_text("raise SystemExit('the wrong serial')")
    monkeypatch.chdir(tmp_path)
    with run_loader(tmp_path / "flash.bin", size=2 * MIB) as port:
        chip = identify_chip(Line(port))
    assert (chip.chip, chip.flash_size) == ("ESP8266EX", 2 * MIB)


def test_progress(tmp_path: Path) -> None:
    told: list[tuple[str, float | None]] = []
    (tmp_path / "flash.bin").write_bytes(bytes(MIB))
    with run_loader(tmp_path / "flash.bin") as port:
        line = Line(port, 115200, lambda text, percent: told.append((text, percent)))
        data = read_flash(line, 0x1000, 0x4000, what="reading")
        erase_ranges(line, [(0x1000, 0x3000), (0x5000, 0x6000)])
    assert data == bytes(0x4000)
    assert told[:2] == [("reading", None), ("reading", 25.0)]
    assert ("reading", 100.0) in told
    flash = bytearray(MIB)
    for start, end in ((0x1000, 0x3000), (0x5000, 0x6000)):
        flash[start:end] = b"\xff" * (end - start)
    assert (tmp_path / "flash.bin").read_bytes() == flash


def test_a_device_that_says_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [
        *("Chip type:          ESP8266EX", "Crystal frequency:  26MHz"),
        *("MAC:                5c:cf:7f:00:82:66", "Manufacturer: ef", "Device: 4016"),
        "Detected flash size: 4MB",
    ]
    for missing in range(len(said)):
        lines = said[:missing] + said[missing + 1 :]
        monkeypatch.setattr(
            "nodemcu_tls_build.device.chip.run_esptool", lambda *_args, lines=lines: lines
        )
        with pytest.raises(DeviceError, match="did not say what it is"):
            identify_chip(Line("/dev/ttyNONE"))
    silent = [line.replace("ef", "ff").replace("4016", "ffff") for line in said]
    monkeypatch.setattr("nodemcu_tls_build.device.chip.run_esptool", lambda *_args: silent)
    with pytest.raises(DeviceError, match="finds no flash: its id reads as ffffff"):
        identify_chip(Line("/dev/ttyNONE"))
