"""Sockets that are held: what comes in for them takes few of lwIP's receive buffers."""

from __future__ import annotations

import socket
import time

import pytest
from emulated import World, run_client
from peers import run_peer

TOTAL = 20_000  # several windows
PATTERN = bytes(n % 251 for n in range(TOTAL))


@pytest.mark.parametrize(("size", "paced"), [(1, 600), (750, 16), (1000, 12), (1460, 8)])
def test_held_socket_leaves_buffers_to_others(world: World, size: int, paced: int) -> None:
    """The peer fills the window with segments of one size; the rest follows when there is room."""

    def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, TOTAL, size):
            connection.sendall(PATTERN[start : start + size])
            if start < paced * size:
                time.sleep(0.001)  # or else the emulator's network makes one segment of several

    script = """
        local held, count, good = net.createConnection(), 0, true
        held:on("connection", function(s) s:hold() end)
        held:on("receive", function(_, data)
          for n = 1, #data do good = good and data:byte(n) == (count + n - 1) % 251 end
          count = count + #data
        end)
        held:on("disconnection", function(_, reason) print(count, good, reason) end)
        held:connect(port, host)
        local turns = 0
        local function other()
          turns = turns + 1
          if turns > 3 then print("held", count) return held:unhold() end
          local socket = tls.createConnection()
          socket:on("connection", function(s) s:send("GET / HTTP/1.0\\r\\n\\r\\n") end)
          socket:on("receive", function(s, data)
            print("answer", data:sub(1, 4))
            s:close()
            other()
          end)
          watch(socket, "reconnection")
          socket:connect(GOOD, host)
        end
        tmr.create():alarm(1000, tmr.ALARM_SINGLE, other)
    """
    with run_peer(serve) as peer:
        printed = run_client(world, "net", peer.port, script.replace("GOOD", str(world.good_port)))
    assert printed == [*(["answer\tHTTP"] * 3), "held\t0", f"{TOTAL}\ttrue\tnil"]
