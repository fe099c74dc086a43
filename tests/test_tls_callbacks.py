"""Callbacks of a TLS socket that close it, or run out of memory."""

from __future__ import annotations

import socket
from pathlib import Path

from emulated import HOST, World, run_lua
from lua_steps import run_steps
from peers import make_tls_context, read_to_end, run_peer


def drop(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.close()


def test_nothing_is_told_after_close(world: World, tmp_path: Path) -> None:
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)

    def talk(connection: socket.socket) -> None:
        for _ in range(20):
            connection.sendall(b"x" * 500)
        drop(connection)

    script = """
        tls.cert.verify(true)
        for _, last in ipairs { "dns", "connection", "receive", "sent" } do
          collectgarbage()
          local socket, closed = tls.createConnection(), false
          for _, event in ipairs { "dns", "connection", "receive", "sent", "reconnection",
                                   "disconnection" } do
            socket:on(event, function(s)
              if closed then print("told after close", event) end
              if event == "connection" then s:send("x") end
              if event == last then
                closed = true
                s:close()
                print(last, select("#", s:getpeer()), select("#", s:info()))
                resume()
              end
            end)
          end
          socket:connect(port, "server.test")
          coroutine.yield()
          wait(20)
        end
    """
    with run_peer(talk, context) as peer:
        printed = run_steps(world.build_dir, script, port=peer.port)
    assert printed == [f"{event}\t0\t0" for event in ("dns", "connection", "receive", "sent")]


def test_info_while_the_end_is_there_already(world: World, tmp_path: Path) -> None:
    script = """
        tls.cert.verify(true)
        local socket = tls.createConnection()
        socket:on("connection", function(s) s:hold() resume() end)
        socket:on("receive", function(s, data) print(data, s:info().protocol) end)
        socket:on("disconnection", function(s, reason) print(reason, s:info()) resume() end)
        socket:connect(port, "server.test")
        coroutine.yield()
        wait(500) -- now both records are there
        socket:unhold()
        coroutine.yield()
    """
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)
    with run_peer(lambda c: c.sendall(b"hello"), context) as peer:
        printed = run_steps(world.build_dir, script, port=peer.port)
    assert printed == ["hello\tTLSv1.2", "nil"]


def test_no_memory_inside_a_callback(world: World, tmp_path: Path) -> None:
    def greet(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        read_to_end(connection)

    script = """
        tls.cert.verify(true)
        for _, event in ipairs { "dns", "connection", "receive" } do
          collectgarbage()
          local socket = tls.createConnection()
          socket:on(event, function() local x = ("x"):rep(100000) end)
          socket:on("reconnection", function(s, ...)
            print(event, ...)
            s:on(event, nil)
            s:on("receive", function(s, data) s:close() resume(data) end)
            s:connect(port, "server.test")
          end)
          socket:connect(port, "server.test")
          print(coroutine.yield())
        end
    """
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)
    with run_peer(greet, context) as peer:
        printed = run_steps(world.build_dir, script, port=peer.port)
    assert printed == [
        *("dns\tout of memory\t-6\ttcp\tnil", "hello"),
        *("connection\tout of memory\t-6\trecord\tnil", "hello"),
        *("receive\tout of memory\t-6\trecord\tnil", "hello"),
    ]


def test_no_memory_inside_a_callback_and_none_for_failures(world: World) -> None:
    script = """
        local socket = tls.createConnection { verify = false }
        socket:on("connection", function() local x = ("x"):rep(100000) end)
        socket:connect(%d, "server.test")
    """
    result = run_lua(world.build_dir, script % world.good_port)
    assert result.returncode == 1
    assert "not enough memory" in result.stdout


def test_no_memory_for_the_handshake(world: World) -> None:
    script = """
        local full
        local function fill(free) while node.heap() > free do full = { full } end end
        for _, free in ipairs { 16000, 9000, 4000 } do
          fill(free)
          local outcome = { connect(good) } -- mbedTLS's result depends on where it was
          print(unpack(outcome, 1, 3))
          full = nil
          collectgarbage() collectgarbage()
          print(connect(good, { resume = false }))
        end
    """
    printed = run_steps(world.build_dir, script, good=world.good_port)
    assert printed == ["out of memory\t-16\thandshake", "open"] * 3
