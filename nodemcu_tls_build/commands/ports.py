"""How commands choose a serial port, and show what is done on one or on several."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click

from nodemcu_tls_build.commands.progress import can_draw

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from nodemcu_tls_build.device.ports import SerialPort
    from nodemcu_tls_build.device.tool import Report


def choose(port: str | None) -> str:
    """Return `port`, or the only likely one; on a terminal the user picks one of several."""
    from nodemcu_tls_build.device.ports import choose_port

    can_ask = sys.stdin.isatty() and sys.stderr.isatty()
    chosen = choose_port(port, ask=_ask if can_ask else None)
    if port is None:
        click.echo(f"Port: {chosen}", err=True)
    return chosen


def _ask(ports: Sequence[SerialPort]) -> str:
    for number, port in enumerate(ports, 1):
        click.echo(f"{number:3}  {port.name}  {port.description}".rstrip(), err=True)
    number = click.prompt(
        "Which port is the device's?", type=click.IntRange(1, len(ports)), err=True
    )
    return ports[number - 1].name


class Shown(Protocol):
    """How the work on each port is shown; safe to call from several threads."""

    def report_for(self, port: str) -> Report:
        """Return what the work on a port is told to."""

    def end(self, port: str, text: str, *, done: bool) -> None:
        """Say how the work on a port ended."""


class _Silent:
    def report_for(self, port: str) -> Report:
        return lambda _text, _percent: None

    def end(self, port: str, text: str, *, done: bool) -> None:
        pass


class _Lines:
    """One line a step on standard error, the port before it when there are several."""

    def __init__(self, ports: Sequence[str]) -> None:
        self._several = len(ports) > 1

    def report_for(self, port: str) -> Report:
        def report(text: str, percent: float | None) -> None:
            if percent is None:
                self._say(port, text)

        return report

    def end(self, port: str, text: str, *, done: bool) -> None:
        if self._several:
            self._say(port, text)

    def _say(self, port: str, text: str) -> None:
        click.echo(f"{port}: {text}" if self._several else text[:1].upper() + text[1:], err=True)


class _Bars:
    """One line a port that stays until all are done."""

    def __init__(self, bars: Bars, ports: Sequence[str]) -> None:
        self._bars = bars
        self._tasks = {port: bars.add_task("", total=None, port=port) for port in ports}

    def report_for(self, port: str) -> Report:
        task = self._tasks[port]

        def report(text: str, percent: float | None) -> None:
            total = None if percent is None else 100
            self._bars.update(task, description=text, total=total, completed=percent or 0)

        return report

    def end(self, port: str, text: str, *, done: bool) -> None:
        total = 100 if done else None
        self._bars.update(self._tasks[port], description=text, total=total, completed=total or 0)


@contextmanager
def show_ports(ports: Sequence[str], *, quiet: bool) -> Iterator[Shown]:
    """Give the work on ports something to report to; bars are gone when it is over."""
    if quiet:
        yield _Silent()
        return
    if not can_draw():
        yield _Lines(ports)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    with Progress(
        TextColumn("{task.fields[port]}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False, table_column=rest),
        console=Console(stderr=True, no_color=bool(os.environ.get("NO_COLOR")) or None),
        transient=True,
        expand=True,
    ) as bars:
        yield _Bars(bars, ports)
