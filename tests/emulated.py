"""The firmware on the emulated chip, run the way a user runs it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pki import Identity

NODEMCU_TLS = (sys.executable, "-m", "nodemcu_tls_build")
HOST = "server.test"  # resolves to this machine's loopback
GATEWAY = "10.0.2.2"  # which the chip sees at this address
_ADD_HOST = ("--add-host", f"{HOST}:host-gateway")
_LIMIT = 120  # seconds before the emulator is ended; a boot takes 0.3
_PATIENCE = 30  # seconds more for the command around it


@dataclass(frozen=True)
class World:
    """An authority, a build that trusts it, and the port of a server that this build accepts."""

    root: Identity
    build_dir: Path
    good_port: int


def run_lua(build_dir: Path, script: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Boot the build with this script in its own file, `test.lua`."""
    with tempfile.TemporaryDirectory() as directory:
        script_path = Path(directory, "test.lua")
        script_path.write_text(script)
        return run_firmware(build_dir, "--script", str(script_path), *_ADD_HOST, *args)


def run_prompt(build_dir: Path, text: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Boot the build and type `text` at its prompt."""
    return run_firmware(build_dir, *args, text=text)


def run_firmware(
    build_dir: Path, *args: str, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `nodemcu-tls run` to its end."""
    return subprocess.run(
        [*NODEMCU_TLS, "run", str(build_dir), "--timeout", str(_LIMIT), *args],
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_LIMIT + _PATIENCE,
        **({"stdin": subprocess.DEVNULL} if text is None else {"input": text}),
    )
