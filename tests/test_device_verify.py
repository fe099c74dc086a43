"""Comparing a device with a build: what is the same, what is not, and what cannot be told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from loader_port import MIB, make_build, make_flash, run_loader
from test_device_flash import run_cli
from test_tls_store import CERTIFICATE, KEY, make_sector

from nodemcu_tls_build.commands.show_device import format_comparison
from nodemcu_tls_build.device import compare, regions
from nodemcu_tls_build.device.chip import DeviceChip, parse_size
from nodemcu_tls_build.device.compare import Comparison, compare_device
from nodemcu_tls_build.device.plan import Plan, load_plan
from nodemcu_tls_build.device.regions import Region
from nodemcu_tls_build.device.tool import Line
from nodemcu_tls_build.errors import DeviceError
from nodemcu_tls_build.memmap import KIB, SECTOR, find_credentials

LINE = Line("/dev/ttyNONE")
CHIP = DeviceChip("ESP8266EX", 26, "5c:cf:7f:00:82:66", "ef4014", MIB)
CA_AT = find_credentials(MIB)


@pytest.fixture(autouse=True)
def few_attempts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ESPTOOL_CONNECT_ATTEMPTS", "1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def build_dir(tmp_path: Path) -> Path:
    return make_build(tmp_path / "build")


@pytest.fixture
def plan(build_dir: Path) -> Plan:
    return load_plan(build_dir)


@pytest.fixture
def flash(build_dir: Path, tmp_path: Path) -> bytearray:
    return make_flash(build_dir, tmp_path / "flash.bin")


@pytest.fixture
def compare_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Comparison]:
    """Return a function that compares a build with a flash in memory instead of with esptool."""

    def run(plan: Plan, flash: bytes, chip: DeviceChip = CHIP) -> Comparison:
        def compare_regions(line: Line, parts: list[Region], *, what: str) -> list[bool]:
            return [flash[r.offset : r.offset + len(r.data)] == r.data for r in parts]

        def read_flash(line: Line, offset: int, length: int, *, what: str) -> bytes:
            assert offset + length <= len(flash)
            return bytes(flash[offset : offset + length])

        monkeypatch.setattr(compare, "compare_regions", compare_regions)
        monkeypatch.setattr(compare, "read_flash", read_flash)
        return compare_device(LINE, plan, chip)

    return run


def lay_out(comparison: Comparison) -> str:
    return click.unstyle(format_comparison(comparison))


def test_a_device_that_holds_the_build(
    plan: Plan, flash: bytearray, compare_with: Callable[..., Comparison]
) -> None:
    comparison = compare_with(plan, flash)
    assert comparison.same
    assert comparison.build_id == plan.output.build_id
    assert comparison.settings == plan.settings
    assert lay_out(comparison).splitlines()[6:] == [
        "Firmware             offset      end  bytes  device",
        "0x00000.bin         0x00000  0x002c4    708  same",
        "0x10000.bin         0x10000  0x1234c  9,036  same",
        "",
        "Header              device  build   chip",
        "Flash mode          dio     dio",
        "Flash size          1 MiB   1 MiB   1 MiB",
        "Frequency           40 MHz  40 MHz",
        "",
        "Build id",
        f"device              {plan.output.build_id}",
        f"build               {plan.output.build_id}",
        "",
        "Credentials          sector  holds",
        "CA                  0xf7000  erased",
        "CA                  0xf8000  erased",
        "client              0xf9000  erased",
        "client              0xfa000  erased",
        "",
        f"/dev/ttyNONE holds the build in {plan.output.build_dir}.",
    ]


@pytest.mark.parametrize(("at", "name"), [(3, "0x00000.bin"), (0x10000 + 9035, "0x10000.bin")])
def test_one_byte_of_firmware(
    plan: Plan, flash: bytearray, compare_with: Callable[..., Comparison], at: int, name: str
) -> None:
    flash[at] ^= 0x10
    comparison = compare_with(plan, flash)
    assert not comparison.same
    assert comparison.problems == [f"{name} differs from offset {at:#x} on"]
    found = {verdict.region.name: verdict.first_difference for verdict in comparison.verdicts}
    assert {key for key, value in found.items() if value is not None} == {name}
    assert f"differs  first at {at:#07x}" in lay_out(comparison)


def test_the_header_of_another_flash(
    plan: Plan, flash: bytearray, compare_with: Callable[..., Comparison]
) -> None:
    flash[2], flash[3] = 0, 0x4F
    comparison = compare_with(plan, flash)
    assert comparison.problems == ["0x00000.bin differs from offset 0x2 on"]
    rows = [line.split() for line in lay_out(comparison).splitlines()]
    assert ["Flash", "mode", "qio", "dio"] in rows
    assert ["Flash", "size", "4", "MiB", "1", "MiB", "1", "MiB"] in rows
    assert ["Frequency", "80", "MHz", "40", "MHz"] in rows
    assert comparison.to_dict()["header"]["device"] == {
        "mode": "qio",
        "size": 4 * MIB,
        "frequency": "80m",
    }


def test_another_build(tmp_path: Path, plan: Plan, compare_with: Callable[..., Comparison]) -> None:
    other = load_plan(make_build(tmp_path / "other", seed=2))
    flash = make_flash(other.output.build_dir, tmp_path / "other.bin")
    comparison = compare_with(plan, flash)
    assert comparison.build_id == other.output.build_id != plan.output.build_id
    assert comparison.problems[2:] == [
        f"its build id is {other.output.build_id}, the build's is {plan.output.build_id}"
    ]


def test_an_erased_flash(plan: Plan, compare_with: Callable[..., Comparison]) -> None:
    comparison = compare_with(plan, b"\xff" * MIB)
    assert (comparison.settings, comparison.build_id) == (None, None)
    assert [verdict.first_difference for verdict in comparison.verdicts] == [0, 0x10000]


def test_a_chip_with_less_flash(
    plan: Plan, flash: bytearray, compare_with: Callable[..., Comparison]
) -> None:
    small = DeviceChip("ESP8266EX", 26, CHIP.mac, "ef4010", 64 * KIB)
    comparison = compare_with(plan, flash[: 64 * KIB], small)
    assert comparison.credentials is None
    assert comparison.problems == [
        "0x10000.bin differs from offset 0x10000 on",
        "it has no build id",
        "the build is for a flash of 1 MiB, the device has 64 KiB",
    ]
    json.dumps(comparison.to_dict())


def test_stored_credentials_are_the_devices_own(
    plan: Plan, flash: bytearray, compare_with: Callable[..., Comparison]
) -> None:
    sectors = [make_sector(0, 3, CERTIFICATE), make_sector(0, 2, CERTIFICATE * 2)]
    sectors += [make_sector(1, 1, CERTIFICATE + KEY), make_sector(1, 2, KEY, commit=0xFFFFFFFF)]
    flash[CA_AT : CA_AT + 4 * SECTOR] = b"".join(sectors)
    comparison = compare_with(plan, flash)
    assert comparison.same
    shown = lay_out(comparison)
    assert [line.split(maxsplit=2)[2] for line in shown.splitlines()[-6:-2]] == [
        "1 certificate, number 3         in force",
        "2 certificates, number 2",
        "1 certificate, 1 key, number 1  in force",
        "an interrupted change           it was never committed",
    ]
    flash[CA_AT + 16] ^= 1
    comparison = compare_with(plan, flash)
    assert comparison.same
    assert "damaged" in lay_out(comparison)
    assert comparison.to_dict()["credentials"][0]["in_force"] == 1


def test_a_digest_that_is_not_that_of_what_is_read(
    plan: Plan,
    flash: bytearray,
    compare_with: Callable[..., Comparison],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compare_with(plan, flash)
    monkeypatch.setattr(compare, "compare_regions", lambda *_args, **_options: [True, False])
    with pytest.raises(DeviceError, match="has another digest, but reads the same"):
        compare_device(LINE, plan, CHIP)


VERIFYING = "Verifying 0x2c4 (708) bytes at 0x00000000 in flash against 'a'..."
SAME = "Verification successful (digest matched)."
DIFFERENT = "Verification failed (digest mismatch)."
FAILED = "ERROR: A fatal error occurred: Verification failed."


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [SAME],
        [VERIFYING],
        [VERIFYING, "Verification succ"],
        [VERIFYING, "", SAME],
        [VERIFYING.replace("0x00000000", "0x00000004"), SAME],
        [VERIFYING, SAME, VERIFYING, SAME],
        [DIFFERENT, FAILED],
    ],
)
def test_esptool_that_does_not_say_how_it_ended(
    lines: list[str], plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "run_esptool", lambda *_args, **_options: lines)
    with pytest.raises(DeviceError, match="not every part was compared"):
        regions.compare_regions(LINE, plan.regions[:1], what="comparing")
    with pytest.raises(DeviceError, match="not every part was confirmed"):
        regions.write_regions(LINE, plan.regions)


def test_what_esptool_says_of_each_region(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    second = VERIFYING.replace("0x00000000", "0x00010000")
    lines = ["esptool v5", VERIFYING, DIFFERENT, second, SAME, "", FAILED]
    monkeypatch.setattr(regions, "run_esptool", lambda *_args, **_options: lines)
    assert regions.compare_regions(LINE, plan.regions, what="comparing") == [False, True]


@pytest.mark.parametrize(
    ("text", "size"), [("512KB", 512 * KIB), ("4MB", 4 * MIB), ("Unknown", None), ("1GB", None)]
)
def test_sizes_of_flash(text: str, size: int | None) -> None:
    assert parse_size(text) == size


def test_exit_codes(build_dir: Path, tmp_path: Path, flash: bytearray) -> None:
    path = tmp_path / "flash.bin"
    with run_loader(path) as port:
        same = run_cli("verify", port, "--build", str(build_dir))
        with path.open("r+b") as file:
            file.seek(0x10000 + 600)
            file.write(b"\x00\x01")
        different = run_cli("verify", port, "--build", str(build_dir), "--json")
    assert same.returncode == 0
    assert same.stdout.endswith(f"{port} holds the build in {build_dir}.\n")
    assert different.returncode == 1
    report = json.loads(different.stdout)
    assert report["result"] == "different"
    assert report["regions"][1]["first_difference"] in {0x10000 + 600, 0x10000 + 601}
    assert report["build_id"]["device"] == report["build_id"]["build"]


def test_what_cannot_be_told(build_dir: Path, tmp_path: Path) -> None:
    with run_loader(tmp_path / "flash.bin", "deaf") as port:
        deaf = run_cli("verify", port, "--build", str(build_dir), "--json")
    assert (deaf.returncode, deaf.stderr) == (2, "")
    assert json.loads(deaf.stdout)["error"]["message"].startswith("identifying the device on ")
    missing = run_cli("verify", "/dev/ttyNONE", "--build", str(build_dir))
    assert missing.returncode == 2
    assert missing.stderr.startswith("Error: cannot find /dev/ttyNONE")
    assert run_cli("verify", "/dev/ttyNONE", "--build", str(tmp_path / "no")).returncode == 2
