"""The emulator around the firmware: arguments, flash, console, signals, exit codes.

A small program (`guest/guest.c`) stands where the boot ROM stands, in the real QEMU.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from nodemcu_tls_build.emulator.qemu import parse_hosts
from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.toolchain import find_compiler

FLASH_SIZE = 1024 * 1024
IMAGE = b"\xe9\x01\x02\x20 the image"
RUN = (sys.executable, "-m", "nodemcu_tls_build", "run")


@pytest.fixture(scope="session")
def guest_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    app, compiler = app_dir(), find_compiler()
    path = tmp_path_factory.mktemp("guest") / "bootrom.elf"
    board_dir = app / "board" / "virtual"
    subprocess.run(
        [
            *(str(compiler.path), "-Os", "-mlongcalls", "-mtext-section-literals", "-nostartfiles"),
            *(f"--specs={compiler.specs}", "-Wall", "-Wextra", "-Werror"),
            *(f"-I{board_dir}", f"-I{app / 'include'}", f"-T{app / 'ld' / 'bootrom.ld'}"),
            *("-Wl,--no-warn-rwx-segments", str(Path(__file__).parent / "guest" / "guest.c")),
            *(str(board_dir / name) for name in ("uart.c", "simcall.S")),
            *(str(app / "boot" / "boot_start.S"), "-o", str(path)),
        ],
        check=True,
    )
    return path


@pytest.fixture
def image_dir(guest_path: Path, tmp_path: Path) -> Path:
    directory = tmp_path / "build"
    directory.mkdir()
    (directory / "bootrom.elf").write_bytes(guest_path.read_bytes())
    (directory / "flash.bin").write_bytes(IMAGE)
    image = {"name": "0x00000.bin", "offset": 0, "length": 0, "sha256": sha256().hexdigest()}
    build = {"schema": 1, "build_id": "00" * 20, "flash_size": FLASH_SIZE, "images": [image]}
    build["profile"] = {"board": {"name": "virtual", "flash_size": FLASH_SIZE}}
    (directory / "build.json").write_text(
        json.dumps(build),
        encoding="utf-8",
    )
    return directory


def run_guest(image_dir: Path, *args: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, str(image_dir), *args], check=False, input=text, capture_output=True, text=True
    )


def get_error(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 1
    assert result.stdout == ""
    return result.stderr


@contextmanager
def start_process(image_dir: Path, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start `run` with a directory of its own for temporary files, which must be empty after."""
    temp_dir = image_dir.parent / "temp"
    temp_dir.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [*RUN, str(image_dir), *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(temp_dir)},
    )
    try:
        yield process
        assert list(temp_dir.iterdir()) == []
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def start_guest(image_dir: Path, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start `run` and wait until the guest is up."""
    with start_process(image_dir, *args) as process:
        assert process.stdout
        while process.stdout.readline().strip() != b"ready":
            assert process.poll() is None
        yield process


def find_emulators(image_dir: Path) -> list[int]:
    """Return the emulators that run this directory's boot ROM."""
    rom_path = os.fsencode(image_dir / "bootrom.elf")
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            arguments = path.read_bytes().split(b"\0")
            if rom_path in arguments:
                pids.append(int(path.parent.name))
    return pids


def test_nothing_is_left_of_a_run_that_was_killed(image_dir: Path) -> None:
    """The flash may have a private key in it: its copy is on no disk."""
    with start_guest(image_dir) as process:
        assert len(find_emulators(image_dir)) == 1
        assert [*(image_dir.parent / "temp").iterdir()] == []
        process.kill()
        process.communicate()
    for _ in range(500):
        if not find_emulators(image_dir):
            break
        time.sleep(0.02)
    assert find_emulators(image_dir) == []
    assert [*(image_dir.parent / "temp").iterdir()] == []


def test_a_flash_that_there_is_no_room_to_copy(image_dir: Path) -> None:
    command = ["bash", "-c", 'ulimit -f 8; exec "$@"', "-", *RUN, str(image_dir)]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    said = get_error(result)
    assert said.startswith("Error: cannot write a copy of the flash in memory: File too large\n")


def test_arguments_and_flash_reach_the_guest(image_dir: Path) -> None:
    script_path = image_dir / "a,b.lua"
    script_path.touch()
    hosts = ["--add-host", "broker.test:host-gateway", "--add-host", "a:192.0.2.7"]
    result = run_guest(image_dir, "--script", str(script_path), *hosts)
    lines = result.stdout.splitlines()
    assert lines[0] == "nodemcu"
    assert lines[1].startswith("flash=/")
    assert lines[2] == f"flash_size={FLASH_SIZE}"
    assert lines[3].startswith("epoch=")
    assert lines[4:] == [
        f"script={script_path}",
        "host=broker.test:10.0.2.2",
        "host=a:192.0.2.7",
        "flash: e9010220",
        "flash: ffffffff",
        "ready",
    ]
    assert result.returncode == 6


def test_piped_input_arrives_whole_and_ends_the_prompt(image_dir: Path) -> None:
    lines = [f"line {number} of the input" for number in range(300)]
    result = run_guest(image_dir, text="\n".join(lines))  # the last line has no end
    assert result.returncode == 0
    answers = [line for line in result.stdout.splitlines() if line.startswith("got: ")]
    assert answers == [f"got: {line}" for line in lines]
    assert result.stdout.endswith("\nbye\n")
    assert result.stderr == ""


def test_exit_code_is_the_guests(image_dir: Path) -> None:
    for code in (0, 1, 7, 255):
        assert run_guest(image_dir, text=f"exit {code}\n").returncode == code


def test_guest_ends_before_the_input(image_dir: Path) -> None:
    with start_guest(image_dir) as process:
        assert process.stdin
        process.stdin.write(b"exit 9\n")
        process.stdin.flush()
        assert process.wait() == 9


def test_timeout_ends_the_emulator(image_dir: Path) -> None:
    with start_process(image_dir, "--timeout", "0.5") as process:
        assert process.wait() == 124
    assert find_emulators(image_dir) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_the_emulator(image_dir: Path, number: int, code: int) -> None:
    with start_guest(image_dir) as process:
        process.send_signal(number)
        assert process.wait() == code
        assert find_emulators(image_dir) == []
        assert process.stderr
        assert process.stderr.read() == (b"Interrupted.\n" if code == 130 else b"")


def test_killed_emulator_is_an_error(image_dir: Path) -> None:
    for number, reason in ((signal.SIGKILL, b"SIGKILL"), (signal.SIGTERM, b"signal 15")):
        with start_guest(image_dir) as process:
            os.kill(find_emulators(image_dir)[0], number)
            assert process.wait() == 1
            assert process.stderr
            message = process.stderr.read()
            assert message.startswith(b"Error: the emulator failed: ")
            assert reason in message.splitlines()[0]


def test_reader_that_goes_away_ends_the_emulator(image_dir: Path) -> None:
    with start_guest(image_dir) as process:
        assert process.stdout
        process.stdout.close()
        assert process.wait() == 141
        assert find_emulators(image_dir) == []
        process.stdout = None


class Terminal:
    """A terminal with `nodemcu-tls run` in its foreground."""

    def __init__(self, *args: str) -> None:
        self.screen, self.line = pty.openpty()
        self.modes = termios.tcgetattr(self.line)
        self.flags = fcntl.fcntl(self.line, fcntl.F_GETFL)
        self.shown = b""
        claim = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        self.process = subprocess.Popen(
            [sys.executable, "-c", claim + "os.execv(sys.argv[1], sys.argv[1:])", *RUN, *args],
            stdin=self.line,
            stdout=self.line,
            stderr=self.line,
            start_new_session=True,
        )

    def wait_for(self, text: bytes) -> None:
        while text not in self.shown:
            self.shown += os.read(self.screen, 4096)

    def type(self, keys: bytes) -> None:
        os.write(self.screen, keys)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.line)
        os.close(self.screen)


@pytest.fixture
def terminal(image_dir: Path) -> Iterator[Terminal]:
    session = Terminal(str(image_dir))
    yield session
    session.close()


@pytest.mark.parametrize(("keys", "code"), [(b"\x04", 0), (b"exit 5\r", 5), (b"\x03", 130)])
def test_terminal_is_left_as_it_was(terminal: Terminal, keys: bytes, code: int) -> None:
    terminal.wait_for(b"ready")
    terminal.type(b"hello\r")
    terminal.wait_for(b"got: hello")
    assert termios.tcgetattr(terminal.line) != terminal.modes  # keys go to the guest at once
    terminal.type(keys)
    if code == 130:
        terminal.wait_for(b"Interrupted.")
    assert terminal.process.wait() == code
    assert termios.tcgetattr(terminal.line) == terminal.modes
    assert fcntl.fcntl(terminal.line, fcntl.F_GETFL) == terminal.flags


def test_terminal_after_a_killed_emulator(terminal: Terminal, image_dir: Path) -> None:
    terminal.wait_for(b"ready")
    os.kill(find_emulators(image_dir)[0], signal.SIGKILL)
    assert terminal.process.wait() == 1
    assert termios.tcgetattr(terminal.line) == terminal.modes
    assert fcntl.fcntl(terminal.line, fcntl.F_GETFL) == terminal.flags


def test_kept_flash_is_made_then_used_as_it_is(image_dir: Path, tmp_path: Path) -> None:
    flash_path = tmp_path / "chip,1.bin"
    result = run_guest(image_dir, "--flash", str(flash_path))
    assert f"flash={flash_path}\n" in result.stdout
    assert flash_path.read_bytes() == IMAGE.ljust(FLASH_SIZE, b"\xff")

    changed = b"\x01\x02\x03\x04".ljust(FLASH_SIZE - 2, b"\x00") + b"ab"
    flash_path.write_bytes(changed)
    result = run_guest(image_dir, "--flash", str(flash_path))
    assert "flash: 01020304\nflash: 00006162\n" in result.stdout
    assert flash_path.read_bytes() == changed


def test_kept_flash_has_one_emulator(image_dir: Path, tmp_path: Path) -> None:
    flash_path = tmp_path / "chip.bin"
    with start_guest(image_dir, "--flash", str(flash_path)) as process:
        error = get_error(run_guest(image_dir, "--flash", str(flash_path)))
        assert f"Error: {flash_path} is the flash of an emulator that is running\n" in error
        process.terminate()
        process.wait()
    result = run_guest(image_dir, "--flash", str(flash_path))
    assert result.returncode == 0


def test_kept_flash_that_cannot_be_one(image_dir: Path, tmp_path: Path) -> None:
    wrong_path = tmp_path / "wrong.bin"
    wrong_path.write_bytes(b"too short")
    for path, message in (
        (wrong_path, "has 9 bytes, the flash has 1,048,576"),
        (Path("/dev/null"), "is not a regular file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none" / "chip.bin", "No such file"),
    ):
        assert message in get_error(run_guest(image_dir, "--flash", str(path)))
    assert wrong_path.read_bytes() == b"too short"


def test_disk_full_leaves_no_flash_file(image_dir: Path, tmp_path: Path) -> None:
    flash_path = tmp_path / "chip.bin"
    limit = f"ulimit -f 100; exec {sys.executable} -m nodemcu_tls_build run"
    result = subprocess.run(
        ["bash", "-c", f"{limit} {image_dir} --flash {flash_path}"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert f"cannot write {flash_path}: File too large" in get_error(result)
    assert not flash_path.exists()


def test_image_larger_than_the_flash(image_dir: Path) -> None:
    (image_dir / "flash.bin").write_bytes(bytes(FLASH_SIZE + 1))
    assert "the image has 1,048,577 bytes" in get_error(run_guest(image_dir))


def test_missing_parts_of_a_build(image_dir: Path, tmp_path: Path) -> None:
    hint = f"Hint: Make it again: nodemcu-tls build --out {image_dir}\n"
    for name in ("flash.bin", "bootrom.elf"):  # the ROM is looked for first
        (image_dir / name).unlink()
        error = get_error(run_guest(image_dir))
        reason = f"cannot read {image_dir / name}: No such file or directory"
        assert error == f"Error: {reason}\n{hint}"
    assert "there is no directory" in get_error(run_guest(tmp_path / "none"))


def test_missing_script(image_dir: Path) -> None:
    error = get_error(run_guest(image_dir, "--script", "none.lua"))
    assert error.splitlines() == [
        "Error: cannot read the script none.lua: No such file or directory",
        "Hint: Check the path of --script.",
    ]
    assert "not a regular file" in get_error(run_guest(image_dir, "--script", str(image_dir)))


def test_emulators_own_failure(image_dir: Path) -> None:
    (image_dir / "bootrom.elf").write_bytes(b"no ELF")
    error = get_error(run_guest(image_dir))
    assert error.startswith("Error: the emulator failed: could not load kernel")
    assert "qemu-system-xtensa -M lx60-nommu" in error


def test_no_emulator(image_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    error = get_error(run_guest(image_dir))
    assert error.startswith("Error: qemu-system-xtensa was not found\nHint: ")


def test_parse_hosts() -> None:
    assert parse_hosts([]) == ()
    assert parse_hosts(["A-b.example:127.0.0.1", "_x:host-gateway", "n1:255.255.255.255"]) == (
        "A-b.example:127.0.0.1",
        "_x:10.0.2.2",
        "n1:255.255.255.255",
    )


def test_parse_hosts_lists_every_problem() -> None:
    values = ["nohost", ":1.2.3.4", "-a:1.2.3.4", "a.:1.2.3.4", f"{'x' * 64}:1.2.3.4", "b:1.2.3"]
    values += ["c:::1", "d:1.2.3.4", "D:1.2.3.5", "e,f:1.2.3.4", "g:"]
    with pytest.raises(ConfigError) as caught:
        parse_hosts(values)
    assert caught.value.problems == (
        "'nohost' is not NAME:IP",
        "':1.2.3.4': '' is not a host name",
        "'-a:1.2.3.4': '-a' is not a host name",
        "'a.:1.2.3.4': 'a.' is not a host name",
        f"'{'x' * 64}:1.2.3.4': '{'x' * 64}' is not a host name",
        "'b:1.2.3': '1.2.3' is neither an IPv4 address nor host-gateway",
        "'c:::1': '::1' is neither an IPv4 address nor host-gateway",
        "'D:1.2.3.5': D is given twice",
        "'e,f:1.2.3.4': 'e,f' is not a host name",
        "'g:': '' is neither an IPv4 address nor host-gateway",
    )
