"""Print what takes how long: `.venv/bin/python tests/bench.py`."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pki import make_authority, make_pem
from virtual_device import run_device

FLEETS = (1000, 20_000)
NODEMCU_TLS = str(Path(sys.executable).with_name("nodemcu-tls"))


def run(*args: str, text: str | None = None) -> None:
    """Run a command with that as its input."""
    subprocess.run([NODEMCU_TLS, *args], check=True, capture_output=True, text=True, input=text)


def show(
    title: str,
    runs: int,
    *args: str,
    prepare: Callable[[], object] | None = None,
    text: str | None = None,
) -> None:
    """Print the median of the seconds that a command takes, and the extremes."""
    seconds = []
    for _ in range(runs):
        if prepare:
            prepare()
        start = time.perf_counter()
        run(*args, text=text)
        seconds.append(time.perf_counter() - start)
    extremes = f"{min(seconds):.2f} to {max(seconds):.2f}"
    print(f"{title:14}{statistics.median(seconds):7.2f} s  ({extremes}, {runs} runs)", flush=True)


def renew_ca() -> None:
    Path("ca.pem").write_bytes(make_pem(make_authority("ecdsa").certificate))


def show_device(flash_path: Path) -> None:
    """Print how long a virtual device takes to be flashed, compared and asked for an address."""
    build_dir = Path("build")
    address = next(
        line.split()[0]
        for line in (build_dir / "firmware.map").read_text().splitlines()
        if line.endswith(" tls_conn_open")
    )
    report = f'print("{address}")\n'  # what a decoder finds in what the device shows
    with run_device(build_dir, flash_path) as device:
        show("flash", 3, "flash", device.url, prepare=lambda: wipe(flash_path))
        show("nothing new", 3, "flash", device.url)
        show("verify", 3, "verify", device.url)
        show("look-up", 3, "monitor", device.url, "--reset", text=report)


def show_fleet(count: int) -> None:
    """Print how many devices a second are issued an identity, and the memory that it takes."""
    rows = (f"dev-{number:06},Hall {number % 7}\n" for number in range(count))
    Path("devices.csv").write_text("device,place\n" + "".join(rows))
    args = ["fleet", "--csv", "devices.csv", "--issuer-cert", "ca.pem", "--issuer-key", "ca.key"]
    args += ["--subject", "CN={device},OU={place},O=Example", "--out", "fleet"]
    shutil.rmtree("fleet", ignore_errors=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    # Of this child alone: the peak that getrusage knows is the largest of all there were.
    script = "import resource, sys; from nodemcu_tls_build.cli import cli; sys.argv[0] = 'x'\n"
    script += "try: cli()\nexcept SystemExit: pass\nfor who in (0, -1):"
    script += " print(resource.getrusage(who).ru_maxrss, file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-c", script, *args], check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    own, worker = (int(line) / 1024 for line in result.stderr.splitlines()[-2:])
    print(
        f"fleet {count:8,}{seconds:7.2f} s  ({count / seconds:,.0f} devices/s, "
        f"{1000 * used / count:.2f} ms of CPU each; peak {own:.1f} MiB, "
        f"{worker:.1f} MiB a worker; load {os.getloadavg()[0]:.1f})",
        flush=True,
    )


def make_issuer() -> None:
    issuer = make_authority("ecdsa")
    Path("ca.pem").write_bytes(make_pem(issuer.certificate))
    Path("ca.key").write_bytes(issuer.write(Path("issuer")).key_path.read_bytes())


def wipe(flash_path: Path) -> None:
    flash_path.write_bytes(b"\xff" * flash_path.stat().st_size)


def main() -> None:
    print(f"{os.cpu_count()} CPUs, Python {platform.python_version()}; median of the wall time:")
    with tempfile.TemporaryDirectory(prefix="nodemcu-tls-bench-") as directory:
        os.chdir(directory)
        run("build")  # unpacks the sources, and fetches them if need be
        show("cold build", 3, "build", prepare=lambda: shutil.rmtree("build"))
        show("nothing to do", 15, "build")
        show("CA changed", 7, "build", "--ca", "ca.pem", prepare=renew_ca)
        show("--help", 15, "--help")
        show_device(Path("flash.bin"))
        make_issuer()
        for count in FLEETS:
            show_fleet(count)
        os.chdir("/")


if __name__ == "__main__":
    main()
