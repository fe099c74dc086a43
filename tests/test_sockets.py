"""Sockets of the emulated chip, over TCP and over TLS: methods, events, data both ways."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from emulated import GATEWAY, HOST, World, run_lua
from peers import Peer, Serve, answer, make_tls_context, read_to_end, reset, run_peer, run_s_server
from pki import make_authority

StartPeer = Callable[[Serve], AbstractContextManager[Peer]]


@pytest.fixture(params=["net", "tls"])
def module(request: pytest.FixtureRequest) -> str:
    """Name the Lua module whose sockets the test uses."""
    return str(request.param)


@pytest.fixture
def start_peer(world: World, tmp_path: Path, module: str) -> StartPeer:
    """Return a function that serves with plain sockets or, for `tls`, with trusted TLS ones."""
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)

    @contextmanager
    def start(serve: Serve) -> Iterator[Peer]:
        with run_peer(serve, context if module == "tls" else None) as peer:
            yield peer

    return start


# `transport`, `port` and `note(event)`, a callback that prints its event and data.
PRELUDE = """
local transport, port, host = %s, %d, "server.test"
local function note(event)
  return function(_, data) print(event, data) end
end
local function watch(socket, ...)
  for _, event in ipairs { ... } do socket:on(event, note(event)) end
end
tls.cert.verify(true)
"""


def run_client(world: World, module: str, port: int, script: str) -> list[str]:
    """Run a script that must end by itself and return what it prints."""
    result = run_lua(world.build_dir, PRELUDE % (module, port) + script)
    assert result.returncode == 0, result.stdout
    assert result.stderr == ""
    return result.stdout.splitlines()


def make_lines(count: int) -> bytes:
    return b"".join(b"%08d the quick brown fox jumps over the lazy dog\n" % n for n in range(count))


# Checks every byte of make_lines() as it comes in.
CHECK_LINES = """
local rest, count, bad = "", 0, 0
local function check(_, data)
  rest = rest .. data
  for line in rest:gmatch("[^\\n]*\\n") do
    local good = ("%08d the quick brown fox jumps over the lazy dog\\n"):format(count)
    if line ~= good then bad = bad + 1 end
    count = count + 1
  end
  rest = rest:match("[^\\n]*$")
end
"""


def test_download_arrives_whole_and_in_order(
    world: World, start_peer: StartPeer, module: str
) -> None:
    script = """
        local socket = transport.createConnection()
        socket:on("receive", check)
        socket:on("disconnection", function(_, reason) print(count, bad, #rest, reason) end)
        socket:connect(port, host)
    """
    lines = make_lines(2000)  # 100 KB: many records, many windows
    with start_peer(lambda c: c.sendall(lines)) as peer:
        printed = run_client(world, module, peer.port, CHECK_LINES + script)
    assert printed == ["2000\t0\t0\tnil"]


def test_upload_arrives_whole_and_in_order(
    world: World, start_peer: StartPeer, module: str
) -> None:
    script = """
        local socket = transport.createConnection()
        local filler, large = ("x"):rep(1019), ("y"):rep(4500) -- two records
        collectgarbage()
        watch(socket, "reconnection")
        socket:on("connection", function(s)
          for number = 0, 19 do s:send(("%04d "):format(number)) s:send(filler) end
        end)
        socket:on("sent", function(s)
          print("sent")
          s:on("sent", function(s) print("sent again") s:close() end)
          s:send(large)
        end)
        socket:connect(port, host)
    """
    with start_peer(read_to_end) as peer:
        printed = run_client(world, module, peer.port, script)
    assert printed == ["sent", "sent again"]
    expected = b"".join(b"%04d " % number + b"x" * 1019 for number in range(20)) + b"y" * 4500
    assert peer.received == [expected]


def test_sent_is_told_once_when_everything_is_sent(
    world: World, start_peer: StartPeer, module: str
) -> None:
    def serve(connection: socket.socket) -> bytes:
        received = b""
        while not received.endswith(b"."):
            received += connection.recv(4096)
        connection.sendall(b"got it")
        return received + read_to_end(connection)

    script = """
        local socket, filler = transport.createConnection(), ("x"):rep(1000)
        watch(socket, "sent")
        socket:on("connection", function(s)
          for _ = 1, 9 do s:send(filler) end
          s:send(".")
        end)
        socket:on("receive", function(s, data)
          print(data)
          tmr.create():alarm(200, tmr.ALARM_SINGLE, function() s:close() end)
        end)
        socket:connect(port, host)
    """
    with start_peer(serve) as peer:
        printed = run_client(world, module, peer.port, script)
    assert sorted(printed) == ["got it", "sent\tnil"]  # whichever the chip hears of first
    assert [len(data) for data in peer.received] == [9001]


def test_conversation(world: World, start_peer: StartPeer, module: str) -> None:
    def echo(connection: socket.socket) -> None:
        while data := connection.recv(4096):
            connection.sendall(data.upper())

    script = """
        local socket, round = transport.createConnection(), 0
        local function say(s) round = round + 1 s:send("round " .. round) end
        socket:on("connection", say)
        socket:on("receive", function(s, data)
          print(data)
          if round < 20 then say(s) else s:close() end
        end)
        socket:connect(port, host)
    """
    with start_peer(echo) as peer:
        printed = run_client(world, module, peer.port, script)
    assert printed == [f"ROUND {number}" for number in range(1, 21)]


def test_hold_stops_the_data_until_unhold(world: World, start_peer: StartPeer, module: str) -> None:
    script = """
        local socket, held = transport.createConnection(), false
        socket:on("receive", function(s, data)
          if held then print("received while held") end
          check(s, data)
          if count >= 100 and held == false then
            held = true
            s:hold()
            tmr.create():alarm(300, tmr.ALARM_SINGLE, function() held = nil s:unhold() end)
          end
        end)
        socket:on("disconnection", function(_, reason) print(count, bad, #rest, reason, held) end)
        socket:connect(port, host)
    """
    lines = make_lines(600)
    with start_peer(lambda c: c.sendall(lines)) as peer:
        printed = run_client(world, module, peer.port, CHECK_LINES + script)
    assert printed == ["600\t0\t0\tnil\tnil"]


@pytest.mark.parametrize("event", ["dns", "connection", "sent", "receive"])
def test_nothing_is_delivered_after_close(
    world: World, start_peer: StartPeer, module: str, event: str
) -> None:
    def serve(connection: socket.socket) -> bytes:
        connection.sendall(make_lines(200))
        return read_to_end(connection)

    script = """
        local socket = transport.createConnection()
        watch(socket, "dns", "connection", "sent", "receive", "disconnection", "reconnection")
        local function close(s)
          for _, event in ipairs { "dns", "connection", "sent", "receive" } do
            s:on(event, note("after close: " .. event))
          end
          print("close", s:close())
          print("peer", s:getpeer())
          tmr.create():alarm(300, tmr.ALARM_SINGLE, function() print("quiet") end)
        end
        if EVENT == "sent" then
          socket:on("connection", function(s) s:hold() s:send("x") end)
        elseif EVENT == "receive" then
          socket:on("connection", nil)
        end
        socket:on("dns", nil)
        socket:on(EVENT, close)
        socket:connect(port, host)
    """
    with start_peer(serve) as peer:
        printed = run_client(world, module, peer.port, script.replace("EVENT", f'"{event}"'))
    assert printed == ["close", "peer", "quiet"]


def test_nothing_is_delivered_after_close_of_a_name_that_failed(world: World) -> None:
    script = """
        local socket = net.createConnection()
        watch(socket, "reconnection", "disconnection")
        socket:on("dns", function(s, ip) print("dns", ip) s:close() end)
        socket:connect(80, "nothing.invalid")
    """
    assert run_client(world, "net", 0, script) == ["dns\tnil"]


def test_socket_connects_again(world: World, start_peer: StartPeer, module: str) -> None:
    script = """
        local socket, turns = transport.createConnection(), 0
        socket:on("receive", function(_, data) print(data) end)
        socket:on("disconnection", function(s, reason)
          turns = turns + 1
          print(turns, reason, s:getpeer())
          if turns < 3 then s:connect(port, host) end
        end)
        socket:connect(port, host)
    """
    with start_peer(lambda c: c.sendall(b"hello")) as peer:
        printed = run_client(world, module, peer.port, script)
    assert printed == ["hello", "1\tnil", "hello", "2\tnil", "hello", "3\tnil"]


def test_connecting_again_from_the_callback_of_the_failure(world: World, module: str) -> None:
    script = """
        local socket = transport.createConnection()
        socket:on("dns", function(s, ip)
          print("dns", ip)
          if not ip then s:connect(port, host) end
        end)
        socket:on("connection", function(s) print("connection") s:close() end)
        watch(socket, "reconnection")
        socket:connect(80, "nothing.invalid")
    """
    printed = run_client(world, module, world.good_port, script)
    assert printed == ["dns\tnil", f"dns\t{GATEWAY}", "connection"]


def test_several_sockets_at_once(world: World, start_peer: StartPeer, module: str) -> None:
    script = """
        for number = 1, COUNT do
          local socket = transport.createConnection()
          socket:on("receive", function(_, data) print(number, data) end)
          socket:on("disconnection", function(_, reason) print(number, reason) end)
          socket:connect(port, host)
        end
        collectgarbage()
    """
    count = 6 if module == "net" else 2  # a TLS connection takes 12 KB of heap
    with start_peer(lambda c: c.sendall(b"hello")) as peer:
        printed = run_client(world, module, peer.port, script.replace("COUNT", str(count)))
    numbers = range(1, count + 1)
    assert sorted(printed) == sorted(
        [f"{n}\thello" for n in numbers] + [f"{n}\tnil" for n in numbers]
    )


def test_methods_out_of_order(world: World, module: str) -> None:
    script = """
        local function try(f, ...) print((select(2, pcall(f, ...)))) end
        local socket = transport.createConnection()
        print("closed", socket:getpeer())
        try(socket.send, socket, "x")
        socket:close()
        socket:on("connection", function(s)
          print("open", s:getpeer())
          try(s.connect, s, port, host)
          s:close()
          s:close()
          try(s.send, s, "x")
        end)
        socket:connect(port, host)
        try(socket.connect, socket, port, host)
        try(socket.send, socket, "x")
    """
    printed = run_client(world, module, world.good_port, script)
    connected = "socket is already connected or connecting: close it first"
    assert printed == [
        "closed",
        "socket is not connected",
        connected,
        "socket is not connected",
        f"open\t{GATEWAY}\t{world.good_port}",
        connected,
        "socket is not connected",
    ]


def test_wrong_arguments_are_named(world: World, module: str) -> None:
    script = """
        local function try(f, ...) print((select(2, pcall(f, ...)))) end
        local s = transport.createConnection()
        try(s.connect, s)
        try(s.connect, s, "https", host)
        try(s.connect, s, 0, host)
        try(s.connect, s, 65536, host)
        try(s.connect, s, 80.5, host)
        try(s.connect, s, 0/0, host)
        try(s.connect, s, 443)
        try(s.connect, s, 443, "")
        try(s.connect, s, 443, ("x"):rep(254))
        try(s.connect, s, 443, "a\\0b")
        try(s.on, s, "open", print)
        try(s.on, s, "receive", "print")
        try(s.send, s)
        try(s.send, s, {})
        try(s.send, "socket", "x")
        try(s.send)
        try(s.close, tmr.create())
        try(s.close, newproxy(true))
        try(s.on, io)
        print(s:on("receive", print), s:on("receive", nil), s:on("receive"))
    """
    host = "bad argument #3 to '?'"
    port = "bad argument #2 to '?' (port must be a whole number from 1 to 65535)"
    assert run_client(world, module, 1, script) == [
        "bad argument #2 to '?' (number expected, got no value)",
        "bad argument #2 to '?' (number expected, got string)",
        *([port] * 4),
        f"{host} (string expected, got no value)",
        f"{host} (host name must have 1 to 253 characters)",
        f"{host} (host name must have 1 to 253 characters)",
        f"{host} (host name holds a zero byte)",
        "bad argument #2 to '?' (invalid option 'open')",
        "bad argument #3 to '?' (function expected, got string)",
        "bad argument #2 to '?' (string expected, got no value)",
        "bad argument #2 to '?' (string expected, got table)",
        "bad argument #1 to '?' (socket expected, got string)",
        "bad argument #1 to '?' (socket expected, got no value)",
        "bad argument #1 to '?' (socket expected, got userdata)",
        "bad argument #1 to '?' (socket expected, got userdata)",
        "bad argument #1 to '?' (socket expected, got nil)",
        "nil\tnil",
    ]


def test_sockets_of_the_other_kind(firmware: Path) -> None:
    script = """
        local ok, message = pcall(net.createConnection, 2)
        print(message)
        print(select(2, pcall(net.createConnection, net.TCP, true)))
        print(select(2, pcall(tls.cert.verify, "yes")))
        print(select(2, pcall(tls.cert.verify)))
        print(type(net.createConnection(net.TCP, false)))
    """
    result = run_lua(firmware, script)
    assert result.stdout.splitlines() == [
        "bad argument #1 to '?' (only net.TCP connections can be created)",
        "bad argument #2 to '?' (use tls.createConnection() for TLS)",
        "bad argument #1 to '?' (boolean expected, got string)",
        "bad argument #1 to '?' (boolean expected, got no value)",
        "userdata",
    ]


def test_socket_that_nobody_refers_to_lives_while_connected(
    world: World, start_peer: StartPeer, module: str
) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(10)
        connection.sendall(b"still there")

    script = """
        do
          local socket = transport.createConnection()
          socket:on("connection", function(s)
            collectgarbage() collectgarbage()
            s:send("x")
          end)
          watch(socket, "receive")
          socket:connect(port, host)
        end
        collectgarbage() collectgarbage()
    """
    with start_peer(serve) as peer:
        printed = run_client(world, module, peer.port, script)
    assert printed == ["receive\tstill there"]


def test_error_in_a_callback_ends_the_script(
    world: World, start_peer: StartPeer, module: str
) -> None:
    script = """
        local socket = transport.createConnection()
        socket:on("receive", function(_, data) error("cannot bear " .. data) end)
        socket:connect(port, host)
    """
    with start_peer(lambda c: c.sendall(b"this")) as peer:
        result = run_lua(world.build_dir, PRELUDE % (module, peer.port) + script)
    assert result.returncode == 1
    first, second, third, *_ = result.stdout.splitlines()
    assert first.endswith("test.lua:12: cannot bear this")
    assert (second, third) == ("stack traceback:", "\t[C]: in function 'error'")


def test_cut_off_is_told_from_the_end(world: World, start_peer: StartPeer, module: str) -> None:
    def drop(connection: socket.socket) -> None:
        connection.sendall(b"the last words")
        connection.close()  # TCP ends, TLS does not

    script = """
        local socket = transport.createConnection()
        watch(socket, "receive", "reconnection", "disconnection")
        socket:connect(port, host)
    """
    reason = "nil" if module == "net" else "the server closed the connection without ending TLS"
    with start_peer(drop) as peer:
        printed = run_client(world, module, peer.port, script)
    assert printed == ["receive\tthe last words", f"disconnection\t{reason}"]
    with start_peer(lambda c: c.sendall(b"goodbye")) as peer:
        printed = run_client(world, module, peer.port, script)
    assert printed == ["receive\tgoodbye", "disconnection\tnil"]


def test_reset_of_an_open_connection(world: World, start_peer: StartPeer, module: str) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"ready?")
        connection.recv(100)
        reset(connection)

    script = """
        local socket = transport.createConnection()
        socket:on("receive", function(s) s:send("yes") end)
        watch(socket, "reconnection", "disconnection")
        socket:connect(port, host)
    """
    with start_peer(serve) as peer:
        printed = run_client(world, module, peer.port, script)
    assert printed == ["reconnection\tconnection reset by the server"]


def test_no_room_for_what_comes_in(world: World, start_peer: StartPeer, module: str) -> None:
    def serve(connection: socket.socket) -> bytes:
        connection.recv(10)
        connection.sendall(make_lines(30))
        return read_to_end(connection)

    script = """
        local socket, full = transport.createConnection()
        socket:on("connection", function(s)
          while node.heap() > 1500 do full = { full } end
          s:send("x")
        end)
        socket:on("reconnection", function(s, reason)
          full = nil
          collectgarbage() collectgarbage()
          print(reason)
          s:on("connection", function(s) print("again") s:close() end)
          s:connect(port, host)
        end)
        socket:connect(port, host)
    """
    with start_peer(serve) as peer:
        printed = run_client(world, module, peer.port, script)
    assert printed == ["out of memory", "again"]


@pytest.mark.parametrize("moment", [0, 30])
def test_close_while_connecting(world: World, moment: int) -> None:
    script = """
        local _ = net.TCP, tls.cert, tmr.now, node.heap -- a library takes its heap at first use
        local function measure() collectgarbage() collectgarbage() return node.heap() end
        local function try(module, name, port, again)
          local before, socket = measure(), module.createConnection()
          watch(socket, "connection", "reconnection", "disconnection")
          socket:connect(port, name)
          local function stop()
            socket:close()
            socket = nil
            tmr.create():alarm(50, tmr.ALARM_SINGLE, function()
              print(name, before - measure() < 300)
              if again then again() end
            end)
          end
          if MOMENT == 0 then stop() else tmr.create():alarm(MOMENT, tmr.ALARM_SINGLE, stop) end
        end
        try(tls, host, port, function()
          try(net, "10.0.2.77", 80, function()
            try(tls, "nothing.invalid", 443)
          end)
        end)
    """
    with run_peer(read_to_end) as peer:
        printed = run_client(world, "tls", peer.port, script.replace("MOMENT", str(moment)))
    assert printed[:2] == [f"{HOST}\ttrue", "10.0.2.77\ttrue"]
    assert printed[-1] == "nothing.invalid\ttrue"  # the failure may have come first


def test_heap_comes_back(world: World, tmp_path: Path) -> None:
    script = """
        local ports, turns, before = { %d, %d, %d }, 0
        local function measure()
          collectgarbage() collectgarbage()
          return node.heap()
        end
        local function turn()
          turns = turns + 1
          if turns == 4 then before = measure() end
          if turns > 24 then return print(before - measure()) end
          local socket = tls.createConnection()
          socket:on("connection", function(s)
            s:close()
            tmr.create():alarm(1, tmr.ALARM_SINGLE, turn)
          end)
          socket:on("reconnection", turn)
          socket:connect(ports[turns %% 3 + 1], host)
        end
        turn()
    """
    stranger = make_authority("ecdsa", "Another root").issue_server("ecdsa", HOST)
    with run_s_server(stranger, tmp_path, "-www") as refused, run_peer(answer(b"")) as broken:
        ports = (world.good_port, refused.port, broken.port)
        (difference,) = run_client(world, "tls", 0, script % ports)
    assert abs(int(difference)) < 400
