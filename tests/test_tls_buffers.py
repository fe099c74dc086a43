"""Profiles that give record buffers back, print what mbedTLS does, or use the older mbedTLS."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from emulated import HOST, World
from lua_steps import make_key_text, make_text, run_steps
from peers import make_tls_context, run_peer, run_s_server
from pki import make_authority, make_pem

KIB = 1024
BuildProfile = Callable[[str], Path]

RELEASE = '[mbedtls]\ndebug = true\n[tls]\nidle_buffers = "release"\n'
SHRINK = '[tls]\nidle_buffers = "shrink"\nmax_fragment = "1KiB"\n'
OLD = '[mbedtls]\nversion = "2.28.3"\n[tls]\nidle_buffers = "release"\n'
PROFILES = {"release": RELEASE, "shrink": SHRINK, "2.28.3": OLD}

# Heap that an open connection takes while nothing happens, and a conversation with pauses in it.
TALK = """
tls.cert.verify(ca)
local function measure() collectgarbage() collectgarbage() return node.heap() end
local socket, expected, got, bad = tls.createConnection(), "", 0, 0
local filler = ("0123456789abc"):rep(112)
socket:on("receive", function(_, data)
  if expected:sub(got + 1, got + #data) ~= data then bad = bad + 1 end
  got = got + #data
  if got == #expected then resume() end
end)
socket:on("reconnection", function(_, ...) print(...) end)
socket:on("connection", resume)
local before = measure()
socket:connect(port, "server.test")
coroutine.yield()
wait(20)
print("taken", before - measure())
for round, size in ipairs { 1, 16, 500, 1024, 1025, 1400, 3, 1440, 1, 2, 700 } do
  collectgarbage()
  got, expected = 0, filler:sub(round, round + size - 1)
  socket:send(expected)
  coroutine.yield()
  if size % 2 == 1 then wait(5) end -- idle, or not
end
expected = ""
wait(20)
print("taken", before - measure())
print("bad", bad)
socket:close()
"""


def echo(connection: socket.socket) -> None:
    while data := connection.recv(16384):
        connection.sendall(data)


def measure_talk(build_dir: Path, world: World, directory: Path) -> tuple[int, int]:
    """Hold the conversation; return the heap that the idle connection took before and after it."""
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), directory)
    with run_peer(echo, context) as peer:
        printed = run_steps(build_dir, TALK, port=peer.port, ca=make_text(world.root))
    match = re.fullmatch(r"taken\t(\d+)\ntaken\t(\d+)\nbad\t0", "\n".join(printed))
    assert match, printed
    return int(match[1]), int(match[2])


@pytest.mark.parametrize(
    ("name", "saved"), [("release", 8 * KIB), ("shrink", 6 * KIB), ("2.28.3", 8 * KIB)]
)
def test_idle_connection_takes_less(
    build_profile: BuildProfile, world: World, tmp_path: Path, name: str, saved: int
) -> None:
    kept = measure_talk(world.build_dir, world, tmp_path / "keep")
    taken = measure_talk(build_profile(PROFILES[name]), world, tmp_path / name)
    for most, less in zip(kept, taken, strict=True):
        assert most - less > saved // 2


def test_several_open_connections_at_once(
    build_profile: BuildProfile, world: World, tmp_path: Path
) -> None:
    script = """
        local sockets, got = {}, {}
        for number = 1, 2 do
          collectgarbage()
          local socket = tls.createConnection { ca = ca }
          socket:on("connection", function() resume() end)
          socket:on("receive", function(_, data)
            got[number] = (got[number] or "") .. data
            if #got[number] == 90 then resume() end
          end)
          socket:on("reconnection", function(_, ...) print(number, ...) end)
          socket:connect(ports:match(("%d+ "):rep(number - 1) .. "(%d+)"), "server.test")
          sockets[number] = socket
          coroutine.yield()
        end
        for round = 1, 3 do
          for number, socket in ipairs(sockets) do
            got[number] = nil
            collectgarbage()
            socket:send(("%d%d."):format(round, number):rep(30))
            coroutine.yield()
            print(got[number] == ("%d%d."):format(round, number):rep(30))
          end
        end
        for _, socket in ipairs(sockets) do socket:close() end
    """
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)
    with ExitStack() as stack:
        ports = [stack.enter_context(run_peer(echo, context)).port for _ in range(2)]
        text = " ".join(map(str, ports))
        printed = run_steps(build_profile(RELEASE), script, ports=text, ca=make_text(world.root))
    assert printed == ["true"] * 6


def test_garbage_makes_room_for_the_buffers(
    build_profile: BuildProfile, world: World, tmp_path: Path
) -> None:
    script = """
        local socket = tls.createConnection { ca = ca }
        socket:on("receive", function(_, data) print(data) resume() end)
        socket:on("reconnection", function(_, ...) print(...) resume() end)
        socket:on("connection", resume)
        socket:connect(port, "server.test")
        coroutine.yield()
        wait(5)
        collectgarbage("stop")
        while node.heap() > 4000 do local _ = ("x"):rep(900) .. node.heap() end
        socket:send("once more")
        coroutine.yield()
        socket:close()
    """
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)
    with run_peer(echo, context) as peer:
        printed = run_steps(
            build_profile(RELEASE), script, port=peer.port, ca=make_text(world.root)
        )
    assert printed == ["once more"]


def test_small_send_buffer_asks_for_large_fragments(
    build_profile: BuildProfile, world: World, tmp_path: Path
) -> None:
    build_dir = build_profile('[tls]\nout_buffer = "1KiB"\n')
    with run_s_server(world.root.issue_server("ecdsa", HOST), tmp_path, "-www") as server:
        printed = run_steps(
            build_dir,
            "print(connect(port, { ca = ca }))",
            port=server.port,
            ca=make_text(world.root),
        )
        log = server.read_log()
    assert printed == ["open"]
    assert re.search(r'extension "max fragment length" .*\n0000 - 04 ', log)


def test_a_message_larger_than_the_send_buffer(
    build_profile: BuildProfile, world: World, tmp_path: Path
) -> None:
    """A host name of usual length fits, which is what profiles are checked for."""
    build_dir = build_profile(
        f'[tls]\nout_buffer = 512\nalpn = ["{"x" * 240}"]\nresumption = false'
    )
    script = """
        print(connect(port, { ca = ca }))
        print(connect(port, { ca = ca, server_name = ("x"):rep(60) .. "." .. ("x"):rep(60) }))
    """
    with run_s_server(world.root.issue_server("ecdsa", HOST), tmp_path, "-www") as server:
        printed = run_steps(build_dir, script, port=server.port, ca=make_text(world.root))
    told = "a message to the server is larger than the send buffer\t-50\thandshake\t-27136"
    assert printed == ["open", told]


@pytest.mark.parametrize("name", ["2.28.3", "release"])
def test_resumption_and_identity(
    build_profile: BuildProfile, world: World, tmp_path: Path, name: str
) -> None:
    root = make_authority("ecdsa", "Clients' root")
    client = root.issue_client("ecdsa", "client")
    (tmp_path / "clients.pem").write_bytes(make_pem(root.certificate))
    options = ("-www", "-Verify", "1", "-verify_return_error")
    options += ("-CAfile", str(tmp_path / "clients.pem"))
    script = """
        print(connect(port, { ca = ca }))
        for _ = 1, 2 do print(connect(port, { ca = ca, cert = cert, key = key })) end
        print(connect(port, { ca = cert }))
    """
    identity = world.root.issue_server("ecdsa", HOST)
    with run_s_server(identity, tmp_path, *options) as server:
        printed = run_steps(
            build_profile(PROFILES[name]),
            script,
            port=server.port,
            ca=make_text(world.root),
            cert=make_text(client),
            key=make_key_text(client.key),
        )
        assert re.search("^depth=0 CN = client\nverify return:1$", server.read_log(), re.MULTILINE)
    assert [line.partition("\t")[0] for line in printed] == [
        "the server refused with a TLS alert: handshake_failure",
        *("open", "open, resumed"),
        "the certificate is not signed by a trusted CA",
    ]


# A chatty connection: what is typed is secret, and so is the client's key.
CHATTY = """
tls.cert.auth(cert, key)
for level = 0, 4 do
  print("level", level)
  tls.setDebug(level)
  local socket = tls.createConnection { ca = ca, resume = level > 2 }
  socket:on("connection", function(s) s:send("GET /not-for-everybody\\r\\n\\r\\n") end)
  socket:on("disconnection", function() resume() end)
  socket:on("reconnection", function(_, ...) print(...) resume() end)
  socket:connect(port, "server.test")
  coroutine.yield()
  tls.setDebug(0)
end
print("end")
for _, level in ipairs { -1, 5, "x", {} } do print(refuse(tls.setDebug, level)) end
"""


def test_debug_output_has_no_secrets(
    build_profile: BuildProfile, world: World, tmp_path: Path
) -> None:
    root = make_authority("ecdsa", "Clients' root")
    client = root.issue_client("ecdsa", "client")
    (tmp_path / "clients.pem").write_bytes(make_pem(root.certificate))
    key_log_path = tmp_path / "keys.log"
    options = ("-www", "-Verify", "1", "-verify_return_error", "-keylogfile", str(key_log_path))
    options += ("-CAfile", str(tmp_path / "clients.pem"))
    with run_s_server(world.root.issue_server("ecdsa", HOST), tmp_path, *options) as server:
        printed = run_steps(
            build_profile(RELEASE),
            CHATTY,
            port=server.port,
            ca=make_text(world.root),
            cert=make_text(client),
            key=make_key_text(client.key),
        )
    text = "\n".join(printed)
    levels = re.findall(r"^level\t\d$(.*?)(?=^level|^end)", text, re.MULTILINE | re.DOTALL)
    counts = [len(re.findall(r"^\w+\.c:\d+: ", level, re.MULTILINE)) for level in levels]
    assert counts[0] == 0 < counts[1] < counts[2] < counts[3] < counts[4]
    assert printed[-4:-2] == ["bad argument #1 to '?' (level must be from 0 to 4)"] * 2
    assert printed[-2].endswith("(number expected, got string)")

    shown = "".join(re.findall(r"(?<![0-9a-f])[0-9a-f]{2}(?= |$)", text, re.MULTILINE))
    assert "not-for-everybody" not in text
    assert b"not-for-everybody".hex() not in shown
    assert isinstance(client.key, EllipticCurvePrivateKey)
    secrets = [f"{client.key.private_numbers().private_value:064x}"]
    public = []
    for random, master in re.findall("^CLIENT_RANDOM (.*) (.*)$", key_log_path.read_text(), re.M):
        public.append(random)
        secrets.append(master)
    assert len(set(secrets)) > 4
    assert public[-1] in shown  # what may be seen is seen
    for secret in secrets:
        pieces = [secret[start : start + 16] for start in range(0, len(secret) - 16, 2)]
        assert not [piece for piece in pieces if piece in shown]


def test_debugging_is_not_built_in_by_default(firmware: Path) -> None:
    assert run_steps(firmware, "print(tls.setDebug)") == ["nil"]
