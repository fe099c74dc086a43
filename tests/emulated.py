"""The firmware on the emulated chip, run the way a user runs it."""

from __future__ import annotations

import os
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
_LIMIT = 90  # seconds before the emulator is ended; a boot takes 0.3
_PATIENCE = 30  # seconds more for the command around it


@dataclass(frozen=True)
class World:
    """An authority, a build that trusts it, and the port of a server that this build accepts."""

    root: Identity
    build_dir: Path
    good_port: int


def run_lua(
    build_dir: Path, script: str, *args: str, limit: int = _LIMIT
) -> subprocess.CompletedProcess[str]:
    """Boot the build with this script in its own file, `test.lua`."""
    with tempfile.TemporaryDirectory() as directory:
        script_path = Path(directory, "test.lua")
        script_path.write_text(script)
        args = ("--script", str(script_path), *_ADD_HOST, *args)
        return run_firmware(build_dir, *args, limit=limit)


def run_lines(build_dir: Path, script: str) -> list[str]:
    """Run a script that must succeed and return the lines that it prints."""
    result = run_lua(build_dir, script)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    return result.stdout.splitlines()


def run_prompt(build_dir: Path, text: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Boot the build and type `text` at its prompt."""
    return run_firmware(build_dir, *args, text=text)


def run_firmware(
    build_dir: Path, *args: str, text: str | None = None, limit: int = _LIMIT
) -> subprocess.CompletedProcess[str]:
    """Run `nodemcu-tls run` to its end."""
    return subprocess.run(
        [*NODEMCU_TLS, "run", str(build_dir), "--timeout", str(limit), *args],
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=limit + _PATIENCE,
        **({"stdin": subprocess.DEVNULL} if text is None else {"input": text}),
    )


# `transport`, `port` and `note(event)`, a callback that prints its event and data.
PRELUDE = """
local transport, port, host = %s, %d, "server.test"
local function note(event)
  return function(_, data) print(event, data) end
end
local function watch(socket, ...)
  for _, event in ipairs { ... } do socket:on(event, note(event)) end
end
tls.cert.verify(true)
"""


def run_client(
    world: World, module: str, port: int, script: str, *, limit: int = _LIMIT
) -> list[str]:
    """Run a script that must end by itself and return what it prints."""
    result = run_lua(world.build_dir, PRELUDE % (module, port) + script, limit=limit)
    assert result.returncode == 0, result.stdout
    assert result.stderr == ""
    return result.stdout.splitlines()


class Console:
    """`nodemcu-tls run` with its input kept open: type when something has been shown."""

    def __init__(self, build_dir: Path, *args: str) -> None:
        self.shown = b""
        self.process = subprocess.Popen(
            [*NODEMCU_TLS, "run", str(build_dir), "--timeout", "60", *_ADD_HOST, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate(timeout=_PATIENCE)

    def type(self, text: str) -> None:
        """Press these keys."""
        assert self.process.stdin
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, text: str) -> str:
        """Wait until this is shown; return what was shown before it since the last wait."""
        assert self.process.stdout
        while text.encode() not in self.shown:
            part = os.read(self.process.stdout.fileno(), 4096)
            assert part, f"the run ended: {self.shown!r}"
            self.shown += part
        before, _, self.shown = self.shown.partition(text.encode())
        return before.decode(errors="replace")

    def end(self) -> int:
        """End the input and return the exit code."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.stdin = None
        return self.process.wait(_PATIENCE)
