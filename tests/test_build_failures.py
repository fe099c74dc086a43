"""Builds that cannot be: what is said, and that the last good build stays as it was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builds import (
    BUILD,
    describe_published,
    describe_tree,
    hash_published,
    list_steps,
    run_build,
    start_build,
)
from confined import find_namespace_tool, make_bare_python, mount_disk
from pki import make_authority, make_pem

from nodemcu_tls_build.memmap import KIB
from nodemcu_tls_build.output import hold_directory
from nodemcu_tls_build.toolchain import find_compiler

EMPTY_PATH = {"PATH": "/nonexistent"}

MISTYPED_PROFILE = """\
schema = 1
name = "mine"
[tls]
curvs = ["secp256r1"]
ciphers = ["AES", "CAMELIA"]
in_bufer = "4KiB"
out_buffer = "4 kilobytes"
"""

# For the superuser too, permissions count.
UNPRIVILEGED_BUILD = (
    *(("setpriv", "--bounding-set", "-dac_override") if os.geteuid() == 0 else ()),
    *BUILD,
)


@dataclass(frozen=True)
class BadCall:
    """A call that must fail, the kind of its error, and words of message, problems and hint."""

    args: tuple[str, ...]
    kind: str
    words: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


BAD_CALLS = {
    "no compiler": BadCall(
        (),
        "ToolNotFound",
        ("xtensa-lx106-elf-gcc was not found", "apt-get install gcc-xtensa-lx106"),
        EMPTY_PATH,
    ),
    "another compiler": BadCall(
        (), "ToolNotFound", ("not a gcc for xtensa-lx106-elf",), {"NODEMCU_TLS_CC": "/bin/true"}
    ),
    "unknown profile": BadCall(
        ("--profile", "defualt"),
        "ConfigError",
        ('there is no profile "defualt"', 'Did you mean "default"?'),
    ),
    "no such profile file": BadCall(
        ("--profile", "none.toml"), "ConfigError", ("none.toml does not exist", "preset")
    ),
    "mistyped keys": BadCall(
        ("--profile", "mistyped.toml"),
        "ConfigError",
        (
            'mistyped.toml:4: tls.curvs: unknown key, found ["secp256r1"]; did you mean "curves"?',
            '"CAMELIA" is not one of "AES", "CAMELLIA", "CHACHA20-POLY1305"; did you mean "CAM',
            'mistyped.toml:6: tls.in_bufer: unknown key, found "4KiB"; did you mean "in_buffer"?',
            "mistyped.toml:7: tls.out_buffer: a size is",
        ),
    ),
    "no CA file": BadCall(("--ca", "none.pem"), "CertificateError", ("none.pem: No such file",)),
    "empty CA file": BadCall(("--ca", "empty.pem"), "CertificateError", ("empty.pem is empty",)),
    "CA file not PEM": BadCall(("--ca", "text.pem"), "CertificateError", ("is neither PEM",)),
    "CA file a directory": BadCall(("--ca", "dir.pem"), "CertificateError", ("Is a directory",)),
    "CA file with a key": BadCall(
        ("--ca", "key.pem"), "CertificateError", ("private key does not belong into a CA file",)
    ),
    "CA file of a server": BadCall(
        ("--ca", "server.pem"), "CertificateError", ("CN=server.test", "is not a CA")
    ),
    "expired CA": BadCall(
        ("--ca", "expired.pem"), "CertificateError", ("CN=Old root", "expired on")
    ),
    "no archives": BadCall(
        ("--sources", "none"), "SourceError", ("none does not exist", "NODEMCU_TLS_SOURCES")
    ),
    "archive is another": BadCall(
        ("--sources", "archives"),
        "SourceError",
        ("wrong hash of archives/lua5.1_5.1.5.orig.tar.gz", "expected SHA-256 2640fc56", "found"),
    ),
    "output directory is a file": BadCall(
        ("--out", "text.pem"), "OutputError", ("cannot write text.pem", "is a file")
    ),
    "output directory below a file": BadCall(
        ("--out", "text.pem/build"), "OutputError", ("cannot write text.pem/build", "is a file")
    ),
    "output directory that cannot be": BadCall(
        ("--out", "/proc/nodemcu-tls"), "OutputError", ("cannot write /proc/nodemcu-tls",)
    ),
}


@pytest.fixture(scope="module")
def bad_dir(whole_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a good build, `build`, and what makes the next one fail."""
    directory = tmp_path_factory.mktemp("bad")
    shutil.copytree(whole_build, directory / "build")
    root = make_authority("ecdsa")
    root.issue_server("ecdsa", "server.test").write(directory / "identity")
    (directory / "identity" / "key.pem").rename(directory / "key.pem")
    (directory / "identity" / "cert.pem").rename(directory / "server.pem")
    old_root = make_authority("ecdsa", "Old root", end=timedelta(hours=-1))
    (directory / "expired.pem").write_bytes(make_pem(old_root.certificate))
    (directory / "empty.pem").touch()
    (directory / "text.pem").write_text("a certificate\n")
    (directory / "dir.pem").mkdir()
    (directory / "mistyped.toml").write_text(MISTYPED_PROFILE)
    (directory / "archives").mkdir()
    (directory / "archives" / "lua5.1_5.1.5.orig.tar.gz").write_text("not Lua\n")
    return directory


def load_error(result: subprocess.CompletedProcess[str]) -> Any:
    """Return the error that a build printed as JSON; it printed nothing else."""
    assert result.returncode == 1, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)["error"]


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_call(bad_dir: Path, name: str) -> None:
    call = BAD_CALLS[name]
    before = describe_tree(bad_dir)
    error = load_error(run_build("--json", *call.args, cwd=bad_dir, **call.environment))
    assert error["kind"] == call.kind
    assert error["hint"]
    told = "\n".join((error["message"], *error.get("problems", ()), error["hint"]))
    for words in call.words:
        assert words in told
    assert describe_tree(bad_dir) == before


def test_errors_for_people(bad_dir: Path) -> None:
    result = run_build("--profile", "mistyped.toml", cwd=bad_dir)
    assert result.returncode == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith("Error: ")
    assert [line[:18] for line in lines[1:-1]] == ["  - mistyped.toml:"] * 4
    assert lines[-1].startswith("Hint: ")


@pytest.mark.parametrize("kind", ["directory", "broken link"])
def test_server_ca_that_is_no_file(tmp_path: Path, kind: str) -> None:
    if kind == "directory":
        (tmp_path / "server-ca.crt").mkdir()
    else:
        (tmp_path / "server-ca.crt").symlink_to("nowhere")
    error = load_error(run_build("--json", cwd=tmp_path))
    assert error["kind"] == "CertificateError"
    assert "server-ca.crt" in error["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["server-ca.crt"]


def test_output_directory_that_may_not_be_written(own_build: Path, tmp_path: Path) -> None:
    (tmp_path / "new.pem").write_bytes(make_pem(make_authority("ecdsa").certificate))
    before = describe_tree(own_build)
    for closed_dir in (own_build / "work", own_build):
        closed_dir.chmod(0o555)
        result = run_build("--json", "--ca", "new.pem", cwd=tmp_path, command=UNPRIVILEGED_BUILD)
        closed_dir.chmod(0o755)
        error = load_error(result)
        assert error["kind"] == "OutputError"
        assert (
            error["message"]
            == f"cannot write {closed_dir.relative_to(tmp_path)}: Permission denied"
        )
        assert error["hint"] == "Make it writable for this user, or choose another place."
        assert describe_tree(own_build) == before


def test_second_build_at_once(own_build: Path, tmp_path: Path) -> None:
    (own_build / "work" / "obj" / "lua" / "src" / "lapi.c.o").unlink()
    before = describe_tree(own_build)
    with hold_directory(own_build / "work"):
        error = load_error(run_build("--json", cwd=tmp_path))
    assert error["kind"] == "OutputError"
    assert error["message"] == "another build is running in build"
    assert "--out" in error["hint"]
    assert describe_tree(own_build) == before
    assert len(list_steps(run_build(cwd=tmp_path))) == 3


def test_no_ninja(own_build: Path, tmp_path: Path) -> None:
    python_path = make_bare_python(tmp_path / "bare")
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    compiler_path = find_compiler().path
    (bin_dir / compiler_path.name).symlink_to(compiler_path)
    before = describe_tree(own_build)
    command = (str(python_path), *BUILD[1:])
    error = load_error(run_build("--json", cwd=tmp_path, command=command, PATH=str(bin_dir)))
    assert error == {
        "kind": "ToolNotFound",
        "message": "ninja was not found",
        "hint": "pip install ninja",
    }
    assert describe_tree(own_build) == before


def test_no_emulator(own_build: Path, tmp_path: Path) -> None:
    result = run_build("build", cwd=tmp_path, command=(*BUILD[:-1], "run"), **EMPTY_PATH)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "Error: qemu-system-xtensa was not found\nHint: sudo apt-get install qemu-system-misc\n"
    )


def test_no_c_library(own_build: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    hide = f'mount --bind empty {find_compiler().specs.parent} && exec "$@"'
    before = describe_tree(own_build)
    command = (*find_namespace_tool(), "sh", "-c", hide, "sh", *BUILD)
    error = load_error(run_build("--json", cwd=tmp_path, command=command))
    assert error["kind"] == "ToolNotFound"
    assert error["message"] == "picolibc for xtensa-lx106-elf was not found"
    assert "picolibc-xtensa-lx106-elf" in error["hint"]
    assert describe_tree(own_build) == before


def test_interrupted_build_changes_nothing_published(own_build: Path, tmp_path: Path) -> None:
    shutil.rmtree(own_build / "work" / "obj" / "lwip")
    before = describe_published(own_build)
    for group, number, code in ((True, signal.SIGINT, 130), (False, signal.SIGTERM, 143)):
        with start_build("--profile", "default", cwd=tmp_path) as process:
            (os.killpg if group else os.kill)(process.pid, number)
            stdout, stderr = process.communicate()
        assert process.returncode == code
        assert stdout == ""
        assert "Traceback" not in stderr
        assert describe_published(own_build) == before


def test_full_disk(own_build: Path, whole_build: Path, tmp_path: Path) -> None:
    (tmp_path / "new.pem").write_bytes(make_pem(make_authority("ecdsa").certificate))
    with mount_disk(tmp_path / "disk") as disk:
        disk.run("cp", "-a", str(own_build), str(tmp_path / "disk"))
        disk_dir = disk.path / "build"
        before = describe_published(disk_dir)
        disk.run("rm", "-r", str(Path("disk/build", "work", "obj", "lwip")))
        # Too little for the objects; then enough for them, but not for another set of results.
        for args, free, words in (
            ((), 200 * KIB, "the disk is full: the build in disk/build could not be finished"),
            (
                ("--ca", "new.pem"),
                1600 * KIB,
                f"cannot write {Path('disk/build', 'work', 'publish')}/firmware.",
            ),
        ):
            disk.leave(free)
            failed = run_build(
                "--json", "--out", "disk/build", *args, cwd=tmp_path, command=disk.command
            )
            error = load_error(failed)
            assert error["kind"] == "OutputError"
            assert error["message"].startswith(words)
            assert "free some space" in error["hint"].lower()
            assert describe_published(disk_dir) == before
            disk.leave(32 * 1024 * KIB)
            repaired = run_build("--out", "disk/build", cwd=tmp_path, command=disk.command)
            assert list_steps(repaired)
            assert hash_published(disk_dir) == hash_published(whole_build)
