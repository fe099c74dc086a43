"""esptool in processes that need not load it: each is a fork of one that has.

A run of esptool is mostly the loading of its modules. Here they are loaded once; from there on a
run is what it always is: its own process, its own arguments, what it prints, its exit code.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from multiprocessing.process import BaseProcess

import pytest
import warm_esptool_run

from nodemcu_tls_build.device import tool
from nodemcu_tls_build.process import Stopper

_context = multiprocessing.get_context("forkserver")
_lock = threading.Lock()  # starting a child asks for the end of the others, for which it is joined


class _Child:
    """What a Stopper ends."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    def send_signal(self, _number: int) -> None:
        self._process.terminate()


def _join(child: BaseProcess) -> int:
    with _lock:
        child.join()
        assert child.exitcode is not None
        return child.exitcode


def use_warm_esptool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this test's runs of esptool, when this process starts them, such forks."""
    for name, value in tool._ENVIRONMENT.items():  # some of it is read when esptool is loaded
        monkeypatch.setenv(name, value)
    _context.set_forkserver_preload(["esptool"])
    monkeypatch.setattr(tool, "run_live", run_warm)


def run_warm(
    args: Sequence[str],
    *,
    on_line: Callable[[str], None],
    env: Mapping[str, str],
    keep_open: Sequence[int],
    timeout: float,
    stoppers: Sequence[Stopper],
) -> int:
    """Do what process.run_live does, with esptool alone, and end it at once when its time is up."""
    assert args[:5] == [sys.executable, "-P", "-u", "-m", "esptool"]
    assert not keep_open
    reader, writer = _context.Pipe(duplex=False)
    child = _context.Process(
        target=warm_esptool_run.run, args=(list(args[4:]), dict(env), writer), daemon=True
    )
    with _lock:
        child.start()
    writer.close()
    with ExitStack() as stack:
        for action in (reader.close, child.close, lambda: _join(child), child.terminate):
            stack.callback(action)
        for stopper in stoppers:
            stack.enter_context(stopper.watch(_Child(child)))  # type: ignore[arg-type]
        limit = threading.Timer(timeout, child.terminate)
        limit.start()
        stack.callback(limit.cancel)
        with open(reader.fileno(), encoding="utf-8", errors="replace", closefd=False) as output:
            for line in output:
                on_line(line.rstrip("\n"))
        code = _join(child)
    return code if code >= 0 else 128 - code
