"""Print how long a build and `--help` take: `.venv/bin/python tests/bench.py`."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pki import make_authority, make_pem

NODEMCU_TLS = str(Path(sys.executable).with_name("nodemcu-tls"))


def run(*args: str) -> None:
    subprocess.run([NODEMCU_TLS, *args], check=True, capture_output=True)


def show(title: str, runs: int, *args: str, prepare: Callable[[], object] | None = None) -> None:
    """Print the median of the seconds that a command takes, and the extremes."""
    seconds = []
    for _ in range(runs):
        if prepare:
            prepare()
        start = time.perf_counter()
        run(*args)
        seconds.append(time.perf_counter() - start)
    extremes = f"{min(seconds):.2f} to {max(seconds):.2f}"
    print(f"{title:14}{statistics.median(seconds):7.2f} s  ({extremes}, {runs} runs)", flush=True)


def renew_ca() -> None:
    Path("ca.pem").write_bytes(make_pem(make_authority("ecdsa").certificate))


def main() -> None:
    print(f"{os.cpu_count()} CPUs, Python {platform.python_version()}; median of the wall time:")
    with tempfile.TemporaryDirectory(prefix="nodemcu-tls-bench-") as directory:
        os.chdir(directory)
        run("build")  # unpacks the sources, and fetches them if need be
        show("cold build", 3, "build", prepare=lambda: shutil.rmtree("build"))
        show("nothing to do", 15, "build")
        show("CA changed", 7, "build", "--ca", "ca.pem", prepare=renew_ca)
        show("--help", 15, "--help")
        os.chdir("/")


if __name__ == "__main__":
    main()
