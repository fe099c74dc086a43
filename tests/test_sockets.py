"""Sockets of the emulated chip, over TCP and over TLS: their methods, events and callbacks."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from emulated import GATEWAY, HOST, PRELUDE, World, run_client, run_lua
from peers import StartPeer, answer, read_to_end, run_peer, run_s_server
from pki import make_authority


@pytest.mark.parametrize("event", ["dns", "connection", "sent", "receive"])
def test_nothing_is_delivered_after_close(
    world: World, start_peer: StartPeer, module: str, event: str
) -> None:
    def serve(connection: socket.socket) -> bytes:
        connection.sendall(b"x" * 10_000)
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
    assert int(difference) < 400  # Lua gives some tables of its own back later: less is no leak
