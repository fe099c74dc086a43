"""`tls.cert.auth` in each of its forms, against servers that ask who the client is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from emulated import HOST, World
from lua_steps import DER, PKCS8, TRADITIONAL, make_der, make_key_text, make_text, run_steps
from peers import run_s_server
from pki import Identity, make_authority, make_key, make_pem
from servers import Server

NO_CERTIFICATE = "the server refused with a TLS alert: handshake_failure\t-23\talert\t"
NO_CERTIFICATE += "handshake_failure"
NOT_A_PAIR = "the private key is not the certificate's"
NOT_A_KEY = "no private key that this firmware can read"
NOT_A_CERTIFICATE = "no certificate that this firmware can read"

Start = Callable[[], AbstractContextManager[Server]]


@pytest.fixture(scope="module")
def root() -> Identity:
    return make_authority("ecdsa", "Clients' root")


@pytest.fixture
def start(world: World, root: Identity, tmp_path: Path) -> Start:
    """Return what starts a server that lets in clients of the root, and nobody else."""
    ca_path = tmp_path / "clients.pem"
    ca_path.write_bytes(make_pem(root.certificate))
    options = ("-www", "-Verify", "3", "-verify_return_error", "-CAfile", str(ca_path))

    @contextmanager
    def run() -> Iterator[Server]:
        identity = world.root.issue_server("ecdsa", HOST)
        with run_s_server(identity, tmp_path / "server", *options) as server:
            yield server

    return run


def list_clients(server: Server) -> list[str]:
    """Return the names of the clients that have shown a valid certificate."""
    return re.findall(r"^depth=0 CN = (.*)\nverify return:1$", server.read_log(), re.MULTILINE)


def test_forms_of_an_rsa_key(world: World, root: Identity, start: Start) -> None:
    client = root.issue_client("rsa", "rsa client")
    script = "print(tls.cert.auth(cert, key)) print(connect(port, { resume = false }))"
    with start() as server:
        for form in (TRADITIONAL, PKCS8):
            key = make_key_text(client.key, form)
            printed = run_steps(
                world.build_dir, script, port=server.port, cert=make_text(client), key=key
            )
            assert printed == ["true", "open"]
        assert list_clients(server) == ["rsa client"] * 2


def test_forms_of_an_elliptic_curve_key(world: World, root: Identity, start: Start) -> None:
    client = root.issue_client("ecdsa", "ecdsa client")
    script = """
        for _, give in ipairs {
          function() return tls.cert.auth(cert, pkcs8) end,
          function() return tls.cert.auth(cert, sec1) end,
          function() return tls.cert.auth(cert, parameters .. sec1) end, -- as openssl writes it
          function() return tls.cert.auth(cert .. pkcs8) end,
          function() return tls.cert.auth(sec1 .. cert) end,
          function() return tls.cert.auth((cert:gsub("\\n", " ")), (pkcs8:gsub("\\n", " "))) end,
        } do
          print(give()) print(connect(port, { resume = false }))
        end
    """
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    with start() as server:
        printed = run_steps(
            world.build_dir,
            script,
            port=server.port,
            cert=make_text(client),
            pkcs8=make_key_text(client.key),
            sec1=make_key_text(client.key, TRADITIONAL),
            parameters=parameters,
        )
        assert printed == ["true", "open"] * 6
        assert list_clients(server) == ["ecdsa client"] * 6


def test_certificate_with_those_between_it_and_its_root(
    world: World, root: Identity, start: Start
) -> None:
    upper = root.issue_authority("ecdsa", "Upper")
    lower = upper.issue_authority("ecdsa", "Lower")
    client = lower.issue_client("ecdsa", "deep client")
    script = """
        local function try(...)
          print(tls.cert.auth(...)) print(connect(port, { resume = false }))
        end
        try(leaf .. lower .. upper, key)
        try(leaf, lower, upper, key)
        try(leaf .. lower, key)
        local list = { [0] = key, leaf, lower, upper }
        try(function(k) return list[k] end)
    """
    with start() as server:
        printed = run_steps(
            world.build_dir,
            script,
            port=server.port,
            leaf=make_text(client),
            lower=make_text(lower),
            upper=make_text(upper),
            key=make_key_text(client.key),
        )
        assert list_clients(server) == ["deep client"] * 3
    refused = "the server refused with a TLS alert: unknown_ca\t-23\talert\tunknown_ca"
    assert printed == ["true", "open", "true", "open", "true", refused, "true", "open"]


def test_callback_gives_der(world: World, root: Identity, start: Start) -> None:
    middle = root.issue_authority("ecdsa", "Middle")
    client = middle.issue_client("ecdsa", "der client")
    plain = serialization.NoEncryption()
    script = """
        local asked
        for _, key in ipairs { sec1, pkcs8 } do
          local list = { [0] = key, leaf, middle }
          asked = {}
          tls.cert.auth(function(k) asked[#asked + 1] = k return list[k] end)
          print(connect(port, { resume = false }))
          print(table.concat(asked, " "))
        end
        tls.cert.auth(nil)
        print(connect(port, { resume = false }))
    """
    with start() as server:
        printed = run_steps(
            world.build_dir,
            script,
            port=server.port,
            sec1=client.key.private_bytes(DER, TRADITIONAL, plain),
            pkcs8=client.key.private_bytes(DER, PKCS8, plain),
            leaf=make_der(client),
            middle=make_der(middle),
        )
        assert list_clients(server) == ["der client"] * 2
    assert printed == [*("open", "0 1 2 3") * 2, NO_CERTIFICATE]


def test_callback_that_gives_no_identity(world: World, root: Identity, start: Start) -> None:
    client = root.issue_client("ecdsa", "client")
    script = """
        local function try(...)
          local list = { ... }
          tls.cert.auth(function(k) return list[k + 1] end)
          print(connect(port))
        end
        try() try(key) try(cert) try(cert, cert) try(other, cert) try(key, cert, other)
        try(key, "rubbish") try("", cert)
        tls.cert.auth(function() end)
        print(connect(port, { auth = true }))
    """
    with start() as server:
        printed = run_steps(
            world.build_dir,
            script,
            port=server.port,
            cert=make_text(client),
            key=make_key_text(client.key),
            other=make_key_text(make_key("ecdsa")),
        )
    expected = [
        *(f"{NOT_A_CERTIFICATE}\t-43", f"{NOT_A_KEY}\t-44", f"{NOT_A_KEY}\t-44"),
        *(f"{NOT_A_PAIR}\t-45", f"{NOT_A_PAIR}\t-45"),
        *["no certificate or key in it, PEM or DER\t-39"] * 2,
        f"{NOT_A_CERTIFICATE}\t-43",
    ]
    assert printed == [
        NO_CERTIFICATE,
        *(f"credentials: {reason}\thandshake\tnil" for reason in expected),
    ]


def test_stored_identity_outlasts_a_restart(
    firmware: Path, root: Identity, start: Start, tmp_path: Path
) -> None:
    client = root.issue_client("ecdsa", "client")
    flash = ("--flash", str(tmp_path / "flash.bin"))
    script = """
        print(refuse(tls.cert.auth, true))
        print(tls.cert.auth(cert, key))
        print(tls.cert.auth(false))
        print(connect(port))
    """
    constants = {"cert": make_text(client), "key": make_key_text(client.key)}
    with start() as server:
        printed = run_steps(firmware, script, *flash, port=server.port, **constants)
        nothing = "no client certificate is stored: give one and its key to tls.cert.auth"
        assert printed == [nothing, "true", "true", NO_CERTIFICATE]
        assert list_clients(server) == []
        script = "print(connect(port)) print(tls.cert.auth(true)) print(connect(port))"
        printed = run_steps(firmware, script, *flash, port=server.port)
        assert printed == [NO_CERTIFICATE, "true", "open"]
        assert list_clients(server) == ["client"]
