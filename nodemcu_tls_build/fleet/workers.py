"""Let processes work side by side, each asking for more when it has done what it got.

They end by themselves when the one that started them is gone, however that came about.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from nodemcu_tls_build.errors import BuildError, OutputError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_AHEAD = 2  # tasks that a worker has, so that it need not wait for the next one
_END_TIME = 30.0  # seconds for the task under way


class Workers(Generic[Task, Answer]):
    """Processes that do `work`; what it closes over they inherit, nothing of it is sent."""

    def __init__(self, work: Callable[[Task], Answer], count: int) -> None:
        context = multiprocessing.get_context("fork")
        self._pairs: list[tuple[BaseProcess, Connection]] = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(work, theirs, ours), daemon=False)
            process.start()
            theirs.close()
            self._pairs.append((process, ours))

    def map(self, tasks: Iterator[Task]) -> Iterator[Answer]:
        """Yield the answer to each task as it comes; raise BuildError when a worker fails."""
        waiting = {connection: 0 for _, connection in self._pairs}
        for _ in range(_AHEAD):
            for connection in waiting:
                _give(connection, tasks, waiting)
        while any(waiting.values()):
            ready = wait([c for c, count in waiting.items() if count])
            for connection in [c for c in waiting if c in ready]:
                answer: Answer = _receive(connection)
                waiting[connection] -= 1
                _give(connection, tasks, waiting)
                yield answer

    def end(self) -> None:
        """Let each end after the task that it has begun."""
        for _, connection in self._pairs:
            connection.close()
        for process, _ in reversed(self._pairs):  # the later ones have the earlier ones' pipes
            process.join(_END_TIME)
            if process.is_alive():
                process.kill()
                process.join()


@contextmanager
def run_workers(work: Callable[[Task], Answer], count: int) -> Iterator[Workers[Task, Answer]]:
    """Start processes and end them at last."""
    workers = Workers(work, count)
    try:
        yield workers
    finally:
        workers.end()


def _give(connection: Connection, tasks: Iterator[Task], waiting: dict[Connection, int]) -> None:
    task = next(tasks, None)
    if task is not None:
        with suppress(BrokenPipeError):  # it has ended: receiving will tell
            connection.send(task)
        waiting[connection] += 1


def _receive(connection: Connection) -> Any:
    try:
        answer = connection.recv()
    except (EOFError, ConnectionError) as error:
        raise OutputError(
            "a process that issues certificates has ended", "Is there memory enough? Run it again."
        ) from error
    if isinstance(answer, BuildError):
        raise answer
    return answer


def _serve(work: Callable[[Task], Answer], theirs: Connection, ours: Connection) -> None:
    """Be a worker: an interrupt is the starter's to handle."""
    ours.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    with suppress(EOFError, ConnectionError), theirs:
        while True:
            task = theirs.recv()
            try:
                theirs.send(work(task))
            except BuildError as error:
                theirs.send(error)
                return
