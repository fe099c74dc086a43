"""The virtual device without a port: what its lines and its bytes do. Its programs are shell's."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from loader_host import SYNC, make_request, parse_answers
from raw_port import MIB, run_raw_port

from nodemcu_tls_build.emulator.device import MAX_QUICK_ENDS, QUICK_END, VirtualDevice
from nodemcu_tls_build.emulator.emulate import find_firmware_flash
from nodemcu_tls_build.emulator.faults import Faults, parse_faults
from nodemcu_tls_build.emulator.flash_chip import FlashChip
from nodemcu_tls_build.emulator.guest import Guest
from nodemcu_tls_build.emulator.serial_server import Unplugged
from nodemcu_tls_build.errors import ToolFailed, ToolNotFound

_LIMIT = 60
_ECHO = "echo ready; exec cat"
_SYNC = make_request(8, SYNC)
_SYNC_COMMAND = 8
_IMAGE = b"\xe9\x03\x00\x20"


class Bench:
    """A device on the table, a clock that stands, and what came out of the device."""

    def __init__(self, flash: FlashChip, script: str, faults: Faults) -> None:
        self.now = 1000.0
        self.log: list[str] = []
        self.boots = 0
        self.shown = b""
        self._script = script
        self.device = VirtualDevice(
            flash, self._boot, self.log.append, faults=faults, clock=lambda: self.now
        )

    def _boot(self) -> Guest:
        self.boots += 1
        return Guest(["sh", "-c", self._script])

    def reset(self, *, loader: bool) -> None:
        self.device.set_lines(dtr=False, rts=True)
        self.device.set_lines(dtr=loader, rts=False)
        self.now += 0.1
        self.device.step({})
        self.shown = b""

    def run_until(self, is_done: Callable[[], bool]) -> None:
        """Let the device go on until this holds."""
        deadline = time.monotonic() + _LIMIT
        while not is_done():
            assert time.monotonic() < deadline, (self.shown, self.log)
            poller = select.poll()
            for descriptor, events in self.device.watch(has_room=True).items():
                poller.register(descriptor, events)
            self.device.step(dict(poller.poll(50)))
            self.shown += self.device.take_output()

    def wait_for(self, text: bytes) -> None:
        self.run_until(lambda: text in self.shown)

    def wait_for_log(self, text: str, count: int = 1) -> None:
        self.run_until(lambda: sum(text in line for line in self.log) >= count)

    def ask(self, request: bytes) -> bytes:
        self.device.receive(request)
        return self.device.take_output()


@contextmanager
def run_bench(path: Path, script: str = _ECHO, *faults: str) -> Iterator[Bench]:
    parsed = parse_faults(faults)
    with FlashChip.open(path / "flash.bin", MIB, faults=parsed) as flash:
        bench = Bench(flash, script, parsed)
        try:
            yield bench
        finally:
            bench.device.switch_off()


def test_console(tmp_path: Path) -> None:
    with run_bench(tmp_path) as bench:
        bench.device.switch_on()
        assert bench.boots == 0
        assert bench.log == ["The flash holds no image: waiting for a reset into the loader."]
        bench.device.receive(b"lost")
        bench.reset(loader=False)
        bench.wait_for(b"ready\n")
        bench.device.receive(bytes(range(256)))
        bench.wait_for(b"ready\n" + bytes(range(256)))


def test_power_on_boots_an_image(tmp_path: Path) -> None:
    with run_bench(tmp_path) as bench:
        (tmp_path / "flash.bin").write_bytes(_IMAGE.ljust(MIB, b"\xff"))
        bench.device.switch_on()
        bench.wait_for(b"ready\n")


def test_reset_ends_a_program_that_hangs(tmp_path: Path) -> None:
    with run_bench(tmp_path, "trap '' TERM INT HUP; echo $$; while :; do :; done") as bench:
        bench.device.switch_on()
        for _ in range(2):
            bench.reset(loader=False)
            bench.wait_for(b"\n")
            process = int(bench.shown)
            bench.device.set_lines(dtr=False, rts=True)
            with pytest.raises(ProcessLookupError):
                os.kill(process, 0)
            bench.device.receive(b"nobody hears this")
            assert bench.device.watch(has_room=True) == {}


def test_console_waits_while_the_host_has_no_room(tmp_path: Path) -> None:
    with run_bench(tmp_path) as bench:
        bench.device.switch_on()
        bench.reset(loader=False)
        with_room = bench.device.watch(has_room=True)
        without = bench.device.watch(has_room=False)
        assert len(with_room) == len(without) + 1


def test_program_that_does_not_read_loses_bytes(tmp_path: Path) -> None:
    script = f"until test -e {tmp_path}/go; do sleep 0.05; done; exec cat"
    with run_bench(tmp_path, script) as bench:
        bench.device.switch_on()
        bench.reset(loader=False)
        for _ in range(100):
            bench.device.receive(b"x" * 4096)
        (tmp_path / "go").touch()
        bench.run_until(lambda: len(bench.shown) >= 100_000)
        bench.device.receive(b"end\n")
        bench.wait_for(b"end\n")
        assert len(bench.shown) < 200_000


def test_boots_again_after_an_end_but_not_for_ever(tmp_path: Path) -> None:
    with run_bench(tmp_path, "echo started; exit 7") as bench:
        bench.device.switch_on()
        for tries in (1, 2):
            bench.reset(loader=False)
            bench.wait_for_log("waiting for a reset.", tries)
            assert bench.boots == tries * MAX_QUICK_ENDS
            assert bench.shown == b"started\n" * MAX_QUICK_ENDS
        assert "ended with exit code 7: it boots again" in bench.log[-2]


def test_program_that_ends_late_always_boots_again(tmp_path: Path) -> None:
    with run_bench(tmp_path, "read line; exit 2") as bench:
        bench.device.switch_on()
        bench.reset(loader=False)
        for end in range(1, 2 * MAX_QUICK_ENDS):
            bench.now += QUICK_END
            bench.device.receive(b"\n")
            bench.wait_for_log("ended with exit code 2: it boots again", end)


def test_refused_image_is_not_tried_again(tmp_path: Path) -> None:
    with run_bench(tmp_path, "echo 'boot: refused: bad checksum'; exit 3") as bench:
        bench.device.switch_on()
        bench.reset(loader=False)
        bench.wait_for_log("refused the image: waiting for a reset.")
        assert bench.boots == 1
        assert bench.shown == b"boot: refused: bad checksum\n"


def test_program_that_ends_with_the_same_code_is_tried_again(tmp_path: Path) -> None:
    with run_bench(tmp_path, "echo hello; exit 3") as bench:
        bench.device.switch_on()
        bench.reset(loader=False)
        bench.wait_for_log("ended with exit code 3: it boots again")


def test_emulator_that_fails(tmp_path: Path) -> None:
    with run_bench(tmp_path, "echo 'sh: no such machine' >&2; exit 1") as bench:
        bench.device.switch_on()
        bench.reset(loader=False)
        with pytest.raises(ToolFailed, match="the emulator failed: no such machine"):
            bench.wait_for(b"never")


def test_emulator_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ToolNotFound, match="cannot be started") as caught:
        Guest([str(tmp_path / "missing")])
    assert "qemu" in str(caught.value.hint)


def test_loader_takes_the_hosts_rate_and_keeps_it(tmp_path: Path) -> None:
    with run_bench(tmp_path) as bench:
        bench.device.switch_on()
        bench.device.set_baud(74880)
        bench.reset(loader=True)
        assert [answer.command for answer in parse_answers(bench.ask(_SYNC))] == [_SYNC_COMMAND] * 8
        bench.device.set_baud(115200)
        assert bench.ask(_SYNC) == b""
        bench.device.set_baud(74880)
        assert len(parse_answers(bench.ask(b"\xc0" + _SYNC))) == 8
        bench.reset(loader=True)
        bench.device.set_baud(921600)
        assert len(parse_answers(bench.ask(_SYNC))) == 8


def test_console_at_another_rate(tmp_path: Path) -> None:
    with run_bench(tmp_path) as bench:
        bench.device.switch_on()
        bench.device.set_baud(9600)
        bench.reset(loader=False)
        bench.run_until(lambda: len(bench.shown) > 0)
        assert b"r" not in bench.shown
        bench.device.plug_in()
        bench.shown = b""
        bench.device.receive(b"hello")
        bench.wait_for(b"hello")


def test_unplugged(tmp_path: Path) -> None:
    with run_bench(tmp_path, _ECHO, "unplug=50") as bench:
        bench.device.switch_on()
        bench.reset(loader=True)
        assert len(parse_answers(bench.ask(_SYNC))) == 8
        with pytest.raises(Unplugged):
            bench.device.receive(_SYNC)
        bench.device.pull_out()
        bench.device.plug_in()
        assert bench.device.take_output() == b""
        assert len(parse_answers(bench.ask(b"\xc0" + _SYNC))) == 8


def test_power_cut(tmp_path: Path) -> None:
    with run_bench(tmp_path, _ECHO, "power-cut=5000") as bench:
        bench.device.switch_on()
        bench.reset(loader=True)
        begin = make_request(2, b"".join(n.to_bytes(4, "little") for n in (8192, 8, 1024, 0)))
        with pytest.raises(Unplugged):
            bench.device.receive(begin)
        bench.device.pull_out()
        bench.reset(loader=True)
        assert bench.ask(_SYNC) == b""
        bench.device.plug_in()
        assert bench.ask(_SYNC) == b""
        bench.reset(loader=True)
        assert len(parse_answers(bench.ask(_SYNC))) == 8
        bench.ask(begin)


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        (b"\xe9\x03\x00\x20", MIB, MIB),
        (b"\xe9\x03\x00\x00", MIB, MIB // 2),
        (b"\xe9\x03\x00\x20", MIB // 2, MIB // 2),
        (b"\xe9\x03\x00\x40", 4 * MIB, MIB),
        (b"\xe9\x03\x00\xf0", 4 * MIB, MIB),
    ],
)
def test_flash_that_the_firmware_sees(
    tmp_path: Path, header: bytes, size: int, expected: int
) -> None:
    with FlashChip.open(tmp_path / "flash.bin", size) as flash:
        flash.program(0, header)
        assert find_firmware_flash(flash) == expected


def test_esptool(tmp_path: Path) -> None:
    image = bytes(range(256)) * 40
    (tmp_path / "image").write_bytes(image)
    with run_raw_port(tmp_path / "flash.bin") as port:
        for args in (
            ("write-flash", "0x1000", tmp_path / "image"),
            ("verify-flash", "0x1000", tmp_path / "image"),
            ("read-flash", "0x1000", str(len(image)), tmp_path / "read"),
            ("dump-mem", "0x3ff00050", "16", tmp_path / "efuses"),
            ("erase-region", "0x2000", "0x1000"),
            ("--no-stub", "write-flash", "0x8000", tmp_path / "image"),
            ("--no-stub", "read-mac"),
            ("run",),
        ):
            result = port.run_esptool(*args)
            assert result.returncode == 0, (args, result.stdout)
        assert "5c:cf:7f:00:82:66" in result.stdout
        assert (tmp_path / "read").read_bytes() == image
        assert len((tmp_path / "efuses").read_bytes()) == 16
        flash = (tmp_path / "flash.bin").read_bytes()
        assert flash[0x1000:0x2000] == image[:4096]
        assert flash[0x2000:0x3000] == b"\xff" * 4096
        assert flash[0x8000 : 0x8000 + len(image)] == image
        assert port.run_esptool("erase-flash").returncode == 0
        assert (tmp_path / "flash.bin").read_bytes() == b"\xff" * MIB


def test_program_in_ram(tmp_path: Path) -> None:
    image = b"\xe9\x01\x00\x20" + (0x40100000).to_bytes(4, "little")
    image += (0x40100000).to_bytes(4, "little") + (16).to_bytes(4, "little") + bytes(16)
    (tmp_path / "image").write_bytes(image.ljust(47, b"\0") + b"\xef")
    with run_raw_port(tmp_path / "flash.bin") as port:
        result = port.run_esptool("--no-stub", "load-ram", tmp_path / "image")
        assert result.returncode == 0, result.stdout
    assert port.log[-1] == "The loader started a program in RAM, which is not emulated."


_SIGNALLED = """
import os, signal, sys
from nodemcu_tls_build.emulator.guest import Guest

def end(number, frame):
    raise SystemExit(7)

signal.signal(signal.SIGTERM, end)
os.register_at_fork(before=lambda: os.kill(os.getpid(), signal.SIGTERM))
Guest(["sleep", "60"])
print("went on")
"""


def test_signal_while_the_emulator_is_started() -> None:
    result = subprocess.run(
        [sys.executable, "-c", _SIGNALLED], check=False, capture_output=True, text=True, timeout=50
    )
    assert (result.returncode, result.stdout, result.stderr) == (7, "", "")
