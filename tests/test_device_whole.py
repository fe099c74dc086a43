"""`nodemcu-tls device`: what a device is and holds, its flash saved, put back and erased."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from loader_port import MIB, make_build, make_flash, run_loader
from test_device_flash import run_cli
from test_tls_store import CERTIFICATE, KEY, make_sector

from nodemcu_tls_build.device import whole
from nodemcu_tls_build.device.tool import Line, open_memory
from nodemcu_tls_build.device.whole import back_up, erase, restore
from nodemcu_tls_build.errors import DeviceError, ImageError, OutputError
from nodemcu_tls_build.memmap import KIB, SECTOR, find_credentials


@pytest.fixture(autouse=True)
def few_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPTOOL_CONNECT_ATTEMPTS", "1")


def test_info_goes_by_the_header(tmp_path: Path) -> None:
    """A chip may be larger than the flash that its firmware knows."""
    build_dir = make_build(tmp_path / "build")
    flash = make_flash(build_dir, tmp_path / "flash.bin", size=2 * MIB)
    start = find_credentials(MIB) + 2 * SECTOR
    flash[start : start + SECTOR] = make_sector(1, 5, CERTIFICATE + KEY)
    (tmp_path / "flash.bin").write_bytes(flash)
    with run_loader(tmp_path / "flash.bin", size=2 * MIB) as port:
        result = run_cli("device", "info", port)
    assert result.returncode == 0, result.stderr
    build_id = json.loads((build_dir / "build.json").read_text())["build_id"]
    assert result.stdout.splitlines() == [
        "Device",
        f"Port                {port}",
        "Chip                ESP8266EX, crystal of 26 MHz",
        "MAC address         5c:cf:7f:00:82:66",
        "Flash               2 MiB, id ef4015",
        f"Build id            {build_id}",
        "",
        "Header              device  chip",
        "Flash mode          dio",
        "Flash size          1 MiB   2 MiB",
        "Frequency           40 MHz",
        "",
        "Credentials          sector  holds",
        "CA                  0xf7000  erased",
        "CA                  0xf8000  erased",
        "client              0xf9000  1 certificate, 1 key, number 5  in force",
        "client              0xfa000  erased",
    ]


def test_backup_and_restore(tmp_path: Path) -> None:
    size = 256 * KIB
    path, saved_path = tmp_path / "flash.bin", tmp_path / "saved.bin"
    content = bytes(range(256)) * 3 + b"\xff" * (size - 768 - 5) + b"\x00\x01key"
    path.write_bytes(content)
    with run_loader(path, size=size) as port:
        saved = run_cli("device", "backup", str(saved_path), port)
        assert saved.returncode == 0, saved.stderr
        assert f"Saved 262,144 bytes of {port} to {saved_path}" in saved.stdout
        assert saved_path.read_bytes() == content
        assert stat.S_IMODE(saved_path.stat().st_mode) == 0o600
        assert run_cli("device", "erase", port, "--yes").returncode == 0
        assert path.read_bytes() == b"\xff" * size
        restored = run_cli("device", "restore", str(saved_path), port, "--yes")
    assert restored.returncode == 0, restored.stderr
    assert path.read_bytes() == content


def test_backup_over_another_with_every_stream_closed(tmp_path: Path) -> None:
    """No file that esptool inherits takes the place of its input or output."""
    path, saved_path = tmp_path / "flash.bin", tmp_path / "saved.bin"
    path.write_bytes(bytes(range(256)) * KIB)
    saved_path.write_bytes(b"an older backup")
    saved_path.chmod(0o644)
    command = [sys.executable, "-m", "nodemcu_tls_build", "device", "backup", str(saved_path)]
    with run_loader(path, size=256 * KIB) as port:
        shell = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command, port, "--force"]
        assert subprocess.run(shell, check=False).returncode == 0
    assert saved_path.read_bytes() == path.read_bytes()
    assert stat.S_IMODE(saved_path.stat().st_mode) == 0o600


def test_backups_that_are_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "saved.bin"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already") as caught:
        back_up(Line("/dev/ttyNONE"), path)
    assert "--force" in str(caught.value.hint)
    for other in (tmp_path, Path("/dev/null")):
        with pytest.raises(OutputError, match="is not a regular file"):
            back_up(Line("/dev/ttyNONE"), other, force=True)
    with pytest.raises(OutputError, match="there is no directory"):
        back_up(Line("/dev/ttyNONE"), tmp_path / "none" / "saved.bin")
    assert path.read_bytes() == b"precious"
    monkeypatch.setattr(whole, "compare_regions", lambda *_args, **_options: [False])
    with (
        run_loader(tmp_path / "flash.bin", size=256 * KIB) as port,
        pytest.raises(DeviceError, match="the backup is not what the flash holds"),
    ):
        back_up(Line(port), path, force=True)
    assert path.read_bytes() == b"precious"


def test_restoring_what_is_no_backup_of_that_flash(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot read"):
        restore(Line("/dev/ttyNONE"), tmp_path / "none")
    (tmp_path / "small").write_bytes(bytes(1000))
    (tmp_path / "flash.bin").write_bytes(b"\x5a" * 256 * KIB)
    with (
        run_loader(tmp_path / "flash.bin", size=256 * KIB) as port,
        pytest.raises(ImageError, match=r"has 1,000 bytes, the flash of \S+ has 262,144"),
    ):
        restore(Line(port), tmp_path / "small")
    assert (tmp_path / "flash.bin").read_bytes() == b"\x5a" * 256 * KIB


def test_erasing_all_but_the_credentials(tmp_path: Path) -> None:
    flash = make_flash(make_build(tmp_path / "build"), tmp_path / "flash.bin", size=2 * MIB)
    flash[find_credentials(MIB) + 3 * SECTOR] = 0x12
    flash[find_credentials(MIB) + 4 * SECTOR] = 0x34
    (tmp_path / "flash.bin").write_bytes(flash)
    with run_loader(tmp_path / "flash.bin", size=2 * MIB) as port:
        ranges, kept = erase(Line(port), keep_credentials=True)
    assert ranges == [(0, 0xF7000), (0xFB000, 0x200000)]
    assert kept == [(0xF7000, 0xFB000)]
    expected = bytearray(b"\xff" * 2 * MIB)
    expected[find_credentials(MIB) + 3 * SECTOR] = 0x12
    assert (tmp_path / "flash.bin").read_bytes() == expected


def test_credentials_are_kept_where_no_firmware_says_their_place(tmp_path: Path) -> None:
    flash = bytearray(b"\xff" * 2 * MIB)
    place = find_credentials(MIB)
    sector = make_sector(0, 5, CERTIFICATE)
    flash[place : place + len(sector)] = sector
    flash[0x5000] = 0x12
    (tmp_path / "flash.bin").write_bytes(flash)
    with run_loader(tmp_path / "flash.bin", size=2 * MIB) as port:
        for _ in range(2):  # the second time there is nothing else
            _, kept = erase(Line(port), keep_credentials=True)
            assert kept == [(place, place + 4 * SECTOR)]
    flash[0x5000] = 0xFF
    assert (tmp_path / "flash.bin").read_bytes() == flash


def test_a_backup_is_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ImageError, match="it is not a regular file"):
            restore(Line("/dev/ttyNONE"), path)


@pytest.mark.parametrize("args", [["erase"], ["restore", "saved.bin"]])
def test_what_overwrites_all_wants_to_be_sure(args: list[str]) -> None:
    result = run_cli("device", *args, "/dev/ttyNONE")
    assert result.returncode == 2
    assert "give --yes" in result.stderr


def test_what_is_read_stays_in_memory() -> None:
    with open_memory(b"secret") as (descriptor, path):
        assert path.read_bytes() == b"secret"
        assert str(path.readlink()).startswith("/memfd:")
        assert not os.get_inheritable(descriptor)
    assert not path.exists()
