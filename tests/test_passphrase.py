"""The passphrase of a private key, asked for on a terminal: never echoed, never guessed at."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from pki import Identity, make_authority, make_pem
from screens import Terminal

from nodemcu_tls_build.certs.store import find_records

SECRET = "open sesame"  # noqa: S105 -- of a key that is made here


@pytest.fixture(scope="module")
def client() -> Identity:
    return make_authority("ecdsa").issue_client("ecdsa", "client")


@pytest.fixture
def cwd(tmp_path: Path, client: Identity) -> Path:
    """Return a directory with a certificate and its encrypted key."""
    (tmp_path / "client.crt").write_bytes(make_pem(client.certificate))
    (tmp_path / "client.key").write_bytes(encode_key(client, SECRET.encode()))
    return tmp_path


def encode_key(client: Identity, secret: bytes | None) -> bytes:
    """Return the client's key in PEM, encrypted if there is a passphrase."""
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if secret:
        protection = serialization.BestAvailableEncryption(secret)
    form = serialization.PrivateFormat.PKCS8
    return client.key.private_bytes(serialization.Encoding.PEM, form, protection)


@contextmanager
def ask(cwd: Path, *args: str) -> Iterator[Terminal]:
    """Start a command, and wait until it asks for the passphrase, which it does not show."""
    terminal = Terminal(*args, cwd=cwd)
    try:
        terminal.wait_for("Passphrase of client.key: ")
        assert not termios.tcgetattr(terminal.line)[3] & termios.ECHO
        yield terminal
        assert termios.tcgetattr(terminal.line) == terminal.modes
        assert SECRET not in terminal.raw
    finally:
        terminal.close()


CHECK = ("cert", "check", "client.crt", "client.key")
PROVISION = ("provision", "--cert", "client.crt", "--key", "client.key", "--out", "store.bin")


def test_the_right_one(cwd: Path) -> None:
    with ask(cwd, *CHECK) as terminal:
        terminal.type(f"{SECRET}\r")
        assert "EC secp256r1, encrypted" in terminal.wait_end(0)


def test_the_wrong_one(cwd: Path) -> None:
    with ask(cwd, *CHECK) as terminal:
        terminal.type("open says me\r")
        shown = terminal.wait_end(1)
        assert "client.key, line 1: the passphrase is not that of the private key" in shown
        assert "says me" not in terminal.raw


def test_provisioning(cwd: Path) -> None:
    with ask(cwd, *PROVISION) as terminal:
        terminal.type(f"{SECRET}\r")
        terminal.wait_end(0)
    assert find_records((cwd / "store.bin").read_bytes(), 1)


@pytest.mark.parametrize(
    ("key", "code", "said"),
    [
        ("\x03", 130, "\nInterrupted."),
        ("\x04", 1, "\nError: the passphrase of client.key was not given\nHint: Type it, or use"),
    ],
    ids=["Ctrl-C", "Ctrl-D"],
)
def test_no_answer(cwd: Path, key: str, code: int, said: str) -> None:
    before = sorted(cwd.iterdir())
    with ask(cwd, *PROVISION) as terminal:
        terminal.type(key)
        assert said in terminal.wait_end(code)
    assert sorted(cwd.iterdir()) == before


def test_bytes_that_are_no_utf_8(cwd: Path, client: Identity) -> None:
    """As a terminal in Latin-1 sends them: they are the passphrase."""
    secret = b"s\xe9same"
    (cwd / "plain.key").write_bytes(encode_key(client, None))
    openssl = ["openssl", "pkcs8", "-topk8", "-in", "plain.key", "-out", "client.key"]
    (cwd / "secret").write_bytes(secret + b"\n")
    subprocess.run([*openssl, "-passout", "file:secret"], cwd=cwd, check=True, timeout=60)
    with ask(cwd, *PROVISION) as terminal:
        terminal.type(secret + b"\r")
        terminal.wait_end(0)
    assert find_records((cwd / "store.bin").read_bytes(), 1)


def run(cwd: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a command in bash, where `N` is nodemcu-tls."""
    command = f'N() {{ "$0" -m nodemcu_tls_build "$@"; }}; {script}'
    return subprocess.run(
        ["bash", "-c", command, sys.executable],
        check=False,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_everything_through_pipes(cwd: Path) -> None:
    secret = f"--passphrase-file <(echo '{SECRET}')"
    pair = f"--cert <(cat client.crt) --key <(sleep 0.2; cat client.key) {secret}"
    result = run(cwd, f"N provision {pair} --out store.bin")
    assert (result.returncode, result.stderr) == (0, "")
    assert find_records((cwd / "store.bin").read_bytes(), 1)
    (cwd / "two.key").write_bytes((cwd / "client.key").read_bytes())
    result = run(cwd, f"N cert check client.crt <(cat client.key) {secret}")
    assert "EC secp256r1, encrypted" in result.stdout
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    result = run(cwd, f"N cert check client.crt client.key two.key {secret}")
    assert result.stdout.count("EC secp256r1, encrypted") == 2  # with one passphrase, read once


def test_pipes_that_nobody_writes_to(cwd: Path) -> None:
    os.mkfifo(cwd / "pipe")
    for script, said in (
        ("N provision --cert pipe --key client.key --out x", "Error: pipe is empty"),
        ("N provision --cert client.crt --key pipe --out x", "Error: pipe is empty"),
        ("N provision --cert client.crt --key client.key --passphrase-file pipe --out x", "is not"),
    ):
        result = run(cwd, script)
        assert result.returncode == 1
        assert said in result.stderr
        assert not (cwd / "x").exists()


def test_more_than_one_line(cwd: Path) -> None:
    (cwd / "secret").write_text(f"{SECRET}\n{SECRET}\n")
    for script in (
        "N provision --cert client.crt --key client.key --passphrase-file secret --out x",
        "N cert new-ca --passphrase-file secret",
        "N cert new-ca && N cert new-client one --new-passphrase-file secret",
    ):
        result = run(cwd, script)
        assert result.returncode == 1
        assert result.stderr.startswith("Error: secret has more than one line\nHint: ")
        assert SECRET not in result.stderr + result.stdout
    names = {path.name for path in cwd.iterdir()}
    assert names == {"client.crt", "client.key", "secret", "ca.crt", "ca.key"}
