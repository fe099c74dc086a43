"""esptool in processes that need not load it: each is a fork of one that has.

A run of esptool is mostly the loading of its modules. Here they are loaded once; from there on a
run is what it always is: its own process, its own arguments, what it prints, its exit code.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from multiprocessing.process import BaseProcess

import pytest
import warm_esptool_run

from nodemcu_tls_build.device import tool
from nodemcu_tls_build.process import Stopper, _Limit

_context = multiprocessing.get_context("forkserver")
_lock = threading.Lock()  # starting a child asks for the end of the others, for which it is joined


class _Child:
    """What a Stopper and a _Limit end; at once, whatever they ask for."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    def send_signal(self, _number: int) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


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
    count_silence: Callable[[], float],
    stoppers: Sequence[Stopper],
) -> int:
    """Do what process.run_live does, with esptool alone, and end it at once when its time is up.

    The child has none of the files in `keep_open`; it opens those of this process.
    """
    assert args[:5] == [sys.executable, "-P", "-u", "-m", "esptool"]
    argv = [_name_here(arg, keep_open) for arg in args[4:]]
    environment = {name: _name_here(value, keep_open) for name, value in env.items()}
    reader, writer = _context.Pipe(duplex=False)
    child = _context.Process(
        target=warm_esptool_run.run, args=(argv, environment, writer), daemon=True
    )
    with _lock:
        child.start()
    writer.close()
    with ExitStack() as stack:
        for action in (reader.close, child.close, lambda: _join(child), child.terminate):
            stack.callback(action)
        ended = _Child(child)
        for stopper in stoppers:
            stack.enter_context(stopper.watch(ended))  # type: ignore[arg-type]
        limit = stack.enter_context(_Limit(ended, timeout, count_silence))  # type: ignore[arg-type]
        with open(reader.fileno(), encoding="utf-8", errors="replace", closefd=False) as output:
            for line in output:
                limit.note_line()
                on_line(line.rstrip("\n"))
        code = _join(child)
    return limit.code or (code if code >= 0 else 128 - code)


def _name_here(text: str, descriptors: Sequence[int]) -> str:
    """Return the text with another name for an open file: that of this process."""
    for descriptor in descriptors:
        if text.endswith(f"/proc/self/fd/{descriptor}"):
            return text.replace("/proc/self/", f"/proc/{os.getpid()}/")
    return text
