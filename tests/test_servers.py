"""The tests' own TLS servers, asked by OpenSSL's client: what they report is what happened."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from emulated import HOST
from pki import Identity, make_authority, make_pem
from servers import run_native_server


@pytest.fixture(scope="module")
def root() -> Identity:
    return make_authority("ecdsa")


def ask(port: int, root: Identity, directory: Path, *options: str) -> bytes:
    """Send a request with `openssl s_client`, which verifies the server; return the answer."""
    ca_path = directory / "ca.pem"
    ca_path.write_bytes(make_pem(root.certificate))
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", *options]
    command += ["-CAfile", str(ca_path), "-verify_return_error", "-verify_hostname", HOST]
    request = b"GET / HTTP/1.0\r\n\r\n"
    result = subprocess.run(command, check=False, input=request, capture_output=True, timeout=60)
    return result.stdout


@pytest.mark.parametrize("library", ["mbedtls", "wolfssl", "bearssl"])
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_request_is_answered(
    native_server: Callable[[str], Path], root: Identity, tmp_path: Path, library: str, kind: str
) -> None:
    identity = root.issue_authority(kind, "Intermediate").issue_server(kind, HOST)
    with run_native_server(native_server(library), identity, tmp_path) as server:
        assert ask(server.port, root, tmp_path).startswith(b"HTTP/1.0 200 ok\r\n\r\nxxx")
        assert server.read_report()["ended"] == "after the answer"


@pytest.mark.parametrize("library", ["mbedtls", "wolfssl"])
def test_client_is_asked_for_its_certificate(
    native_server: Callable[[str], Path], root: Identity, tmp_path: Path, library: str
) -> None:
    client = root.issue_server("ecdsa", "a client", usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    files = client.write(tmp_path / "client")
    options = ("-cert", str(files.cert_path), "-key", str(files.key_path))
    identity = root.issue_server("ecdsa", HOST)
    program = native_server(library)
    with run_native_server(program, identity, tmp_path, client_root=root) as server:
        assert ask(server.port, root, tmp_path) == b""
        assert "failed" in server.read_report()
        assert ask(server.port, root, tmp_path, *options).startswith(b"HTTP/1.0 200 ok")
        assert server.read_report()["client"].endswith("CN=a client")


@pytest.mark.parametrize("tickets", ["yes", "no"])
@pytest.mark.parametrize("library", ["mbedtls", "wolfssl"])
def test_session_is_resumed(
    native_server: Callable[[str], Path],
    root: Identity,
    tmp_path: Path,
    library: str,
    tickets: str,
) -> None:
    session_path = tmp_path / "session"
    identity = root.issue_server("ecdsa", HOST)
    program = native_server(library)
    with run_native_server(program, identity, tmp_path, f"tickets={tickets}") as server:
        assert ask(server.port, root, tmp_path, "-sess_out", str(session_path))
        assert server.read_report()["resumed"] == "no"
        assert ask(server.port, root, tmp_path, "-sess_in", str(session_path))
        assert server.read_report()["resumed"] == "yes"
    described = subprocess.run(
        ["openssl", "sess_id", "-in", str(session_path), "-noout", "-text"],
        check=True,
        capture_output=True,
        timeout=60,
    ).stdout
    assert (b"TLS session ticket:" in described) == (tickets == "yes")
