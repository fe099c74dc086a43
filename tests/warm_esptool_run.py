"""A run of esptool in a process that has loaded it. What is imported here costs each run."""

from __future__ import annotations

import os
import runpy
import sys
from multiprocessing.connection import Connection


def run(argv: list[str], env: dict[str, str], output: Connection) -> None:
    """Be the process whose output goes into the pipe."""
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    output.close()
    text = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stderr = text
    os.environ.clear()
    os.environ.update(env)
    sys.argv = argv
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
