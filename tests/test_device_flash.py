"""Flashing with esptool, to a chip in its bootloader behind a pseudo-terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from loader_port import MIB, make_build, make_flash, run_loader

from nodemcu_tls_build.device.flash import FlashRequest, flash_device, list_erased
from nodemcu_tls_build.device.plan import load_plan
from nodemcu_tls_build.device.tool import Line
from nodemcu_tls_build.errors import BuildError, DeviceError
from nodemcu_tls_build.memmap import KIB, SECTOR, find_credentials

CREDENTIALS = slice(find_credentials(MIB), find_credentials(MIB) + 4 * SECTOR)


def run_cli(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nodemcu_tls_build", *args],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.fixture(autouse=True)
def few_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPTOOL_CONNECT_ATTEMPTS", "1")


@pytest.fixture
def build_dir(tmp_path: Path) -> Path:
    return make_build(tmp_path / "build")


@pytest.fixture
def flash_path(tmp_path: Path) -> Path:
    """Give a flash with old firmware, credentials and SDK parameters, none of them erased."""
    path = tmp_path / "flash.bin"
    path.write_bytes(bytes(range(256)) * (MIB // 256))
    return path


def expect(build_dir: Path, before: bytes, tmp_path: Path) -> bytes:
    """Return the flash after the build was written over `before`, sector by sector."""
    built = make_flash(build_dir, tmp_path / "expected.bin")
    expected = bytearray(before)
    for at in range(0, MIB, SECTOR):
        sector = built[at : at + SECTOR]
        if sector.count(0xFF) < SECTOR:
            expected[at : at + SECTOR] = sector
    return bytes(expected)


def test_flash_and_nothing_else(build_dir: Path, flash_path: Path, tmp_path: Path) -> None:
    before = flash_path.read_bytes()
    with run_loader(flash_path) as port:
        first = run_cli("flash", port, "--build", str(build_dir))
        assert flash_path.read_bytes() == expect(build_dir, before, tmp_path)
        again = run_cli("flash", port, "--build", str(build_dir), "--json")
    assert first.returncode == 0, first.stderr
    build_id = json.loads((build_dir / "build.json").read_text())["build_id"]
    assert first.stdout.splitlines() == [
        f"{port} (5c:cf:7f:00:82:66): 0x00000.bin written; 0x10000.bin written; verified; "
        "credentials: CA: both sectors are damaged, client: both sectors are damaged",
        f"Flashed and verified build {build_id}.",
    ]
    assert first.stderr.splitlines() == [
        "Identifying the device",
        "Looking for what has changed",
        "Writing the flash",
        "Comparing digests",
        "Reading the credentials",
        "Resetting the device",
        "The port has no reset line: press the device's button",
    ]
    assert (again.returncode, again.stderr) == (0, "")
    (result,) = json.loads(again.stdout)["ports"]
    assert (result["written"], result["skipped"]) == ([], ["0x00000.bin", "0x10000.bin"])
    assert result["verify"]["result"] == "same"


def test_only_what_has_changed(build_dir: Path, flash_path: Path) -> None:
    flash = make_flash(build_dir, flash_path)
    flash[0x10000 + 5000] ^= 1
    flash_path.write_bytes(flash)
    with run_loader(flash_path) as port:
        result = flash_device(Line(port), FlashRequest(load_plan(build_dir), verify=False))
    assert (result.written, result.skipped) == (("0x10000.bin",), ("0x00000.bin",))
    assert result.comparison is None


def test_what_was_checked_is_what_is_written(
    build_dir: Path, flash_path: Path, tmp_path: Path
) -> None:
    """A build that is replaced in the midst of it is neither written nor compared with."""
    request = FlashRequest(load_plan(build_dir))
    expected = expect(build_dir, flash_path.read_bytes(), tmp_path)
    (build_dir / "0x10000.bin").write_bytes(bytes(9000))
    with run_loader(flash_path) as port:
        result = flash_device(Line(port), request)
    assert flash_path.read_bytes() == expected
    assert result.comparison
    assert result.comparison.build_id == request.plan.output.build_id


def test_erasing_all_but_the_credentials(build_dir: Path, flash_path: Path, tmp_path: Path) -> None:
    before = flash_path.read_bytes()
    with run_loader(flash_path) as port:
        result = flash_device(Line(port), FlashRequest(load_plan(build_dir), "all"))
    expected = make_flash(build_dir, tmp_path / "expected.bin")
    expected[CREDENTIALS] = before[CREDENTIALS]
    assert flash_path.read_bytes() == expected
    assert result.erased == ((0, CREDENTIALS.start), (CREDENTIALS.stop, MIB))


def test_credentials_at_another_place_are_not_erased_unasked(
    build_dir: Path, flash_path: Path
) -> None:
    """Firmware for 512 KiB has them where a build for 1 MiB may have its code."""
    flash = bytearray(flash_path.read_bytes())
    flash[:8] = bytes([0xE9, 0, 2, 0, 0, 0, 0, 0])  # the header of an image for 512 KiB
    flash_path.write_bytes(flash)
    request = FlashRequest(load_plan(build_dir), "firmware")
    with (
        run_loader(flash_path) as port,
        pytest.raises(DeviceError, match="are at 0x77000, where its firmware wants them"),
    ):
        flash_device(Line(port), request)
    assert flash_path.read_bytes() == flash


def test_erasing_the_credentials_alone(build_dir: Path, flash_path: Path, tmp_path: Path) -> None:
    before = bytearray(flash_path.read_bytes())
    with run_loader(flash_path) as port:
        request = FlashRequest(load_plan(build_dir), keep_credentials=False)
        result = flash_device(Line(port), request)
    before[CREDENTIALS] = b"\xff" * (4 * SECTOR)
    assert flash_path.read_bytes() == expect(build_dir, bytes(before), tmp_path)
    assert result.comparison
    assert result.comparison.credentials
    assert not any(found.stored for found in result.comparison.credentials)


@pytest.mark.parametrize(
    ("erase", "keep", "chip", "ranges"),
    [
        ("none", True, MIB, []),
        ("none", False, MIB, [(0xF7000, 0xFB000)]),
        ("firmware", True, MIB, [(0, 0xF7000)]),
        ("firmware", False, MIB, [(0, 0xFB000)]),
        ("all", True, MIB, [(0, 0xF7000), (0xFB000, 0x100000)]),
        ("all", False, MIB, [(0, 0x100000)]),
        ("all", True, 4 * MIB, [(0, 0xF7000), (0xFB000, 0x400000)]),
    ],
)
def test_what_is_erased(
    build_dir: Path, erase: str, keep: bool, chip: int, ranges: list[tuple[int, int]]
) -> None:
    request = FlashRequest(load_plan(build_dir), erase, keep)  # type: ignore[arg-type]
    assert list_erased(request, chip) == ranges


@pytest.mark.parametrize(
    ("faults", "size", "message"),
    [
        (["wrong-chip"], MIB, r"the chip on \S+ is an ESP32, not an ESP8266"),
        (["deaf"], MIB, "identifying the device on .* failed: the device does not answer"),
        ([], 512 * KIB, r"the build is for a flash of 1 MiB, the one on \S+ has 512 KiB"),
    ],
)
def test_refused_before_a_byte_is_written(
    build_dir: Path, tmp_path: Path, faults: list[str], size: int, message: str
) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(b"\x5a" * size)
    loader = run_loader(path, *faults, size=size)
    with loader as port, pytest.raises(DeviceError, match=message) as caught:
        flash_device(Line(port), FlashRequest(load_plan(build_dir), "all"))
    assert caught.value.hint
    assert path.read_bytes() == b"\x5a" * size


@pytest.mark.parametrize("fault", ["stuck-sector=0x11000", "stuck-bit=0x11234"])
def test_flash_that_does_not_take_it(build_dir: Path, flash_path: Path, fault: str) -> None:
    with run_loader(flash_path, fault) as port:
        result = run_cli("flash", port, "--build", str(build_dir))
    assert result.returncode == 1
    assert result.stdout == ""
    assert "the flash does not hold what was written to it" in result.stderr


def test_flash_that_does_not_erase(build_dir: Path, flash_path: Path) -> None:
    with run_loader(flash_path, "stuck-sector=0x50000") as port:
        message = f"the flash of {port} is not erased between 0x0 and 0xf7000"
        with pytest.raises(DeviceError, match=message):
            flash_device(Line(port), FlashRequest(load_plan(build_dir), "firmware"))


def test_power_cut_and_again(build_dir: Path, flash_path: Path) -> None:
    request = FlashRequest(load_plan(build_dir))
    gone = "writing the flash on .* failed: the port was gone in the middle of it"
    with run_loader(flash_path, "power-cut=9000") as port, pytest.raises(DeviceError, match=gone):
        flash_device(Line(port), request)
    with run_loader(flash_path) as port:
        result = flash_device(Line(port), request)
    assert result.comparison
    assert result.comparison.same


def test_several_ports(build_dir: Path, tmp_path: Path) -> None:
    paths = [tmp_path / "one.bin", tmp_path / "two.bin"]
    with run_loader(paths[0]) as good, run_loader(paths[1], "wrong-chip") as bad:
        ports = [good, bad, "/dev/ttyNONE"]
        result = run_cli("flash", *ports, "--build", str(build_dir), "--erase", "firmware")
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{good} (5c:cf:7f:00:82:66): 0x00000.bin written; ")
    assert lines[0].endswith("; 0x0 to 0xf7000 erased before; verified; credentials: none stored")
    assert lines[1] == f"{bad}: failed: the chip on {bad} is an ESP32, not an ESP8266"
    assert lines[3].startswith("/dev/ttyNONE: failed: cannot find /dev/ttyNONE: No such file")
    assert lines[5].endswith(" on 1 of 3 devices.")
    assert f"{good}: writing the flash" in result.stderr.splitlines()
    assert f"{good}: done" in result.stderr.splitlines()


def test_the_same_port_twice(build_dir: Path) -> None:
    result = run_cli("flash", "/dev/ttyNONE", "/dev/ttyNONE", "--build", str(build_dir))
    assert result.returncode == 2
    assert "/dev/ttyNONE is given twice" in result.stderr


def test_a_failure_as_json(build_dir: Path) -> None:
    result = run_cli("flash", "/dev/ttyNONE", "--build", str(build_dir), "--json")
    assert (result.returncode, result.stderr) == (1, "")
    (port,) = json.loads(result.stdout)["ports"]
    assert (port["port"], port["ok"]) == ("/dev/ttyNONE", False)
    assert port["error"]["kind"] == "DeviceError"


def damage(build_dir: Path, **changes: object) -> None:
    path = build_dir / "build.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")


def test_builds_that_cannot_be_flashed(build_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="there is no directory"):
        load_plan(tmp_path / "none")
    other = make_build(tmp_path / "other", flash_size=512 * KIB)
    with pytest.raises(BuildError, match="is for another board: its boot image says a flash of"):
        load_plan(other)
    foreign = make_build(tmp_path / "foreign")
    damage(foreign, profile={"board": {"name": "nonos", "flash_size": MIB}})
    with pytest.raises(BuildError, match="is for another board: nonos, which is") as caught:
        load_plan(foreign)
    assert caught.value.hint
    assert caught.value.hint.endswith("build for one of: virtual.")
    large = make_build(tmp_path / "large", flash_size=256 * KIB, nibble=1)
    load_plan(large)
    report = json.loads((large / "build.json").read_text())
    damage(large, images=[report["images"][0], report["images"][1] | {"offset": 0x36000}])
    with pytest.raises(BuildError, match="is for another board: it lacks an image"):
        load_plan(large)
    images = [*report["images"], report["images"][0] | {"name": "more.bin", "offset": 0x37000}]
    (large / "more.bin").write_bytes((large / "0x00000.bin").read_bytes())
    damage(large, images=images)
    with pytest.raises(BuildError, match="is larger than the flash: it ends at 0x372c4"):
        load_plan(large)
    (build_dir / "0x10000.bin").write_bytes(b"another")
    with pytest.raises(BuildError, match="is not what the build made"):
        load_plan(build_dir)
