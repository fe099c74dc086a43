"""A port chosen on a terminal, and how the work on ports is shown there."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from loader_port import make_build, run_loader

# Two boards are plugged in: what a machine has is not up to a test.
_PROGRAM = """
import sys
from types import SimpleNamespace
from nodemcu_tls_build.cli import main
from nodemcu_tls_build.device import ports
names = sys.argv.pop(1).split(",")
ports.serial_ports.comports = lambda: [
    SimpleNamespace(device=name, vid=0x1A86, description="USB Serial")
    for name in names
]
main()
"""


@pytest.fixture(autouse=True)
def few_attempts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ESPTOOL_CONNECT_ATTEMPTS", "1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def run_on_terminal(ports: str, *args: str, keys: bytes = b"") -> tuple[int, str]:
    """Run a command on a terminal, press the keys once it asks, return exit code and screen."""
    screen, line = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, ports, *args],
        stdin=line,
        stdout=line,
        stderr=line,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(line)
    shown = b""
    while True:
        try:
            data = os.read(screen, 65536)
        except OSError:  # it has ended
            break
        shown += data
        if keys and b"Which port" in shown:
            os.write(screen, keys)
            keys = b""
    os.close(screen)
    return process.wait(), shown.decode()


def test_the_user_picks_one(tmp_path: Path) -> None:
    build_dir = make_build(tmp_path / "build")
    args = ("flash", "--build", str(build_dir))
    code, shown = run_on_terminal("/dev/ttyNONE,/dev/ttyNO2", *args, keys=b"9\n2\n")
    assert code == 1
    assert "1  /dev/ttyNO2  CH340: USB Serial\r\n  2  /dev/ttyNONE  CH340: USB Serial" in shown
    assert "9 is not in the range 1<=x<=2" in shown
    assert "cannot find /dev/ttyNONE" in shown


def test_nobody_to_ask(tmp_path: Path) -> None:
    build_dir = make_build(tmp_path / "build")
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "/dev/a,/dev/b", "verify", "--build", str(build_dir)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert "There are: /dev/a (CH340: USB Serial), /dev/b (CH340: USB Serial)" in result.stderr


def test_one_line_a_port(tmp_path: Path) -> None:
    """The one likely port, and a line for it that is gone at the end."""
    build_dir = make_build(tmp_path / "build")
    with run_loader(tmp_path / "flash.bin") as port:
        code, shown = run_on_terminal(port, "flash", "--build", str(build_dir))
    assert code == 0
    assert f"Port: {port}\r\n" in shown
    assert "writing the flash" in shown
    assert shown.rstrip().splitlines()[-1].startswith("Flashed and verified build ")
    assert "\x1b[?25h" in shown  # the cursor is back
