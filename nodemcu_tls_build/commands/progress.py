"""How a build shows what it is doing: one bar on a terminal, plain lines elsewhere."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from nodemcu_tls_build.request import Progress


class _Silent:
    def status(self, text: str) -> None:
        pass

    def step(self, done: int, total: int, text: str) -> None:
        pass


class _Lines:
    """One line a step on standard error, as a log wants it."""

    def status(self, text: str) -> None:
        click.echo(text, err=True)

    def step(self, done: int, total: int, text: str) -> None:
        click.echo(f"[{done}/{total}] {text}", err=True)


class _OneBar:
    """A bar that comes with the first step: a build with nothing to do shows none."""

    def __init__(self) -> None:
        self.bar: Bar | None = None
        self._task: TaskID | None = None

    def status(self, text: str) -> None:
        if self.bar is None:
            click.echo(text, err=True)
        else:
            self.bar.console.print(text, markup=False, highlight=False)

    def step(self, done: int, total: int, text: str) -> None:
        if self.bar is None or self._task is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
            from rich.table import Column

            rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
            self.bar = Progress(
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("{task.description}", markup=False, table_column=rest),
                console=Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")) or None),
                transient=True,
                expand=True,
            )
            self._task = self.bar.add_task("", total=total)
            self.bar.start()
        self.bar.update(self._task, completed=done, total=total, description=text)


@contextmanager
def show_progress(*, quiet: bool, verbose: bool) -> Iterator[Progress]:
    """Give a build something to report to; the bar is gone when the build is over.

    With `verbose` every command has a line of its own, on a terminal too.
    """
    if quiet:
        yield _Silent()
    elif verbose or not can_draw():
        yield _Lines()
    else:
        bar = _OneBar()
        try:
            yield bar
        finally:
            if bar.bar is not None:
                bar.bar.stop()


def can_draw() -> bool:
    """Tell whether standard error is a terminal that can draw over what it shows."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
