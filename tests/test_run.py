"""`nodemcu-tls run` with the real firmware: scripts, exit codes, hosts, flash, damaged images."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from builds import load_report
from emulated import NODEMCU_TLS, Console, run_firmware, run_lua

FLASH_SIZE = 1024 * 1024
PARTS = ("flash.bin", "bootrom.elf", "build.json")  # all that `run` needs


@pytest.fixture
def build_dir(firmware: Path, tmp_path: Path) -> Path:
    """Return a copy of a build, without the ELF."""
    directory = tmp_path / "my build"
    directory.mkdir()
    for name in PARTS:
        shutil.copy(firmware / name, directory)
    return directory


def test_image_is_booted_not_the_elf(build_dir: Path) -> None:
    result = run_lua(build_dir, "print('hello')")
    assert (result.returncode, result.stdout, result.stderr) == (0, "hello\n", "")


def test_build_is_the_default_directory(firmware: Path, tmp_path: Path) -> None:
    (tmp_path / "build").symlink_to(firmware)
    (tmp_path / "hello.lua").write_text("print('hello')")
    command = [*NODEMCU_TLS, "run", "--script", "hello.lua", "--timeout", "60"]
    result = subprocess.run(
        command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=90
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "hello\n", "")


@pytest.mark.parametrize(
    "name", ["a, b,,c = d.lua", "müll & 'quote' \"$x\".lua", "-x.lua", f"{'n' * 200}.lua", "plain"]
)
def test_script_of_any_name(firmware: Path, tmp_path: Path, name: str) -> None:
    script_path = tmp_path / "some directory" / name
    script_path.parent.mkdir()
    script_path.write_text("print('hello') error('no good')")
    result = run_firmware(firmware, "--script", str(script_path))
    assert result.returncode == 1
    first, second, *_ = result.stdout.splitlines()
    assert first == "hello"
    assert second.endswith(f"{name[-20:]}:1: no good")


def test_script_leaves_standard_input_alone(firmware: Path, tmp_path: Path) -> None:
    (tmp_path / "hello.lua").write_text("print('hello')")
    run = f"{NODEMCU_TLS[0]} -m nodemcu_tls_build run {firmware} --script hello.lua --timeout 60"
    result = subprocess.run(
        ["bash", "-c", f"{run} && cat"],
        check=True,
        cwd=tmp_path,
        input="for somebody else\n",
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert result.stdout == "hello\nfor somebody else\n"


def test_everything_printed_arrives(firmware: Path) -> None:
    script = """
        for number = 1, 3000 do print(number, "the quick brown fox jumps over the lazy dog") end
        os.exit(3)
    """
    result = run_lua(firmware, script)
    assert result.returncode == 3
    lines = [f"{n}\tthe quick brown fox jumps over the lazy dog" for n in range(1, 3001)]
    assert result.stdout.splitlines() == lines


@pytest.mark.parametrize(
    "script",
    [
        "while true do end",
        "tmr.create():alarm(6000000, tmr.ALARM_SINGLE, print)",
        "tmr.create():alarm(1, tmr.ALARM_AUTO, function() end)",
    ],
    ids=["busy", "waiting", "ticking"],
)
def test_timeout(firmware: Path, script: str) -> None:
    result = run_lua(firmware, f"print('started') {script}", "--timeout", "4")
    assert (result.returncode, result.stdout, result.stderr) == (124, "started\n", "")


def test_restart_of_a_script_runs_it_again(firmware: Path, tmp_path: Path) -> None:
    script_path = tmp_path / "again.lua"
    script_path.write_text("print('again') node.restart()")
    with Console(firmware, "--script", str(script_path)) as console:
        shown = [console.wait_for("again\n") for _ in range(3)]
    assert shown == ["", "", ""]


def test_hosts(firmware: Path) -> None:
    script = """
        for _, name in ipairs { "server.test", "a", "Broker.Example", "b_c.d-e.example" } do
          net.dns.resolve(name, function(_, ip) print(name, ip) end)
        end
    """
    hosts = ("a:192.0.2.1", "broker.example:192.0.2.2", "b_c.d-e.example:255.255.255.254")
    args = [argument for host in hosts for argument in ("--add-host", host)]
    result = run_lua(firmware, script, *args)
    assert sorted(result.stdout.splitlines()) == [
        "Broker.Example\t192.0.2.2",
        "a\t192.0.2.1",
        "b_c.d-e.example\t255.255.255.254",
        "server.test\t10.0.2.2",
    ]


def test_as_many_hosts_as_the_chip_has_room_for(firmware: Path) -> None:
    names = [f"host-{number}.{'x' * 40}.example" for number in range(16)]
    args = [argument for name in names for argument in ("--add-host", f"{name}:192.0.2.1")]
    script = f"net.dns.resolve('{names[-1]}', function(_, ip) print(ip) end)"
    few = run_lua(firmware, script, *args[2:])  # run_lua adds one
    assert few.stdout == "192.0.2.1\n"
    many = run_lua(firmware, script, *args)
    assert (many.returncode, many.stdout) == (1, "")
    assert many.stderr.startswith("Error: ")


def test_kept_flash_is_booted(build_dir: Path, tmp_path: Path) -> None:
    flash_path = tmp_path / "chip, no. 1.bin"
    result = run_lua(build_dir, "print('first')", "--flash", str(flash_path))
    assert result.stdout == "first\n"
    assert flash_path.read_bytes() == (build_dir / "flash.bin").read_bytes().ljust(
        FLASH_SIZE, b"\xff"
    )
    flash = bytearray(flash_path.read_bytes())
    flash[0] = 0
    flash_path.write_bytes(flash)
    result = run_lua(build_dir, "print('second')", "--flash", str(flash_path))
    assert (result.returncode, result.stdout) == (
        3,
        "boot: refused: no image in flash (bad magic)\n",
    )
    assert flash_path.read_bytes() == flash


def set_bytes(offset: int, data: bytes) -> Callable[[bytes], bytes]:
    return lambda flash: flash[:offset] + data + flash[offset + len(data) :]


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing in flash": (lambda _: b"", "no image in flash (bad magic)"),
    "erased": (lambda flash: b"\xff" * len(flash), "no image in flash (bad magic)"),
    "magic": (set_bytes(0, b"\xea"), "no image in flash (bad magic)"),
    "no segments": (set_bytes(1, b"\0"), "bad segment count"),
    "too many segments": (set_bytes(1, b"\x11"), "bad segment count"),
    "entry": (set_bytes(4, struct.pack("<I", 0x40210000)), "entry point outside IRAM"),
    "segment address": (
        set_bytes(8, struct.pack("<I", 0x60000000)),
        "segment outside DRAM and IRAM, or not aligned",
    ),
    "segment length": (set_bytes(12, b"\xff\xff\xff\x7f"), "truncated segment"),
    "segment data": (set_bytes(20, b"\x5a\xa6\x11"), "bad checksum"),
    "cut in a segment": (lambda flash: flash[:100], "truncated segment"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_image_is_refused(
    build_dir: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    flash_path = build_dir / "flash.bin"
    flash_path.write_bytes(damage(flash_path.read_bytes()))
    for args in ([], ["--script", str(build_dir / "build.json")]):
        result = run_firmware(build_dir, *args)
        assert (result.returncode, result.stdout) == (3, f"boot: refused: {reason}\n")


def test_two_runs_of_one_build(firmware: Path, tmp_path: Path) -> None:
    (tmp_path / "wait.lua").write_text("tmr.create():alarm(1000, 0, function() print('done') end)")
    command = [*NODEMCU_TLS, "run", str(firmware), "--script", "wait.lua", "--timeout", "60"]
    runs = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        assert [run.communicate(timeout=90)[0] for run in runs] == ["done\n", "done\n"]
    finally:
        for run in runs:
            run.kill()
            run.wait()


@pytest.mark.parametrize("length", [4096, 65536, 131072])
def test_image_without_its_code_ends_with_a_crash_report(build_dir: Path, length: int) -> None:
    """The mapped part has no checksum: the boot ROM starts the image, as the chip's would."""
    image_path = build_dir / "flash.bin"
    build_id = load_report(build_dir)["build_id"] if length > 65536 else "ff" * 20
    image_path.write_bytes(image_path.read_bytes()[:length])
    result = run_lua(build_dir, "print('hello')")
    assert result.returncode == 2
    assert result.stdout.startswith("\nException (0):\nepc1=0x402")
    assert f"\nbuild={build_id}\n" in result.stdout
    assert result.stdout.endswith("\n<<<stack<<<\n\n")
    assert result.stderr.startswith("Warning: the flash differs from the build")


def test_kept_flash_of_another_build_is_told(build_dir: Path, tmp_path: Path) -> None:
    flash_path = tmp_path / "chip.bin"
    assert run_lua(build_dir, "print(1)", "--flash", str(flash_path)).stderr == ""
    flash = bytearray(flash_path.read_bytes())
    flash[0x10000 + 200_000] ^= 0xFF
    flash_path.write_bytes(flash)
    warning = run_lua(build_dir, "os.exit(7)", "--flash", str(flash_path)).stderr
    assert warning.startswith("Warning: the flash differs from the build")
    assert "0x10000.bin" in warning


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e400", "-1", "0", "soon"])
def test_time_out_that_is_none(build_dir: Path, seconds: str) -> None:
    command = [*NODEMCU_TLS, "run", str(build_dir), "--timeout", seconds]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Invalid value for '--timeout'" in result.stderr


def test_script_that_is_a_pipe(build_dir: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "script.lua")
    result = run_firmware(build_dir, "--script", str(tmp_path / "script.lua"))
    assert (result.returncode, result.stdout) == (1, "")
    assert "is not a regular file" in result.stderr
