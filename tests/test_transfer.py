"""Data through sockets of the emulated chip, over TCP and over TLS: all of it, in order, once."""

from __future__ import annotations

import socket

from emulated import World, run_client
from peers import StartPeer, read_to_end, reset


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


def test_close_still_sends_what_was_queued(
    world: World, start_peer: StartPeer, module: str
) -> None:
    script = """
        local socket = transport.createConnection()
        watch(socket, "sent", "disconnection", "reconnection")
        socket:on("connection", function(s)
          for number = 0, 9 do s:send(("%04d "):format(number) .. ("x"):rep(1019)) end
          s:close()
          print("peer", s:getpeer())
        end)
        socket:connect(port, host)
    """
    with start_peer(read_to_end) as peer:
        assert run_client(world, module, peer.port, script) == ["peer"]
    assert peer.received == [b"".join(b"%04d " % number + b"x" * 1019 for number in range(10))]


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


def test_hold_outlasts_the_end(world: World, start_peer: StartPeer, module: str) -> None:
    def send_and_drop(connection: socket.socket) -> None:
        connection.sendall(b"x" * 3000)
        connection.close()

    script = """
        local socket, total, held = transport.createConnection(), 0, false
        socket:on("receive", function(s, data)
          total = total + #data
          if held then print("received while held") end
          held = true
          s:hold()
          tmr.create():alarm(100, tmr.ALARM_SINGLE, function() held = false s:unhold() end)
        end)
        socket:on("disconnection", function() print(total) end)
        socket:connect(port, host)
    """
    with start_peer(send_and_drop) as peer:
        assert run_client(world, module, peer.port, script) == ["3000"]


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
