"""Failures of a TLS socket: each told once, with reason, number, stage and detail."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from emulated import HOST, World
from lua_steps import run_steps
from peers import (
    Serve,
    answer,
    hold_closed_port,
    make_tls_context,
    read_to_end,
    reset,
    run_peer,
    run_s_server,
)
from pki import make_authority

CLOSED = "the server closed the connection during the handshake"
ALERT = "the server refused with a TLS alert"
TRUNCATED = "the server closed the connection without ending TLS"


@dataclass(frozen=True)
class Case:
    """How a server fails the client, which sends one byte when it can, and what Lua is told."""

    serve: Serve
    told: str
    in_tls: bool = False
    event: str = "reconnection"


def read_and_reset(connection: socket.socket) -> None:
    connection.recv(4096)
    reset(connection)


def send_below_tls(data: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        os.write(connection.fileno(), data)
        read_below_tls(connection)

    return serve


def read_below_tls(connection: socket.socket) -> None:
    while os.read(connection.fileno(), 4096):
        pass
    connection.close()


def drop(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.close()


# By stage; the two of "verify" and those before it are below.
CASES = {
    "not TLS": Case(
        answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "the server does not speak TLS on this port\t-18\thandshake\t-29184",
    ),
    "closed": Case(answer(b""), f"{CLOSED}\t-19\thandshake\t-29312"),
    "closed inside a record": Case(
        answer(b"\x16\x03\x03\x00\x7a\x02\x00"), f"{CLOSED}\t-19\thandshake\t-29312"
    ),
    "says goodbye": Case(
        answer(b"\x15\x03\x03\x00\x02\x01\x00"), f"{CLOSED}\t-19\thandshake\t-30848"
    ),
    "reset": Case(read_and_reset, "connection reset by the server\t-3\thandshake\tnil"),
    "nonsense": Case(
        answer(b"\x16\x03\x03\x00\x7a\x02" + bytes(0x79)),
        "the server's handshake breaks the TLS protocol\t-21\thandshake\t-29440",
    ),
    "too large": Case(
        answer(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(0x3FFC)),
        "the server sent a record larger than the receive buffer\t-24\thandshake\t-28928",
    ),
    "alert": Case(
        answer(b"\x15\x03\x03\x00\x02\x02\x50"),
        f"{ALERT}: internal_error\t-23\talert\tinternal_error",
    ),
    "alert of a number that has no name": Case(
        answer(b"\x15\x03\x03\x00\x02\x02\xee"), f"{ALERT}: unknown\t-23\talert\tunknown"
    ),
    "closed later": Case(
        drop, f"{TRUNCATED}\t-26\trecord\tnil", in_tls=True, event="disconnection"
    ),
    "reset later": Case(
        read_and_reset, "connection reset by the server\t-3\trecord\tnil", in_tls=True
    ),
    "damaged later": Case(
        send_below_tls(b"\x17\x03\x03\x00\x30" + bytes(48)),
        "a damaged TLS record\t-25\trecord\t-29056",
        in_tls=True,
    ),
    "not TLS later": Case(
        send_below_tls(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "a damaged TLS record\t-25\trecord\t-29184",
        in_tls=True,
    ),
    "too large later": Case(
        send_below_tls(b"\x17\x03\x03\x40\x00" + bytes(0x4000)),
        "the server sent a record larger than the receive buffer\t-24\trecord\t-28928",
        in_tls=True,
    ),
}

# Fails, waits a little for what must not come, and connects again; `events` are listened to.
SCRIPT = """
tls.cert.verify(true)
local function try(port, host, ...)
  collectgarbage()
  local socket, told = tls.createConnection(), 0
  socket:on("connection", function(s) s:send("x") end)
  for _, event in ipairs { ... } do
    socket:on(event, function(s, ...)
      told = told + 1
      print(s == socket, event, ...)
      if told == 1 then resume() end
    end)
  end
  socket:connect(port, host)
  coroutine.yield()
  wait(20)
  socket:on("connection", function(s) s:close() resume("open") end)
  socket:connect(good, "server.test")
  print(coroutine.yield(), told)
end
"""


Servers = dict[str, tuple[int, str, str, str]]


@pytest.fixture
def servers(world: World, tmp_path: Path) -> Iterator[Servers]:
    """Start all servers; return for each port, host, event and what is told."""
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)
    stranger = make_authority("ecdsa", "Stranger").issue_server("ecdsa", HOST)
    untrusted = "the certificate is not signed by a trusted CA\t-29\tverify\t-9984"
    no_name = "host name could not be resolved\t-1\tdns\tnil"
    with ExitStack() as stack:
        found = {
            "no such name": (world.good_port, "nothing.invalid", "reconnection", no_name),
            "nobody listens": (
                stack.enter_context(hold_closed_port()),
                HOST,
                "reconnection",
                "connection refused\t-2\ttcp\tnil",
            ),
            "a stranger": (
                stack.enter_context(run_s_server(stranger, tmp_path / "s", "-www")).port,
                HOST,
                "reconnection",
                untrusted,
            ),
        }
        for name, case in CASES.items():
            peer = stack.enter_context(run_peer(case.serve, context if case.in_tls else None))
            found[name] = (peer.port, HOST, case.event, case.told)
        yield found


def list_told(world: World, servers: Servers, *events: str) -> dict[str, tuple[str, ...]]:
    """Connect to each server, listening to these events; return for each the lines printed."""
    listen = ", ".join(f'"{event}"' for event in events)
    calls = [f'try({port}, "{host}", {listen})' for port, host, _, _ in servers.values()]
    printed = run_steps(world.build_dir, SCRIPT + "\n".join(calls), good=world.good_port)
    return dict(zip(servers, zip(printed[::2], printed[1::2], strict=True), strict=True))


def test_each_failure_is_told_once(world: World, servers: Servers) -> None:
    assert list_told(world, servers, "reconnection", "disconnection") == {
        name: (f"true\t{event}\t{text}", "open\t1") for name, (_, _, event, text) in servers.items()
    }


def test_disconnection_tells_where_nothing_listens_to_reconnection(
    world: World, servers: Servers
) -> None:
    names = ("no such name", "nobody listens", "closed", "a stranger", "alert", "closed later")
    some = {name: servers[name] for name in (*names, "damaged later")}
    assert list_told(world, some, "disconnection") == {
        name: (f"true\tdisconnection\t{text}", "open\t1") for name, (_, _, _, text) in some.items()
    }


def break_record(context: ssl.SSLContext) -> Serve:
    """Damage what the client sends, so that the server tells it so, inside TLS."""

    def serve(connection: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        for step in (tls.do_handshake, tls.read):
            while True:
                try:
                    step()
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    data = bytearray(connection.recv(4096))
                    data[-1] ^= step == tls.read
                    incoming.write(data)
                except ssl.SSLError:
                    connection.sendall(outgoing.read())
                    read_to_end(connection)
                    return
                else:
                    break
            connection.sendall(outgoing.read())

    return serve


def test_alert_on_an_open_connection(world: World, tmp_path: Path) -> None:
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)
    script = SCRIPT + 'try(port, "server.test", "reconnection", "disconnection")'
    with run_peer(break_record(context)) as peer:
        printed = run_steps(world.build_dir, script, port=peer.port, good=world.good_port)
    told = f"{ALERT}: bad_record_mac\t-23\talert\tbad_record_mac"
    assert printed == [f"true\treconnection\t{told}", "open\t1"]


def test_clean_end_passes_the_socket_and_nil(world: World, tmp_path: Path) -> None:
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)
    script = SCRIPT + 'try(port, "server.test", "reconnection", "disconnection")'
    with run_peer(answer(b""), context) as peer:
        printed = run_steps(world.build_dir, script, port=peer.port, good=world.good_port)
    assert printed == ["true\tdisconnection\tnil", "open\t1"]
