"""Do the same with several devices at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from nodemcu_tls_build.errors import BuildError
from nodemcu_tls_build.process import Stopper

T = TypeVar("T")


def run_side_by_side(
    ports: Sequence[str], job: Callable[[str, Stopper], T]
) -> dict[str, T | BuildError]:
    """Run `job` for each port, one thread each; return its result or error for each port.

    One that fails does not hold up the others. When the wait is interrupted, what they run is
    stopped through the Stopper and the exception goes on, as does any error that is no BuildError.
    """
    stopper = Stopper()
    results: dict[str, T | BuildError] = {}
    bugs: list[BaseException] = []

    def run(port: str) -> None:
        try:
            results[port] = job(port, stopper)
        except BuildError as error:
            results[port] = error
        except BaseException as error:
            bugs.append(error)

    threads = [threading.Thread(target=run, args=(port,)) for port in ports]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        stopper.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        raise
    if bugs:
        raise bugs[0]
    return {port: results[port] for port in ports}
