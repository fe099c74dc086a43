"""Do the same with several devices at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from nodemcu_tls_build.errors import BuildError
from nodemcu_tls_build.process import Stopper

T = TypeVar("T")


def run_side_by_side(
    ports: Sequence[str], job: Callable[[str, Stopper], T]
) -> dict[str, T | BuildError]:
    """Run `job` for each port, one thread each; return its result or error for each port.

    One that fails does not hold up the others. When the wait is interrupted, what they run is
    stopped through the Stopper, and once it has ended the exception goes on, as does any error
    that is no BuildError.
    """
    stopper = Stopper()
    # Futures are waited for, not threads: a join that is interrupted takes its thread for ended.
    with ThreadPoolExecutor(max_workers=len(ports)) as pool:
        futures = {port: pool.submit(job, port, stopper) for port in ports}
        try:
            wait(futures.values())
        except BaseException:
            stopper.stop()
            raise
    outcomes: dict[str, T | BuildError] = {}
    for port, future in futures.items():
        try:
            outcomes[port] = future.result()
        except BuildError as error:
            outcomes[port] = error
    return outcomes
