"""The questions of `nodemcu-tls profile init`."""

from __future__ import annotations

import os
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
    write_file(path, write_profile(name, base, answers))
    load_profile(str(path) if path.suffix == ".toml" else f".{os.sep}{path}")
    click.echo(f"Wrote {path}: build it with `nodemcu-tls build --profile {path}`.")
    click.echo(f"For your editor: nodemcu-tls profile schema > {path.parent / FILE_NAME}")


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
        answer = str(click.prompt(text, default=default))
        try:
            return check(answer.strip())
        except ConfigError as error:
            for line in error.problems or (error.message,):
                click.echo(f"Error: {line}", err=True)
