"""The passphrase of a private key, asked for on a terminal: never echoed, never guessed at."""

from __future__ import annotations

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
    key = client.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(SECRET.encode()),
    )
    (tmp_path / "client.key").write_bytes(key)
    return tmp_path


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


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_no_answer(cwd: Path, key: str) -> None:
    before = sorted(cwd.iterdir())
    with ask(cwd, *PROVISION) as terminal:
        terminal.type(key)
        assert "Aborted!" in terminal.wait_end(1)
    assert sorted(cwd.iterdir()) == before
