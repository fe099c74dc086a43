"""Servers that misbehave on an open connection, and large certificates before it."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from emulated import HOST, PRELUDE, Console, World, run_client
from peers import make_tls_context, read_to_end, run_peer, run_s_server
from pki import Identity
from relay import (
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    Last,
    Record,
    Rewrite,
    alert,
    run_relay,
)
from rewrites import DATA, FINISHED, at, before, end_at, flip, leave_out
from servers import Server, run_native_server
from tls_client import HTTP_ANSWER, list_events, make_good_events

DAMAGED = "reconnection\ta damaged TLS record"
TOO_LARGE = "reconnection\tthe server sent a record larger than the receive buffer"
TRUNCATED = "disconnection\tthe server closed the connection without ending TLS"
REFUSED = "the server refused with a TLS alert"
RECEIVED = f"receive\t{HTTP_ANSWER}"


def encode(kind: int, body: bytes) -> bytes:
    return Record(kind, body).encode()


# What comes in place of data, and what Lua is told after "connection".
UNREADABLE: dict[str, tuple[Rewrite, list[str]]] = {
    "damaged data": (at(DATA, flip(20)), [DAMAGED]),
    "a damaged tag": (at(DATA, flip(-1)), [DAMAGED]),
    "a record twice": (at(DATA, lambda r: 2 * r.encode()), [RECEIVED, DAMAGED]),
    "a record left out": (leave_out(DATA), [DAMAGED]),
    "the Finished twice": (at(FINISHED, lambda r: 2 * r.encode()), [DAMAGED]),
    "text": (before(DATA, b"HTTP/1.0 500 sorry\r\n\r\n"), [DAMAGED]),
    "data that is not encrypted": (before(DATA, encode(APPLICATION_DATA, b"x" * 40)), [DAMAGED]),
    "an alert that is not encrypted": (before(DATA, alert(2, 80)), [DAMAGED]),
    "a record with nothing in it": (before(DATA, encode(APPLICATION_DATA, b"")), [DAMAGED]),
    "a record of another type": (before(DATA, encode(99, b"x" * 40)), [DAMAGED]),
    "ChangeCipherSpec": (before(DATA, encode(CHANGE_CIPHER_SPEC, b"\1")), [DAMAGED]),
    "another version": (at(DATA, lambda r: Record(r.kind, r.body, 0x0301).encode()), [DAMAGED]),
    "a record of 16 KiB": (before(DATA, encode(APPLICATION_DATA, bytes(16384))), [TOO_LARGE]),
    "a record of 64 KiB": (before(DATA, encode(APPLICATION_DATA, bytes(65535))), [TOO_LARGE]),
    "less than was announced": (at(DATA, lambda r: Last(r.encode()[:100])), [TRUNCATED]),
    "half a header": (end_at(DATA, b"\x17\x03\x03"), [TRUNCATED]),
    "the end of TCP": (end_at(DATA), [TRUNCATED]),
}


def test_what_cannot_be_read_ends_the_connection(world: World, full_port: int) -> None:
    with ExitStack() as stack:
        rewrites = [rewrite for rewrite, _ in UNREADABLE.values()]
        ports = [stack.enter_context(run_relay(full_port, rewrite)) for rewrite in rewrites]
        ports.append(world.good_port)
        *outcomes, good = list_events(world.build_dir, *((HOST, port) for port in ports))
    assert good == make_good_events(world.good_port)
    assert all(events[1].startswith("connection\t") for events in outcomes)
    told = {name: events[2:] for name, events in zip(UNREADABLE, outcomes, strict=True)}
    assert told == {name: expected for name, (_, expected) in UNREADABLE.items()}


# What the mbedTLS server does before it answers, how often, and what becomes of the answer.
ANSWERED = [RECEIVED, "disconnection\tnil"]
RARE: dict[tuple[str, int], list[str]] = {
    ("renegotiate", 1): ANSWERED,
    ("renegotiate", 50): ANSWERED,
    ("warn", 500): ANSWERED,
    ("empty", 1): ANSWERED,
    ("fail", 1): [f"reconnection\t{REFUSED}: access_denied"],
}
# mbedTLS takes three empty records in a row.
EMPTY: dict[tuple[str, int], list[str]] = {("empty", 3): ANSWERED, ("empty", 500): [DAMAGED]}
Outcomes = dict[tuple[str, int], list[str]]


@pytest.fixture
def list_outcomes(
    world: World, native_server: Callable[[str], Path], tmp_path: Path
) -> Callable[[Outcomes], Outcomes]:
    """Return a function that tells what Lua was told of servers that do these things first."""
    program = native_server("mbedtls")
    identity = world.root.issue_server("ecdsa", HOST)

    def start(what: str, times: int) -> AbstractContextManager[Server]:
        directory = tmp_path / f"{what}-{times}"
        return run_native_server(program, identity, directory, f"first={what}", f"times={times}")

    def list_all(expected: Outcomes) -> Outcomes:
        with ExitStack() as stack:
            servers = [stack.enter_context(start(*key)) for key in expected]
            told = list_events(world.build_dir, *((HOST, server.port) for server in servers))
            done = [server.read_report()["did"] for server in servers]
        assert done == [f"{what}: 0" for what, _ in expected]
        return {key: events[2:] for key, events in zip(expected, told, strict=True)}

    return list_all


def test_what_servers_rarely_do(list_outcomes: Callable[[Outcomes], Outcomes]) -> None:
    assert list_outcomes(RARE) == RARE


def test_empty_records(list_outcomes: Callable[[Outcomes], Outcomes]) -> None:
    assert list_outcomes(EMPTY) == EMPTY


WAIT_FOR_THE_END = """
    local socket = transport.createConnection()
    watch(socket, "receive", "reconnection", "disconnection")
    socket:on("connection", function(s) s:send("hello\\n") end)
    socket:connect(port, host)
"""


def test_openssl_asks_for_renegotiation(world: World, tmp_path: Path) -> None:
    identity = world.root.issue_server("ecdsa", HOST)
    with run_s_server(identity, tmp_path / "server", "-trace", "-no_tls1_3") as server:
        script_path = tmp_path / "test.lua"
        script_path.write_text(PRELUDE % ("tls", server.port) + WAIT_FOR_THE_END)
        with Console(world.build_dir, "--script", str(script_path)) as console:
            server.wait_for("^hello$")
            server.type("one\n")
            console.wait_for("receive\tone")
            server.type("r\n")
            # To be told that the chip will not is a failure for OpenSSL.
            console.wait_for(f"reconnection\t{REFUSED}: handshake_failure\n")
        assert "    HelloRequest, Length=0\n" in server.read_log()


def test_tiny_records_arrive_whole(world: World, tmp_path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(2000):
            connection.sendall(b"%d" % (number % 10))

    script = """
        local socket, total, bad = transport.createConnection(), 0, 0
        socket:on("receive", function(_, data)
          for digit in data:gmatch("%d") do
            if tonumber(digit) ~= total % 10 then bad = bad + 1 end
            total = total + 1
          end
        end)
        watch(socket, "reconnection")
        socket:on("disconnection", function(_, reason) print(total, bad, reason) end)
        socket:connect(port, host)
    """
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)
    with run_peer(serve, context) as peer:
        assert run_client(world, "tls", peer.port, script) == ["2000\t0\tnil"]


def test_server_says_goodbye_and_waits(world: World, tmp_path: Path) -> None:
    def serve(connection: socket.socket) -> bytes:
        assert isinstance(connection, ssl.SSLSocket)
        connection.sendall(connection.recv(100))
        connection.unwrap()  # returns when the chip has said goodbye, too
        rest = read_to_end(connection)
        connection.close()
        return rest + b"the end"

    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)
    with run_peer(serve, context) as peer:
        printed = run_client(world, "tls", peer.port, WAIT_FOR_THE_END)
    assert printed == ["receive\thello", "", "disconnection\tnil"]
    assert peer.received == [b"the end"]


def test_half_closed_without_a_goodbye(world: World, tmp_path: Path) -> None:
    def serve(connection: socket.socket) -> bytes:
        connection.sendall(connection.recv(100))
        connection.shutdown(socket.SHUT_WR)
        read_to_end(connection)  # what the chip still says
        connection.close()
        return b"the end"

    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)
    with run_peer(serve, context) as peer:
        printed = run_client(world, "tls", peer.port, WAIT_FOR_THE_END)
    assert printed == ["receive\thello", "", TRUNCATED]
    assert peer.received == [b"the end"]


def make_large(root: Identity, names: int) -> Identity:
    """Issue a certificate below an intermediate, with this many long names."""
    issuer = root.issue_authority("ecdsa", "Intermediate")
    return issuer.issue_server("ecdsa", HOST, *(f"n{n:02}.{'x' * 60}" for n in range(names)))


@pytest.mark.parametrize(("fragment", "records"), [(512, 8), (1000, 5), (4096, 1)])
def test_chain_that_just_fits(world: World, tmp_path: Path, fragment: int, records: int) -> None:
    options = ("-www", "-msg", "-max_send_frag", str(fragment))
    fits, too_large = (make_large(world.root, names) for names in (51, 60))
    with (
        run_s_server(fits, tmp_path / "fits", *options) as good,
        run_s_server(too_large, tmp_path / "large", *options) as bad,
    ):
        told = list_events(world.build_dir, (HOST, good.port), (HOST, bad.port))
        logs = [server.read_log() for server in (good, bad)]
    sizes = [
        int(re.findall(r"Handshake \[length (\w+)\], Certificate", log)[0], 16) for log in logs
    ]
    assert 4000 < sizes[0] <= 4096 < sizes[1]
    sent = logs[0].partition(", ServerHello\n")[2].partition(", Certificate\n")[0]
    assert sent.count("RecordHeader") == records
    assert told[0] == make_good_events(good.port)
    assert told[1][1:] == [TOO_LARGE]
