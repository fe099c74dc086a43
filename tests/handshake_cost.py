"""What a build takes: its size, and the heap and instructions of a handshake on the chip."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from builds import load_report
from emulated import HOST, run_lua
from peers import run_s_server
from pki import make_authority, make_pem
from relinked_firmware import relink

from nodemcu_tls_build.profile.costs import Cost
from nodemcu_tls_build.toolchain import find_qemu

# What a handshake is done with: the key of server and CA, and the suite that the server has.
HANDSHAKES = {
    "ecdsa": ("ecdsa", "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"),
    "rsa": ("rsa", "ECDHE-RSA-AES256-GCM-SHA384"),
    "dhe": ("rsa", "DHE-RSA-AES256-GCM-SHA384"),
    "cbc": ("ecdsa", "ECDHE-ECDSA-AES256-SHA384"),
}
# OpenSSL takes the client's order of those that it has, and has fewer unless it is told.
_GROUPS = (
    *("P-256", "P-384", "P-521", "secp256k1", "X25519"),
    *("brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"),
)
_WRAPPED = (
    *("malloc", "realloc", "free", "board_chip_id"),
    *("tls_conn_open", "tls_handshake_start", "tls_handshake_step"),
)
_INSTRUCTIONS_PER_TICK = 25  # an instruction takes 1 ns with -icount shift=0, a tick 1/40 MHz

SCRIPT = """
local _ = tmr.now, net.TCP, node.heap -- a library takes its heap at first use
tls.cert.verify([[{pem}]])
local socket = tls.createConnection {{ resume = {resume} }}
local function tell()
  collectgarbage() collectgarbage()
  print("measured", node.chipid(), node.chipid(), node.chipid())
  os.exit(0)
end
socket:on("connection", function() tmr.create():alarm(500, tmr.ALARM_SINGLE, tell) end)
socket:on("reconnection", function(_, reason) print(reason) os.exit(9) end)
collectgarbage() collectgarbage()
socket:connect({port}, "{host}")
"""


@dataclass(frozen=True)
class Site:
    """A server of one kind and the CA certificate to check it with."""

    port: int
    pem: str


@contextmanager
def run_sites(directory: Path) -> Iterator[dict[str, Site]]:
    """Run a server for each kind of handshake, and have the emulator count instructions."""
    qemu_path = directory / "qemu"
    qemu_path.write_text(f'#!/bin/sh\nexec "{find_qemu()}" -icount shift=0 "$@"\n')
    qemu_path.chmod(qemu_path.stat().st_mode | stat.S_IXUSR)
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, NODEMCU_TLS_QEMU=str(qemu_path)))
        sites = {}
        for name, (kind, suites) in HANDSHAKES.items():
            root = make_authority(kind)
            identity = root.issue_server(kind, HOST)
            options = ("-rev", "-cipher", suites, "-groups", ":".join(_GROUPS))
            server = stack.enter_context(run_s_server(identity, directory / name, *options))
            sites[name] = Site(server.port, make_pem(root.certificate).decode())
        yield sites


def measure_size(build_dir: Path) -> Cost:
    """Return what a build takes without having been run."""
    total = load_report(build_dir)["sizes"]["total"]
    return Cost(
        flash=total["flash"],
        dram=total["data"] + total["bss"],
        heap=None,
        idle=None,
        instructions=None,
    )


def measure_build(build_dir: Path, site: Site, directory: Path) -> Cost:
    """Return what a build, its work directory included, takes, and a handshake with a site.

    Where the heap is too small for the handshake, only the sizes are known.
    """
    size = measure_size(build_dir)
    measured = measure_handshake(link_measuring(build_dir, directory), site)
    if measured is None:
        return size
    heap, ticks, idle = measured
    return Cost(
        flash=size.flash,
        dram=size.dram,
        heap=heap,
        idle=idle,
        instructions=ticks * _INSTRUCTIONS_PER_TICK,
    )


def link_measuring(build_dir: Path, directory: Path) -> Path:
    """Link a build, its work directory included, anew with what measures handshakes."""
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir()
    return relink(build_dir, directory, "measuring.c", wrapped=_WRAPPED)


def measure_handshake(measuring: Path, site: Site) -> tuple[int, int, int] | None:
    """Return heap at the peak, ticks and heap while idle; None where the heap is too small."""
    script = SCRIPT.format(pem=site.pem, port=site.port, host=HOST, resume="true")
    result = run_lua(measuring, script)
    if "out of memory" in result.stdout:
        return None
    line = next((ln for ln in result.stdout.splitlines() if ln.startswith("measured")), None)
    assert line is not None, result.stdout + result.stderr
    heap, ticks, idle = map(int, line.split()[1:])
    return heap, ticks, idle
