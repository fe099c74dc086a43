"""The firmware on the mbedTLS that NodeMCU firmware ships with."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from emulated import HOST, World
from lua_steps import make_text, run_steps
from peers import run_s_server

OLD = '[mbedtls]\nversion = "2.16.3"\n[tls]\nkeep_peer_certificate = true\n'
OTHER_KEY = "the server's public key is not a pinned one\t-36\tverify\t-12288"


@pytest.fixture(scope="module")
def build_dir(build_profile: Callable[[str], Path]) -> Path:
    return build_profile(OLD)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_trust_pins_and_resumption(
    build_dir: Path, world: World, tmp_path: Path, kind: str
) -> None:
    identity = world.root.issue_server(kind, HOST)
    key = identity.certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = """
        print(connect(port, { ca = ca }))
        print(connect(port, { ca = ca }))
        print(connect(port, { pin = pin, resume = false }))
        print(connect(port, { pin = wrong, resume = false }))
        print((connect(port, { ca = ca, server_name = "other.test", resume = false })))
    """
    with run_s_server(identity, tmp_path, "-www", "-no_tls1_3") as server:
        printed = run_steps(
            build_dir,
            body,
            port=server.port,
            ca=make_text(world.root),
            pin=sha256(key).hexdigest(),
            wrong="00" * 32,
        )
    assert printed[:4] == ["open", "open, resumed", "open", OTHER_KEY]
    assert "name" in printed[4]
