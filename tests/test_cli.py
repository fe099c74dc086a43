"""The command line: quick help, and errors that a person or a program can read."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from nodemcu_tls_build.cli import COMMANDS, show_error
from nodemcu_tls_build.errors import BuildError, ConfigError, ToolFailed

CLI = (sys.executable, "-m", "nodemcu_tls_build")
HEAVY = ("cryptography", "elftools", "esptool", "jinja2", "pydantic", "rich")


def run_cli(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *args], check=False, capture_output=True, text=True)


def test_help_lists_the_commands_in_the_order_of_work() -> None:
    result = run_cli("--help")
    assert result.returncode == 0
    assert result.stderr == ""
    rows = result.stdout.partition("Commands:\n")[2].splitlines()
    assert [row.split()[0] for row in rows] == list(COMMANDS)
    assert all(len(row.split()) > 3 and len(row) < 80 for row in rows)
    assert run_cli("-h").stdout == result.stdout


@pytest.mark.parametrize("args", [["--help"], *([command, "-h"] for command in COMMANDS)])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    program = (
        "import sys\n"
        "from nodemcu_tls_build.cli import cli\n"
        "cli(sys.argv[1:], standalone_mode=False)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *args], check=True, capture_output=True, text=True
    )
    assert result.stdout.startswith("Usage: ")
    assert result.stderr == "[]\n"


def test_version() -> None:
    assert run_cli("--version").stdout == f"nodemcu-tls {metadata.version('nodemcu-tls')}\n"


def test_usage_error() -> None:
    for args in (["nope"], ["run", "--nope"], ["run", "--timeout", "soon"], []):
        result = run_cli(*args)
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr.startswith("Usage: nodemcu-tls")


def test_error_and_hint(tmp_path: Path) -> None:
    result = run_cli("run", str(tmp_path / "none"))
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"Error: there is no directory {tmp_path / 'none'}\n"
        f"Hint: Make one: nodemcu-tls build --out {tmp_path / 'none'}\n"
    )


def test_error_as_json(tmp_path: Path) -> None:
    result = run_cli("build", "--json", "--profile", str(tmp_path / "none.toml"))
    assert result.returncode == 1
    assert result.stderr == ""
    error = json.loads(result.stdout)["error"]
    assert error["kind"] == "ConfigError"
    assert "none.toml" in error["message"]


def test_every_problem_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(ConfigError("the profile cannot be used", None, ["a: wrong", "b: wrong"]))
    assert capsys.readouterr().err == (
        "Error: the profile cannot be used\n  - a: wrong\n  - b: wrong\n"
    )


def test_failed_tool_is_shown_with_the_end_of_its_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = "".join(f"line {number}\n" for number in range(1, 101))
    show_error(ToolFailed("ninja ended with exit code 1", "Look.", ["ninja", "a b"], output, 1))
    lines = capsys.readouterr().err.splitlines()
    assert lines[:4] == [
        "Error: ninja ended with exit code 1",
        "  $ ninja 'a b'",
        "  … 80 lines before these",
        "  line 81",
    ]
    assert lines[-2:] == ["  line 100", "Hint: Look."]
    assert len(lines) == 24


def test_no_hint_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(BuildError("it broke"))
    assert capsys.readouterr().err == "Error: it broke\n"


def test_bug_keeps_its_traceback() -> None:
    program = (
        "import sys, types, click\n"
        "module = types.ModuleType('nodemcu_tls_build.commands.build')\n"
        "module.build = click.command('build')(lambda: 1 / 0)\n"
        "sys.modules[module.__name__] = module\n"
        "from nodemcu_tls_build.cli import main\n"
        "sys.argv[1:] = ['build']\n"
        "main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback (most recent call last)")
    assert result.stderr.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("device", "erase", "/dev/null"), 2),
        (("device", "info", "/dev/null"), 1),
        (("monitor", "/dev/null"), 1),
        (("emulate", "--build", "/dev/null"), 1),
    ],
)
def test_closed_streams(args: tuple[str, ...], code: int, closed: str) -> None:
    """An error is an error and no crash, and is shown where it can be."""
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *CLI, *args]
    result = subprocess.run(shell, check=False, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (code, "")
    assert "Traceback" not in result.stderr
    assert ("Error: " in result.stderr) == ("2>&-" not in closed)


def run_on_terminal(*args: str, **environment: str) -> bytes:
    screen, line = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run(
        [*CLI, *args],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=line,
        stderr=line,
        env=variables | {"TERM": "xterm"} | environment,
    )
    shown = os.read(screen, 65536)
    os.close(line)
    os.close(screen)
    return shown


def test_colours_are_for_terminals(tmp_path: Path) -> None:
    missing_dir = str(tmp_path / "none")
    assert b"\x1b[31m\x1b[1mError:\x1b[0m there is" in run_on_terminal("run", missing_dir)
    assert b"\x1b" not in run_on_terminal("run", missing_dir, NO_COLOR="1")
    assert "\x1b" not in run_cli("run", missing_dir).stderr


def test_reader_that_went_away() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [*CLI, "--help"], check=False, stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert result.returncode == 1
    assert result.stderr == ""


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    """A device may be the same: verify must not say that it differs."""
    for args, code in ((("build", "--json", "--profile", "x"), 1), (("verify", "--json"), 2)):
        with Path("/dev/full").open("w") as full:
            result = subprocess.run(
                [sys.executable, "-m", "nodemcu_tls_build", *args],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
            )
        assert (result.returncode, result.stderr.count("Error: ")) == (code, 1)
        assert "Traceback" not in result.stderr


def test_errors_that_cannot_be_told(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "nodemcu_tls_build", "verify", "--build", "none"],
            check=False,
            stdin=subprocess.DEVNULL,
            stderr=full,
            cwd=tmp_path,
        )
    assert result.returncode == 2
