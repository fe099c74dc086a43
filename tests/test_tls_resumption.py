"""Sessions resumed by tickets and by IDs, and those that must never be."""

from __future__ import annotations

import re
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from emulated import HOST, World
from lua_steps import make_key_text, make_text, run_steps
from peers import answer, run_peer, run_s_server
from pki import make_authority, make_pem
from servers import Server

STRANGER = "the certificate is not signed by a trusted CA\t-29\tverify\t-9984"


@pytest.fixture(params=[(), ("-no_ticket",)], ids=["ticket", "ID"])
def server(world: World, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """Run a server that resumes sessions in one way."""
    identity = world.root.issue_server("ecdsa", HOST, "other.test", "10.0.2.2")
    with run_s_server(identity, tmp_path, "-www", *request.param) as running:
        yield running


def test_second_connection_is_resumed(world: World, server: Server) -> None:
    script = """
        tls.cert.verify(true)
        for _ = 1, 3 do
          local socket, tail, found = tls.createConnection(), "", nil
          socket:on("connection", function(s)
            print(s:info().resumed, s:info().protocol, s:info().cipher_suite)
            s:send("GET / HTTP/1.0\\r\\n\\r\\n")
          end)
          socket:on("receive", function(s, data)
            tail = tail:sub(-60) .. data
            found = found or tail:match("(%a+), TLSv1%.2, Cipher")
          end)
          socket:on("disconnection", function(_, reason) resume(found, reason) end)
          socket:connect(port, "server.test")
          print(coroutine.yield())
        end
    """
    printed = run_steps(world.build_dir, script, port=server.port)
    suite = "TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384"
    assert printed == [
        *(f"false\tTLSv1.2\t{suite}", "New\tnil"),
        *(f"true\tTLSv1.2\t{suite}", "Reused\tnil") * 2,
    ]


def test_sent_is_told_of_what_was_sent(world: World) -> None:
    script = """
        for _ = 1, 3 do
          local socket, sent = tls.createConnection(), 0
          socket:on("connection", function(s)
            print(s:info().resumed)
            tmr.create():alarm(200, tmr.ALARM_SINGLE, function()
              print("sent before", sent)
              s:send("GET / HTTP/1.0\\r\\n\\r\\n")
            end)
          end)
          socket:on("sent", function() sent = sent + 1 end)
          socket:on("disconnection", function() resume() end)
          socket:connect(port, "server.test")
          coroutine.yield()
          print("sent", sent)
        end
    """
    printed = run_steps(world.build_dir, script, port=world.good_port)
    assert printed == [
        *("false", "sent before\t0", "sent\t1"),
        *(["true", "sent before\t0", "sent\t1"] * 2),
    ]


def test_resumption_is_only_for_the_same_trust(
    firmware: Path, world: World, tmp_path: Path
) -> None:
    identity = world.root.issue_server("ecdsa", HOST, "other.test", "10.0.2.2")
    pin = "00" * 32
    script = f"""
        local function try(options, host) print(connect(port, options, host)) end
        try {{}}                              -- a session that nobody has verified
        try {{ ca = other }}
        try {{ ca = ca }}
        try {{ pin = "{pin}" }}
        try {{ ca = ca, server_name = "other.test" }}
        try {{ ca = ca, server_name = "evil.test" }}
        try({{ ca = ca }}, "10.0.2.2")
        try {{ ca = ca, verify_host = false }}
        try {{ ca = ca, resume = false }}
        tls.cert.verify(ca)
        try {{ resume = false }}
        try {{}}                              -- the same CA as a socket's own
        tls.cert.verify(other)
        try {{}}
        tls.cert.verify(function(k) return k == 1 and other or nil end)
        try {{}}
        tls.cert.verify(false)
        try {{ ca = {{ other, ca }} }}
    """
    with run_s_server(identity, tmp_path, "-www") as server:
        printed = run_steps(
            firmware,
            script,
            port=server.port,
            ca=make_text(world.root),
            other=make_text(make_authority("ecdsa", "Other")),
        )
    assert printed == [
        "open",
        *(STRANGER, "open"),
        "the server's public key is not a pinned one\t-36\tverify\t-12288",
        "open",
        "the certificate is not for this host name\t-30\tverify\t-9984",
        *("open", "open", "open"),
        *("open", "open, resumed"),
        *(STRANGER, STRANGER),
        "open",
    ]


def test_resumption_needs_all_that_was_trusted(
    firmware: Path, world: World, server: Server
) -> None:
    script = """
        for _, options in ipairs { {}, { ca = ca }, { ca = ca, verify_host = false } } do
          print(connect(port, options))
          print(connect(port, options))
        end
        print(connect(port, { ca = ca }))
        print(connect(port, { verify = false }))
        tls.cert.verify(ca)
        print(connect(port))
    """
    printed = run_steps(firmware, script, port=server.port, ca=make_text(world.root))
    assert printed == [*("open", "open, resumed") * 3, *["open, resumed"] * 3]


def test_identities_do_not_share_a_session(world: World, tmp_path: Path) -> None:
    root = make_authority("ecdsa", "Clients' root")
    (tmp_path / "clients.pem").write_bytes(make_pem(root.certificate))
    options = ("-www", "-verify", "1", "-CAfile", str(tmp_path / "clients.pem"))
    first, second = (root.issue_client("ecdsa", name) for name in ("first", "second"))
    script = """
        local one, two = { cert = cert1, key = key1 }, { cert = cert2, key = key2 }
        for _, options in ipairs { one, two, {}, one, two, {} } do print(connect(port, options)) end
    """
    identity = world.root.issue_server("ecdsa", HOST)
    with run_s_server(identity, tmp_path, *options) as server:
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
    assert printed == ["open"] * 3 + ["open, resumed"] * 3
    assert re.findall(r"^depth=0 CN = (.*)\nverify return:1$", log, re.MULTILINE) == [
        *("first", "second"),
    ]


class Forwarder:
    """Passes each connection on to the next of these ports; 0 is answered with no TLS."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = iter(ports)

    def serve(self, connection: socket.socket) -> None:
        port = next(self._ports)
        if port == 0:
            answer(b"HTTP/1.1 500 Oops\r\n\r\n")(connection)
            return
        with socket.create_connection(("127.0.0.1", port)) as server:
            while True:
                for ready in select.select([connection, server], [], [])[0]:
                    data = ready.recv(4096)
                    if not data:
                        return
                    (server if ready is connection else connection).sendall(data)


def test_server_that_knows_the_session_no_more(world: World, tmp_path: Path) -> None:
    identity = world.root.issue_server("ecdsa", HOST)
    options = {
        "ticket": (),
        "other ticket key": (),
        "ID": ("-no_ticket",),
        "no cache": ("-no_ticket", "-no_cache"),
    }
    with ExitStack() as stack:
        ports = [
            stack.enter_context(run_s_server(identity, tmp_path / name, "-www", *some)).port
            for name, some in options.items()
        ]
        order = [port for port in (*ports, ports[0]) for _ in range(2)]
        with run_peer(Forwarder(order).serve) as peer:
            script = "tls.cert.verify(true) for _ = 1, 10 do print(connect(port)) end"
            printed = run_steps(world.build_dir, script, port=peer.port)
    assert printed == [
        *("open", "open, resumed") * 3,
        *("open", "open"),  # neither tickets nor IDs
        *("open", "open, resumed"),
    ]


def test_failed_handshake_forgets_the_session(world: World) -> None:
    good = world.good_port
    script = "tls.cert.verify(true) for _ = 1, 5 do print(connect(port)) end"
    with run_peer(Forwarder([good, good, 0, good, good]).serve) as peer:
        printed = run_steps(world.build_dir, script, port=peer.port)
    broken = "the server does not speak TLS on this port\t-18\thandshake\t-29184"
    assert printed == ["open", "open, resumed", broken, "open", "open, resumed"]


def test_four_servers_are_remembered(world: World) -> None:
    script = """
        for _, name in ipairs { "a", "b", "c", "d", "a", "e", "a", "d", "c", "b" } do
          print(name, connect(good, { server_name = name .. ".test" }))
        end
    """
    assert run_steps(world.build_dir, script, good=world.good_port) == [
        *(f"{name}\topen" for name in "abcd"),
        "a\topen, resumed",
        "e\topen",  # for which b is forgotten
        *(f"{name}\topen, resumed" for name in "adc"),
        "b\topen",
    ]
