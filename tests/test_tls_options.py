"""What one connection does its own way: `tls.createConnection{...}`."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import time
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from emulated import HOST, World
from lua_steps import DER, Site, make_key_text, make_text, run_steps
from peers import make_tls_context, read_to_end, run_peer, run_s_server
from pki import Identity, make_authority, make_pem

STRANGER = "the certificate is not signed by a trusted CA\t-29\tverify\t-9984"
OTHER_NAME = "the certificate is not for this host name\t-30\tverify\t-9984"
OTHER_KEY = "the server's public key is not a pinned one\t-36\tverify\t-12288"
TIMEOUT = "no answer from the server\t-4"
SILENT = "the server stopped answering during the handshake\t-20\thandshake\tnil"


def test_own_ca_beside_the_global_one(firmware: Path, one: Site, two: Site) -> None:
    script = """
        local function try(port, options)
          options.resume = false
          print(connect(port, options))
        end
        tls.cert.verify(A)
        try(a, {}) try(b, {})
        try(b, { ca = B }) try(a, { ca = B })
        try(b, { ca = { A, B } }) try(a, { ca = { A, B } })
        try(b, { verify = false })
        tls.cert.verify(false)
        try(b, {}) try(b, { verify = true }) try(a, { verify = true }) try(b, { ca = A })
        tls.cert.verify(function() error("not asked") end)
        try(b, { ca = B }) try(b, { verify = false })
    """
    constants = {"a": one.port, "b": two.port, "A": one.ca, "B": two.ca}
    assert run_steps(firmware, script, **constants) == [
        *("open", STRANGER),
        *("open", STRANGER),
        *("open", "open"),
        "open",
        *("open", STRANGER, "open", STRANGER),
        *("open", "open"),
    ]


def test_sockets_keep_their_own_ca(firmware: Path, one: Site, two: Site) -> None:
    script = """
        local sockets = {}
        for name, ca in pairs { one = A, two = B, neither = 0 } do
          local socket = tls.createConnection(ca == 0 and { verify = false } or { ca = ca })
          socket:on("connection", function(s) s:close() resume("open") end)
          socket:on("reconnection", function(_, reason) resume(reason) end)
          sockets[name] = socket
        end
        A, B = nil, nil
        for _ = 1, 2 do
          for _, name in ipairs { "one", "two", "neither" } do
            collectgarbage()
            sockets[name]:connect(b, "server.test")
            print(name, coroutine.yield())
          end
        end
    """
    printed = run_steps(firmware, script, b=two.port, A=one.ca, B=two.ca)
    refused = "one\t" + STRANGER.partition("\t")[0]
    assert printed == [refused, "two\topen", "neither\topen"] * 2


def test_own_identity_beside_the_global_one(world: World, tmp_path: Path) -> None:
    root = make_authority("ecdsa", "Clients' root")
    (tmp_path / "clients.pem").write_bytes(make_pem(root.certificate))
    options = ("-Verify", "1", "-verify_return_error", "-CAfile", str(tmp_path / "clients.pem"))
    first, second = (root.issue_client("ecdsa", name) for name in ("first", "second"))
    script = """
        tls.cert.auth(cert1, key1)
        print(connect(port, { resume = false }))
        print(connect(port, { cert = cert2, key = key2 }))
        print(connect(port, { cert = { key2, cert2 } }))
        print(connect(port, { auth = false }))
        tls.cert.auth(false)
        print(connect(port, { auth = true, resume = false }))
    """
    identity = world.root.issue_server("ecdsa", HOST)
    with run_s_server(identity, tmp_path, "-www", *options) as server:
        printed = run_steps(
            world.build_dir,
            script,
            port=server.port,
            cert1=make_text(first),
            key1=make_key_text(first.key),
            cert2=make_text(second),
            key2=make_key_text(second.key),
        )
        log = server.read_log()
    refused = "the server refused with a TLS alert: handshake_failure\t-23\talert\t"
    assert printed == [
        *("open", "open", "open, resumed"),
        *(f"{refused}handshake_failure", "open"),
    ]
    clients = re.findall(r"^depth=0 CN = (.*)\nverify return:1$", log, re.MULTILINE)
    assert clients == ["first", "second", "first"]


def test_name_that_is_sent_and_checked(world: World, tmp_path: Path) -> None:
    script = """
        tls.cert.verify(true)
        local function try(options, host)
          options.resume = false
          print(connect(port, options, host))
        end
        try {}                                                   -- server.test is not its name
        try { server_name = "named.test" }
        try({ server_name = "named.test" }, "10.0.2.2")
        try { verify_host = false }                              -- its own name is sent
        try({ verify_host = false }, "10.0.2.2")                 -- an address is not
        try { server_name = "named.test." }
        try { server_name = false, verify_host = false }
        try { server_name = false }
        try { server_name = "named.test", verify_host = false, verify = false }
        try { server_name = "10.0.2.9" }                         -- checked, not sent
    """
    identity = world.root.issue_server("ecdsa", "named.test", "10.0.2.9")
    with run_s_server(identity, tmp_path, "-www") as server:
        printed = run_steps(world.build_dir, script, port=server.port)
        log = server.read_log()
    assert printed == [
        *(OTHER_NAME, "open", "open"),
        *("open", "open", "open", "open"),
        *(OTHER_NAME, "open", "open"),
    ]
    hellos = log.split('TLS client extension "max fragment length"')
    assert len(hellos) == 11
    names = re.findall(r"^[0-9a-f]{4} - .*00 0[0-9a-f].*$", log, re.MULTILINE)
    assert log.count('"server name"') == 6, names
    assert log.count("named.t") == 4
    assert log.count("server.") == 2


def make_pin(identity: Identity) -> bytes:
    public = identity.key.public_key()
    info = public.public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).digest()


def test_pins(firmware: Path, tmp_path: Path) -> None:
    root = make_authority("ecdsa")
    identity = root.issue_server("ecdsa", HOST)
    other_root = make_authority("ecdsa", "Another")
    right, wrong, issuer = make_pin(identity), bytes(32), make_pin(root)
    script = """
        for _, pin in ipairs { right, right:upper(), base64, "sha256//" .. base64,
                               { wrong, right }, wrong, { wrong, issuer } } do
          print(connect(port, { pin = pin }))           -- of whatever authority
          print(connect(port, { pin = pin, ca = ca, resume = false }))
        end
        print(connect(port, { pin = right, ca = other }))
        print(connect(port, { pin = right, ca = ca, server_name = "other.test" }))
        print(connect(port, { pin = right, server_name = "other.test" }))
    """
    with run_s_server(identity, tmp_path, "-www") as server:
        printed = run_steps(
            firmware,
            script,
            port=server.port,
            right=right.hex(),
            base64=base64.b64encode(right),
            wrong=wrong.hex(),
            issuer=issuer.hex(),
            ca=make_text(root),
            other=make_text(other_root),
        )
    assert printed == [
        *("open", "open"),
        *("open, resumed", "open") * 3,  # three ways to say the same
        *("open", "open"),
        *(OTHER_KEY, OTHER_KEY) * 2,
        *(STRANGER, OTHER_NAME, "open"),
    ]


def test_timeouts_of_each_stage(world: World, tmp_path: Path) -> None:
    def send_slowly(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.settimeout(0.03)
        for byte in b"\x16\x03\x03\x10\x00" + bytes(4096):
            connection.send(bytes([byte]))
            time.sleep(0.03)

    script = """
        print(connect(80, { connect_timeout = 300 }, "10.0.2.77")) -- where nobody is
        print(connect(silent, { handshake_timeout = 300, connect_timeout = 60000 }))
        print(connect(slow, { handshake_timeout = 300, idle_timeout = 60000 }))
        local socket = tls.createConnection { idle_timeout = 2000 }
        socket:on("connection", function() print("open") end)
        socket:on("receive", function(_, data) print(data) end)
        socket:on("reconnection", function(s, ...)
          print(...)
          s:on("reconnection", nil)
          s:on("disconnection", function(_, ...) resume("again", ...) end)
          s:connect(idle, "server.test")
        end)
        socket:connect(idle, "server.test")
        print(coroutine.yield())
    """
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)

    def greet(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        read_to_end(connection)

    with (
        run_peer(read_to_end) as silent,
        run_peer(send_slowly) as slow,
        run_peer(greet, context) as idle,
    ):
        ports = {"silent": silent.port, "slow": slow.port, "idle": idle.port}
        printed = run_steps(world.build_dir, script, **ports)
    assert printed == [
        f"{TIMEOUT}\ttcp\tnil",
        SILENT,
        SILENT,
        *("open", "hello", f"{TIMEOUT}\trecord\tnil"),
        *("open", "hello", f"again\t{TIMEOUT}\trecord\tnil"),
    ]
