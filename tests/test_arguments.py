"""What sockets of the emulated chip refuse: methods out of order, arguments that are wrong."""

from __future__ import annotations

from pathlib import Path

from emulated import GATEWAY, World, run_client, run_lua


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
        print(type(net.createConnection(net.TCP, false)))
    """
    result = run_lua(firmware, script)
    assert result.stdout.splitlines() == [
        "bad argument #1 to '?' (only net.TCP connections can be created)",
        "bad argument #2 to '?' (use tls.createConnection() for TLS)",
        "userdata",
    ]
