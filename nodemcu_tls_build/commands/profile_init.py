"""The questions of `nodemcu-tls profile init`."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from nodemcu_tls_build.errors import ConfigError, OutputError
from nodemcu_tls_build.files import write_file
from nodemcu_tls_build.profile import list_presets, load_profile
from nodemcu_tls_build.profile.schema import FILE_NAME
from nodemcu_tls_build.profile.template import (
    QUESTIONS,
    Question,
    check_name,
    check_preset,
    find_budget,
    write_profile,
)

T = TypeVar("T")


def ask_and_write(path: Path, *, force: bool) -> None:
    """Ask, and write the file that the answers make."""
    if os.path.lexists(path) and not force:
        raise OutputError(f"{path} exists", "Overwrite it with --force, or give another name.")
    name = _ask("Name of the profile", path.stem, check_name)
    for preset in list_presets():
        text = " ".join(load_profile(preset).description.split())
        line = textwrap.shorten(f"{preset}: {text}", 77, placeholder=" …")
        click.echo(click.style(f"  {line}", dim=True))
    base = _ask("Preset to start from", "default", check_preset)
    answers: list[str] = []
    for question in QUESTIONS:
        answers += _ask_setting(question, base, answers)
    budget = find_budget(base, answers)
    if budget:
        click.echo(f"No handshake keeps to the preset's tls.heap_budget: {budget[0]}.")
    write_file(path, write_profile(name, base, [*answers, *budget]))
    given = str(path)
    if path.suffix != ".toml" and os.sep not in given:  # which would be the name of a preset
        given = f".{os.sep}{path}"
    load_profile(given)
    command = shlex.join(["nodemcu-tls", "build", "--profile", given])
    schema_path = shlex.quote(str(path.parent / FILE_NAME))
    click.echo(f"Wrote {path}: build it with `{command}`.")
    click.echo(f"For your editor: nodemcu-tls profile schema > {schema_path}")


def _ask_setting(question: Question, base: str, answers: list[str]) -> list[str]:
    """Return the settings that the answer stands for; ask again while they are refused."""
    default = question.find_default(load_profile(base, answers))

    def check(answer: str) -> list[str]:
        if answer == default:
            return []
        settings = question.translate(answer)
        load_profile(base, [*answers, *settings])
        return settings

    return _ask(question.text, default, check)


def _ask(text: str, default: str, check: Callable[[str], T]) -> T:
    """Ask until `check` takes the answer; return what it makes of it. It raises ConfigError."""
    while True:
        answer = _prompt(text, default)
        try:
            return check(answer.strip())
        except ConfigError as error:
            for line in error.problems or (error.message,):
                click.echo(f"Error: {line}", err=True)


def _prompt(text: str, default: str) -> str:
    try:
        return str(click.prompt(text, default=default))
    except click.Abort as abort:  # of either: click tells no difference
        if not isinstance(abort.__context__, EOFError):
            raise KeyboardInterrupt from abort
        click.echo()  # the question's line has no end yet
        raise ConfigError(
            "the answers ended before the last question: nothing is written",
            "Answer on a terminal, or give a line for each question.",
        ) from abort
