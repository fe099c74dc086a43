"""TLS from the emulated chip to real servers: who is let in, who is not, and with what reason."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from emulated import GATEWAY, HOST, World, run_lua
from peers import Serve, answer, hold_closed_port, read_to_end, reset, run_peer, run_s_server
from pki import Identity, make_authority, make_pem
from tls_client import HTTP_ANSWER, list_events, make_good_events

DAY = timedelta(days=1)

GET = """
tls.cert.verify(true)
local socket = tls.createConnection()
local parts = {}
socket:on("connection", function(s) s:send("GET / HTTP/1.0\\r\\n\\r\\n") end)
socket:on("receive", function(_, data) parts[#parts + 1] = data end)
socket:on("disconnection", function(_, reason) print(table.concat(parts)) print(reason) end)
socket:connect(%d, "server.test")
"""


@pytest.mark.parametrize("is_direct", [True, False], ids=["direct", "intermediate"])
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_verified_request_is_answered(
    build_firmware: Callable[[Path], Path], tmp_path: Path, kind: str, *, is_direct: bool
) -> None:
    root = make_authority(kind)
    ca_path = tmp_path / "ca.crt"
    ca_path.write_bytes(make_pem(root.certificate))
    issuer = root if is_direct else root.issue_authority(kind, "Intermediate")
    with run_s_server(issuer.issue_server(kind, HOST), tmp_path / "server", "-www") as server:
        result = run_lua(build_firmware(ca_path), GET % server.port)
        log = server.read_log()
    assert result.returncode == 0
    # The answer is the server's own view of the connection.
    assert result.stdout.startswith(f"{HTTP_ANSWER}\n")
    assert re.search(r"^ +Protocol +: TLSv1\.2$", result.stdout, re.MULTILINE)
    suite = f"ECDHE-{kind.upper()}-AES256-GCM-SHA384"
    assert re.search(rf"^ +Cipher +: {suite}$", result.stdout, re.MULTILINE)
    assert result.stdout.endswith("</BODY></HTML>\n\n\nnil\n")
    assert "server name" in log
    assert f".{HOST}\n" in log


def leave_out_chain(identity: Identity) -> Identity:
    return Identity(identity.key, identity.certificate)


# What is wrong with a server that proves itself with openssl: who it is, options, the reason.
Refused = tuple[Callable[[Identity], Identity], tuple[str, ...], str]
ALERT = "the server refused with a TLS alert"
REFUSED_SERVERS: dict[str, Refused] = {
    "another CA": (
        lambda _: make_authority("ecdsa", "Another root").issue_server("ecdsa", HOST),
        (),
        "the certificate is not signed by a trusted CA",
    ),
    "another CA of the same name": (
        lambda _: make_authority("ecdsa").issue_server("ecdsa", HOST),
        (),
        "the certificate is not signed by a trusted CA",
    ),
    "self-signed": (
        lambda _: make_authority("ecdsa", HOST),
        (),
        "the certificate is not signed by a trusted CA",
    ),
    "its intermediate left out": (
        lambda root: leave_out_chain(
            root.issue_authority("ecdsa", "Intermediate").issue_server("ecdsa", HOST)
        ),
        (),
        "the certificate is not signed by a trusted CA",
    ),
    "another host": (
        lambda root: root.issue_server("ecdsa", "other.test", "1.2.3.4"),
        (),
        "the certificate is not for this host name",
    ),
    "expired": (
        lambda root: root.issue_server("ecdsa", HOST, start=-9 * DAY, end=-DAY),
        (),
        "the certificate has expired",
    ),
    "not yet valid": (
        lambda root: root.issue_server("ecdsa", HOST, start=DAY, end=9 * DAY),
        (),
        "the certificate is not valid yet",
    ),
    "a client's certificate": (
        lambda root: root.issue_server("ecdsa", HOST, usage=ExtendedKeyUsageOID.CLIENT_AUTH),
        (),
        "the certificate is not for a TLS server",
    ),
    "certificates larger than the buffer": (
        lambda root: root.issue_server("ecdsa", HOST, *(f"n{n}.{'x' * 60}" for n in range(80))),
        (),
        "the server sent a record larger than the receive buffer",
    ),
    "TLS 1.3 only": (
        lambda root: root.issue_server("ecdsa", HOST),
        ("-tls1_3",),
        f"{ALERT}: protocol_version",
    ),
    "TLS 1.1 only": (
        lambda root: root.issue_server("ecdsa", HOST),
        ("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"),
        "the server speaks no TLS version that this firmware has",
    ),
    "no cipher in common": (
        lambda root: root.issue_server("ecdsa", HOST),
        ("-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        f"{ALERT}: handshake_failure",
    ),
}


@pytest.mark.parametrize(
    ("make", "options", "reason"), REFUSED_SERVERS.values(), ids=REFUSED_SERVERS
)
def test_server_is_refused_with_its_reason(
    world: World,
    tmp_path: Path,
    make: Callable[[Identity], Identity],
    options: tuple[str, ...],
    reason: str,
) -> None:
    with run_s_server(make(world.root), tmp_path, "-www", *options) as server:
        refused, accepted = list_events(
            world.build_dir, (HOST, server.port), (HOST, world.good_port)
        )
    assert refused == [f"dns\t{GATEWAY}", f"reconnection\t{reason}"]
    assert accepted == make_good_events(world.good_port)


def greet(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.test ESMTP ready\r\n")
    read_to_end(connection)


def read_and_reset(connection: socket.socket) -> None:
    connection.recv(4096)
    reset(connection)


NOT_TLS = "the server does not speak TLS on this port"
CLOSED = "the server closed the connection during the handshake"
BROKEN_SERVERS: dict[str, tuple[Serve, str]] = {
    "plain TCP that greets": (greet, NOT_TLS),
    "plain HTTP": (answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"), NOT_TLS),
    "closes after the ClientHello": (answer(b""), CLOSED),
    "closes inside a record": (answer(b"\x16\x03\x03\x00\x7a\x02\x00"), CLOSED),
    "says goodbye after the ClientHello": (answer(b"\x15\x03\x03\x00\x02\x01\x00"), CLOSED),
    "resets after the ClientHello": (read_and_reset, "connection reset by the server"),
    "sends a fatal alert": (answer(b"\x15\x03\x03\x00\x02\x02\x50"), f"{ALERT}: internal_error"),
    "sends an alert nobody knows": (answer(b"\x15\x03\x03\x00\x02\x02\xee"), f"{ALERT}: unknown"),
    "sends a message that is none": (
        answer(b"\x16\x03\x03\x00\x7a\x02" + bytes(0x79)),
        "the server's handshake breaks the TLS protocol",
    ),
    "sends a record larger than the buffer": (
        answer(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(0x3FFC)),
        "the server sent a record larger than the receive buffer",
    ),
}


@pytest.mark.parametrize(("serve", "reason"), BROKEN_SERVERS.values(), ids=BROKEN_SERVERS)
def test_server_that_breaks_the_handshake(world: World, serve: Serve, reason: str) -> None:
    with run_peer(serve) as peer:
        broken, accepted = list_events(world.build_dir, (HOST, peer.port), (HOST, world.good_port))
    assert broken == [f"dns\t{GATEWAY}", f"reconnection\t{reason}"]
    assert accepted == make_good_events(world.good_port)


def test_nobody_listens_and_nobody_has_that_name(world: World) -> None:
    with hold_closed_port() as closed_port:
        refused, unknown, accepted = list_events(
            world.build_dir,
            (HOST, closed_port),
            ("nothing.invalid", world.good_port),
            (HOST, world.good_port),
        )
    assert refused == [f"dns\t{GATEWAY}", "reconnection\tconnection refused"]
    assert unknown == ["dns\tnil", "reconnection\thost name could not be resolved"]
    assert accepted == make_good_events(world.good_port)


def test_no_room_for_a_handshake(world: World) -> None:
    script = """
        local full
        while node.heap() > 10000 do full = { full } end
        local socket = tls.createConnection()
        socket:on("connection", function(s) print("connection") s:close() end)
        socket:on("reconnection", function(s, reason)
          print(reason)
          full = nil
          collectgarbage() collectgarbage()
          s:connect(%d, "server.test")
        end)
        socket:connect(%d, "server.test")
    """
    result = run_lua(world.build_dir, script % (world.good_port, world.good_port))
    assert (result.returncode, result.stdout) == (0, "out of memory\nconnection\n")


def test_rsa_chain_of_another_ca(world: World, tmp_path: Path) -> None:
    identity = make_authority("rsa").issue_server("rsa", HOST)
    with run_s_server(identity, tmp_path, "-www") as server:
        events = list_events(world.build_dir, (HOST, server.port))
    assert events[0][1:] == ["reconnection\tthe certificate is not signed by a trusted CA"]


def test_disconnection_tells_when_reconnection_is_not_asked_for(world: World) -> None:
    script = """
        local socket = tls.createConnection()
        socket:on("disconnection", function(_, reason) print(reason) end)
        socket:connect(%d, "server.test")
    """
    with run_peer(answer(b"")) as peer:
        result = run_lua(world.build_dir, script % peer.port)
    assert result.stdout == f"{CLOSED}\n"


def test_silent_servers_are_given_up_and_hold_up_nobody(world: World) -> None:
    script = """
        local function connect(name, module, port, host)
          local socket = module.createConnection()
          socket:on("connection", function(s) print(name) s:close() end)
          socket:on("reconnection", function(_, reason) print(name, reason) end)
          socket:connect(port, host)
        end
        connect("no TLS", tls, %d, "server.test")
        connect("no host", net, 80, "10.0.2.77")
        connect("good", tls, %d, "server.test")
    """
    with run_peer(read_to_end) as peer:
        result = run_lua(world.build_dir, script % (peer.port, world.good_port))
        assert result.stdout.splitlines() == [
            "good",
            "no host\tno answer from the server",
            "no TLS\tthe server stopped answering during the handshake",
        ]
    assert result.returncode == 0
