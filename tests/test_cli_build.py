"""What a build shows: a bar on a terminal, plain lines elsewhere, JSON alone when asked for."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from builds import BUILD, LINK_STEPS, list_steps, load_report, run_build
from pki import make_authority, make_pem

ONE_FILE = Path("work", "obj", "lua", "src", "lapi.c.o")
STEPS = ["CC obj/lua/src/lapi.c.o", *LINK_STEPS]
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


def run_on_terminal(*args: str, cwd: Path, **environment: str) -> bytes:
    """Run a build that must succeed on a terminal and return all that it wrote there."""
    screen, line = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [*BUILD, *args],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=line,
        stderr=line,
        env=variables | {"TERM": "xterm-256color"} | environment,
    )
    os.close(line)
    shown = b""
    while True:
        try:
            shown += os.read(screen, 65536)
        except OSError:  # the last one who could write is gone
            break
    os.close(screen)
    assert process.wait() == 0
    return shown


def test_json_and_nothing_else(own_build: Path, tmp_path: Path) -> None:
    for lost in (ONE_FILE, Path("flash.bin"), None):
        if lost:
            (own_build / lost).unlink()
        result = run_build("--json", "-v", cwd=tmp_path)
        assert result.returncode == 0
        assert result.stderr == ""
        assert json.loads(result.stdout) == load_report(own_build)
        assert result.stdout == (own_build / "build.json").read_text()


def test_plain_lines_where_there_is_no_terminal(own_build: Path, tmp_path: Path) -> None:
    (own_build / ONE_FILE).unlink()
    result = run_build(cwd=tmp_path, TERM="xterm-256color", FORCE_COLOR="1", CLICOLOR_FORCE="1")
    assert result.stderr == "".join(f"[{n}/3] {step}\n" for n, step in enumerate(STEPS, start=1))
    assert "\x1b" not in result.stdout
    assert "\r" not in result.stdout


def test_tables_add_up(own_build: Path, tmp_path: Path) -> None:
    shown = run_build(cwd=tmp_path).stdout
    report = load_report(own_build)
    assert all(len(line) < 80 for line in shown.splitlines())
    for image in report["images"]:
        row = rf"^{image['name']} .* {image['length']:,}  {image['sha256'][:16]}$"
        assert re.search(row, shown, re.MULTILINE)

    table = shown.partition("\nComponent ")[2].split("\n\n")[0].splitlines()[1:]
    names, *columns = zip(*(line.replace(",", "").split() for line in table), strict=True)
    assert names == (*report["sizes"]["components"], "total")
    for column in columns:
        *parts, total = (int(cell.replace("-", "0")) for cell in column)
        assert sum(parts) == total
    assert f"Flash, mapped       {report['sizes']['total']['flash']:,}" in shown
    assert shown.endswith(
        "\nCA built in: none (no server-ca.crt)\n"
        "Nothing to do for build/flash.bin: boot it with `nodemcu-tls run build`.\n"
    )


def test_verbose_shows_the_commands(own_build: Path, tmp_path: Path) -> None:
    (own_build / ONE_FILE).unlink()
    compile_step, link_step, image_step = list_steps(run_build("-v", cwd=tmp_path))
    assert "xtensa-lx106-elf-gcc " in compile_step
    assert compile_step.endswith(" -o obj/lua/src/lapi.c.o")
    assert "xtensa-lx106-elf-gcc " in link_step
    assert " -m esptool --chip esp8266 elf2image " in image_step
    (own_build / ONE_FILE).unlink()
    shown = run_on_terminal("-v", cwd=tmp_path)
    assert b" -o obj/lua/src/lapi.c.o\r\n" in shown
    assert HIDE_CURSOR not in shown


def test_bar_on_a_terminal(own_build: Path, tmp_path: Path) -> None:
    (own_build / ONE_FILE).unlink()
    shown = run_on_terminal(cwd=tmp_path)
    bar, _, rest = shown.rpartition(SHOW_CURSOR)
    assert bar.startswith(HIDE_CURSOR)
    assert b"3/3" in bar
    assert b"IMAGE image/" in bar
    assert COLOUR.search(bar)
    assert b"Built build/flash.bin" in rest
    assert b"[1/3]" not in shown
    assert HIDE_CURSOR not in run_on_terminal(cwd=tmp_path)  # nothing to do, no bar


@pytest.mark.parametrize("columns", ["30", "60"])
def test_bar_is_one_line(own_build: Path, tmp_path: Path, columns: str) -> None:
    (own_build / ONE_FILE).unlink()
    shown = run_on_terminal(cwd=tmp_path, COLUMNS=columns)
    bar = COLOUR.sub(b"", shown.rpartition(SHOW_CURSOR)[0])
    drawn = [text.decode() for text in re.split(rb"\r\x1b\[2K|\r\n", bar.removeprefix(HIDE_CURSOR))]
    assert any("3/3" in text for text in drawn)
    assert all(len(text) <= int(columns) for text in drawn)


def test_terminal_without_colours(own_build: Path, tmp_path: Path) -> None:
    (own_build / ONE_FILE).unlink()
    shown = run_on_terminal(cwd=tmp_path, NO_COLOR="1")
    assert HIDE_CURSOR in shown
    assert not COLOUR.search(shown)
    (own_build / ONE_FILE).unlink()
    shown = run_on_terminal(cwd=tmp_path, TERM="dumb")
    assert shown.startswith(b"[1/3] CC obj/lua/src/lapi.c.o\r\n[2/3] ")
    assert b"\x1b" not in shown


def test_server_ca_of_the_current_directory(own_build: Path, tmp_path: Path) -> None:
    for name in ("server-ca.crt", "other.pem"):
        ca = make_authority("ecdsa", f"CA in {name}").certificate
        (tmp_path / name).write_bytes(make_pem(ca))
    result = run_build("--ca", "other.pem", cwd=tmp_path)
    assert result.stderr.startswith(
        "Note: server-ca.crt of this directory is built in, not other.pem.\n[1/3] "
    )
    assert "\nCA built in: CN=CA in server-ca.crt\n" in result.stdout
    assert load_report(own_build)["ca"][0]["subject"] == "CN=CA in server-ca.crt"
    assert list_steps(run_build(cwd=tmp_path)) == []


def test_letters_that_the_output_lacks(own_build: Path, tmp_path: Path) -> None:
    ca = make_authority("ecdsa", "漢字").certificate
    (tmp_path / "ca.pem").write_bytes(make_pem(ca))
    result = run_build("--ca", "ca.pem", cwd=tmp_path, PYTHONIOENCODING="latin-1")
    assert result.returncode == 0
    assert "\nCA built in: CN=\\u6f22\\u5b57\n" in result.stdout
    assert load_report(own_build)["ca"][0]["subject"] == "CN=漢字"


def test_usage_errors(tmp_path: Path) -> None:
    for args in (("-j", "0"), ("-j", "many"), ("--nope",), ("extra",)):
        result = run_build(*args, cwd=tmp_path)
        assert result.returncode == 2
        assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []
