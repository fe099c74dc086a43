"""A Lua client that connects to servers in turn and tells what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emulated import GATEWAY, run_lua

HTTP_ANSWER = "HTTP/1.0 200 ok"


# Connects to each server of the list in turn and prints what happened, and nothing else.
CLIENT = """
local servers = ([[%s]]):gmatch("(%%S+),(%%d+)")
local function next_server()
  local host, port = servers()
  if not host then return end
  local socket = tls.createConnection()
  local first = true
  socket:on("dns", function(_, ip) print("dns", ip) end)
  socket:on("connection", function(s)
    print("connection", s:getpeer())
    s:send("GET / HTTP/1.0\\r\\n\\r\\n")
  end)
  socket:on("receive", function(_, data)
    if first then print("receive", data:match("[^\\r\\n]*")) end
    first = false
  end)
  for _, event in ipairs { "reconnection", "disconnection" } do
    socket:on(event, function(_, reason) print(event, reason) next_server() end)
  end
  socket:connect(port, host)
end
tls.cert.verify(%s)
next_server()
"""


def list_events(
    build_dir: Path, *servers: tuple[str, int], verify: bool = True, args: Sequence[str] = ()
) -> list[list[str]]:
    """Connect to the servers in turn; return for each the events that Lua got."""
    names = " ".join(f"{host},{port}" for host, port in servers)
    result = run_lua(build_dir, CLIENT % (names, str(verify).lower()), *args)
    assert result.returncode == 0, result.stdout
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("dns\t")]
    assert len(starts) == len(servers), result.stdout
    assert starts[0] == 0
    return [lines[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]


def make_good_events(port: int) -> list[str]:
    return [
        f"dns\t{GATEWAY}",
        f"connection\t{GATEWAY}\t{port}",
        f"receive\t{HTTP_ANSWER}",
        "disconnection\tnil",
    ]
