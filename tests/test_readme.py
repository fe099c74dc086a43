"""The README's transcript, typed as it stands there."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_README = Path(__file__).parent.parent / "README.md"
_PORTS = ("4433", "3217")  # in the README; a test takes free ones
_MARK = "@@ command"

# Keys and signatures are new each time, so sizes and digests vary; the words do not.
_VARIES = re.compile(r"\b[0-9a-f]{16,64}\b|\b0x[0-9a-f]+\b|[0-9][0-9,.]*%?")


@dataclass
class _Command:
    text: str
    first_output: int  # line number in the README
    output: list[str] = field(default_factory=list)


def _read_commands(lines: list[str]) -> list[_Command]:
    """Return the commands of the console blocks: `$ `, its continued lines, what it prints."""
    commands: list[_Command] = []
    in_block, ends_with = False, None
    for number, line in enumerate(lines):
        if line.startswith("```"):
            in_block = line == "```console"
        elif not in_block:
            continue
        elif ends_with is not None or (commands and commands[-1].text.endswith("\\")):
            commands[-1].text += f"\n{line}"
            commands[-1].first_output = number + 1
            ends_with = None if line == ends_with else ends_with
        elif line.startswith("$ "):
            commands.append(_Command(line[2:], number + 1))
            here_document = re.search(r"<<'(\w+)'", line)
            ends_with = here_document and here_document[1]
        else:
            commands[-1].output.append(line)
    return commands


def _wait_for(port: str) -> str:
    attempt = f"(exec 3<> /dev/tcp/127.0.0.1/{port}) 2> /dev/null"
    return f"for _ in $(seq 100); do {attempt} && break; sleep 0.1; done"


def _replace(text: str, words: dict[str, str]) -> str:
    for old, new in words.items():
        text = text.replace(old, new)
    return text


def _type_in(commands: list[_Command], directory: Path, ports: dict[str, str]) -> list[list[str]]:
    """Return what each command prints on standard output, all typed into one shell.

    `ports` are those to use instead of the README's. A server's is waited for.
    """
    script = ["trap 'kill $(jobs -p) 2> /dev/null' EXIT"]
    for command in commands:
        script += [f"echo '{_MARK}'", _replace(command.text, ports)]
        if command.text.endswith("&"):
            script += [_wait_for(port) for name, port in ports.items() if name in command.text]
    result = subprocess.run(
        ["bash"],
        input="\n".join(script),
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.stdout.startswith(_MARK), result.stderr
    printed = _replace(result.stdout, {port: name for name, port in ports.items()})
    outputs = printed.split(f"{_MARK}\n")[1:]
    return [[line.rstrip() for line in output.splitlines()] for output in outputs]


def _strip_what_varies(lines: list[str]) -> list[str]:
    return [" ".join(_VARIES.sub("#", line).split()) for line in lines]


def test_readme_shows_what_its_commands_print(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in _PORTS]
        free = [str(listener.getsockname()[1]) for listener in listeners]
    lines = _README.read_text().splitlines()
    commands = _read_commands(lines)
    printed = _type_in(commands, tmp_path, dict(zip(_PORTS, free, strict=True)))
    assert len(printed) == len(commands)

    if request.config.getoption("--update-golden"):
        for command, output in reversed(list(zip(commands, printed, strict=True))):
            end = command.first_output + len(command.output)
            lines[command.first_output : end] = output
        _README.write_text("\n".join(lines) + "\n")
        return
    for command, output in zip(commands, printed, strict=True):
        expected = _strip_what_varies(command.output)
        assert _strip_what_varies(output) == expected, command.text
