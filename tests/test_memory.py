"""Memory on the emulated chip: refused at any moment of a TLS connection, and given back."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from emulated import HOST, World, run_client, run_lua
from peers import answer, hold_closed_port, run_peer, run_s_server
from pki import make_authority, make_pem
from refusing_firmware import WARM_UP, link_refusing

_LIMIT = 900  # seconds; a run takes about one minute of a processor
_LUAS_OWN = 400  # bytes: Lua gives some tables of its own back later
_STAGES = 5
_ALL = os.environ.get("ALLOCATIONS") == "all"

# A turn is a connection. Each line says which allocation was refused, what became of the
# connection, how many events told it, and how many bytes of heap are missing since the warm-up.
_TURNS = """
local _ = tmr.now, net.TCP -- a library takes its heap at first use
tls.cert.verify([[{pem}]])
local turn, outcome, told, before, turns, refused = nil, nil, 0, nil, 0, 0
local function measure() collectgarbage() collectgarbage() return node.heap() end
local function check()
  local counts = turns > {warm_up} and turns % {every} == 0
  if counts then print(refused, outcome, told, before - measure()) end
  if counts and refused == 0 then os.exit(0) end
  turn()
end
local function note(what)
  told, outcome, refused = told + 1, what, node.chipid()
  if told == 1 then tmr.create():alarm(2, tmr.ALARM_SINGLE, check) end
end
function turn()
  turns = turns + 1
  outcome, told = nil, 0
  if turns <= {warm_up} then before = measure() end
  local socket, answer = tls.createConnection {{ resume = {resume} }}, ""
  socket:on("connection", function(s) s:send("hello\\n") end)
  socket:on("receive", function(s, data)
    answer = answer .. data
    if answer == "olleh\\n" then s:close() note("whole") end
  end)
  socket:on("disconnection", function(_, reason) note(reason) end)
  local good, reason = pcall(socket.connect, socket, {port}, "server.test")
  if not good then socket:close() note("raised: " .. reason) end
end
turn()
"""


def list_turns(
    whole_build: Path, directory: Path, *, first: int, dense: int, step: int, resume: bool = False
) -> list[tuple[int, str]]:
    """Refuse an allocation of each connection; return which, and what became of the connection.

    They are `first`, each one from there to `dense`, and then one in `step`.
    """
    every = 2 if resume else 1  # before each one that resumes a session, there is one to make it
    build_dir = link_refusing(
        whole_build, directory, FIRST=first, DENSE=dense, STEP=step, EVERY=every
    )
    root = make_authority("rsa")  # has fewer allocations than ECDSA, and is faster
    pem = make_pem(root.certificate).decode()
    identity = root.issue_server("rsa", HOST)
    with run_s_server(identity, directory / "server", "-rev", "-tls1_2") as server:
        script = _TURNS.format(
            pem=pem, port=server.port, resume=str(resume).lower(), every=every, warm_up=WARM_UP
        )
        result = run_lua(build_dir, script, limit=_LIMIT)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout[-2000:]
    turns = [line.split("\t") for line in result.stdout.splitlines()]
    assert all(told == "1" for _, _, told, _ in turns), result.stdout
    assert all(int(missing) < _LUAS_OWN for *_, missing in turns), result.stdout
    *refused, (number, last, *_) = turns
    assert (number, last) == ("0", "whole")
    numbers = [int(number) for number, *_ in refused]
    assert numbers[0] == first
    assert all(
        after - before == (1 if before < dense else step)
        for before, after in itertools.pairwise(numbers)
    )
    return [(int(number), outcome) for number, outcome, *_ in refused]


# Of some 2,600 allocations: each one before and after the arithmetic of the handshake, and one in
# twenty of those in it. They are alike, and each costs a good part of a handshake; the native
# programs refuse them all. How many there are differs a little from run to run.
_DENSE = [((1, 400, 20), 400), ((410, 410, 20), 80), ((2500, 9999, 1), 30)]
_EACH = [((1, 1, 3), 500), ((2, 1, 3), 500), ((3, 1, 3), 500)]


@pytest.mark.parametrize(("numbers", "least"), _EACH if _ALL else _DENSE)
def test_every_allocation_of_a_connection_refused(
    whole_build: Path, tmp_path: Path, numbers: tuple[int, int, int], least: int
) -> None:
    first, dense, step = numbers
    turns = list_turns(whole_build, tmp_path, first=first, dense=dense, step=step)
    assert len(turns) > least
    assert {outcome for _, outcome in turns} == {"out of memory"}


def test_every_allocation_of_a_resumed_connection_refused(
    whole_build: Path, tmp_path: Path
) -> None:
    turns = list_turns(whole_build, tmp_path, first=1, dense=1, step=1, resume=True)
    # The session that is kept gives way to what mbedTLS wants, not to what the firmware does.
    assert len(turns) > 20
    assert {outcome for _, outcome in turns} == {"out of memory", "whole"}


# Every second turn is a good one. The others fail, each at the next stage.
_FAILURES = """
local _ = tmr.now, net.TCP, node.heap
local bad = {{ {bad} }}
local turns, before, failed = 0, nil, {{}}
local function measure() collectgarbage() collectgarbage() return node.heap() end
local turn
local function go_on() tmr.create():alarm(1, tmr.ALARM_SINGLE, turn) end
function turn()
  turns = turns + 1
  if turns == 24 then before = measure() end
  if turns > 524 then
    for _, peer in ipairs(bad) do print(peer.name, failed[peer.name]) end
    return print(before - measure())
  end
  local socket = tls.createConnection {{ resume = turns % 4 == 1 }}
  local peer = {{ name = "good", port = {good}, host = host }}
  if turns % 2 == 0 then peer = bad[turns / 2 % #bad + 1] end
  socket:on("connection", function(s)
    assert(peer.name == "good")
    s:close()
    go_on()
  end)
  socket:on("reconnection", function(_, reason, _, stage)
    assert(peer.name ~= "good", reason)
    failed[peer.name] = stage
    go_on()
  end)
  socket:connect(peer.port, peer.host)
end
turn()
"""


def test_heap_after_500_connections(world: World, tmp_path: Path) -> None:
    good = world.root.issue_server("ecdsa", HOST)
    stranger = make_authority("ecdsa", "Another root").issue_server("ecdsa", HOST)
    with (
        run_s_server(stranger, tmp_path / "untrusted", "-www") as untrusted,
        run_s_server(good, tmp_path / "alert", "-www", "-cipher", "PSK") as alert,
        run_peer(answer(b"")) as broken,
        hold_closed_port() as closed,
    ):
        peers = [
            ("tcp", closed, HOST),
            ("dns", 443, "nothing.invalid"),
            ("handshake", broken.port, HOST),
            ("verify", untrusted.port, HOST),
            ("alert", alert.port, HOST),
        ]
        bad = ", ".join(
            f'{{ name = "{name}", port = {port}, host = "{host}" }}' for name, port, host in peers
        )
        script = _FAILURES.format(bad=bad, good=world.good_port)
        *stages, difference = run_client(world, "tls", 0, script, limit=600)
    assert stages == [f"{name}\t{name}" for name, *_ in peers]
    assert len(stages) == _STAGES
    assert int(difference) < _LUAS_OWN
