"""How the issuing of many certificates is shown: a bar with rate and time left, or lines."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from nodemcu_tls_build.commands.progress import can_draw

if TYPE_CHECKING:
    from nodemcu_tls_build.fleet.run import Report

_PAUSE = 5.0  # seconds between two lines


@contextmanager
def show_issuing(*, quiet: bool) -> Iterator[Report]:
    """Give the issuing something to report to; a bar is gone when it is over."""
    if quiet:
        yield lambda _done, _total: None
    elif can_draw():
        with _show_bar() as report:
            yield report
    else:
        yield _make_lines()


def _make_lines() -> Report:
    start = said = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said < _PAUSE or not done:
            return
        said = now
        rate = done / (now - start)
        left = (total - done) / rate
        click.echo(f"{done:,} of {total:,} devices, {rate:,.0f}/s, {left:,.0f} s left", err=True)

    return report


@contextmanager
def _show_bar() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f}/s" if speed else "")

    # It draws when it is told something: a thread of its own would be in each process forked.
    with Progress(
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")) or None),
        transient=True,
        auto_refresh=False,
    ) as bar:
        task = bar.add_task("", total=None)
        drawn = 0.0

        def report(done: int, total: int) -> None:
            nonlocal drawn
            bar.update(task, completed=done, total=total)
            now = time.monotonic()
            if now - drawn > 0.1 or done == total:
                drawn = now
                bar.refresh()

        yield report
