"""Work on several ports at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from nodemcu_tls_build.device.side_by_side import run_side_by_side
from nodemcu_tls_build.errors import DeviceError
from nodemcu_tls_build.process import Stopper, run_live


def test_all_at_once_and_in_order() -> None:
    together = threading.Barrier(3, timeout=50)

    def job(port: str, stopper: Stopper) -> str:
        together.wait()
        if port == "b":
            raise DeviceError("b is broken")
        return port.upper()

    results = run_side_by_side(["c", "b", "a"], job)
    assert list(results) == ["c", "b", "a"]
    assert (results["c"], results["a"]) == ("C", "A")
    assert isinstance(results["b"], DeviceError)


def test_a_bug_is_not_lost() -> None:
    def job(port: str, stopper: Stopper) -> str:
        raise ZeroDivisionError(port)

    with pytest.raises(ZeroDivisionError):
        run_side_by_side(["a", "b"], job)


_PROGRAM = """
import signal, sys
from nodemcu_tls_build.device.side_by_side import run_side_by_side
from nodemcu_tls_build.process import run_live
signal.signal(signal.SIGINT, signal.default_int_handler)
child = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
def job(port, stopper):
    return run_live(child, on_line=lambda line: print(line, flush=True), stoppers=[stopper])
try:
    run_side_by_side(["a", "b"], job)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_an_interrupt_ends_what_they_run() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    parent.send_signal(signal.SIGINT)
    output, _ = parent.communicate(timeout=50)
    assert output == "interrupted\n"
    for pid in pids:
        assert run_live(["kill", "-0", str(pid)], on_line=lambda _: None) != 0
