"""Validity dates of certificates: what is judged with a clock, and what without one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builds import run_build
from emulated import HOST, PRELUDE, World, run_lua
from peers import run_s_server
from pki import make_pem
from time_servers import Answer, run_server, send
from tls_client import list_events

DAY = timedelta(days=1)
EXPIRED = "the certificate has expired"
NOT_YET = "the certificate is not valid yet"

# Each server's certificate: valid from and to, in days from now. A build is at most a day old.
VALIDITY = {"over": (-9, -2), "now": (-1, 30), "to come": (1, 9)}


@pytest.fixture(scope="module")
def ports(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Return the ports of servers that differ in the dates of their certificates."""
    directory = tmp_path_factory.mktemp("dates")
    with ExitStack() as stack:
        ports = {}
        for name, (start, end) in VALIDITY.items():
            identity = world.root.issue_server("ecdsa", HOST, start=start * DAY, end=end * DAY)
            server = stack.enter_context(run_s_server(identity, directory / name, "-www"))
            ports[name] = server.port
        yield ports


def judge(world: World, ports: dict[str, int], clock: str) -> dict[str, str]:
    """Connect to every server with this clock; return each one's reason, `connection` if none."""
    servers = [(HOST, port) for port in ports.values()]
    events = list_events(world.build_dir, *servers, args=["--clock", clock])
    return {
        name: told[1].partition("\t")[2] if told[1].startswith("reconnection") else "connection"
        for name, told in zip(ports, events, strict=True)
    }


@pytest.mark.parametrize("clock", ["none", "1970-01-02", "2020-02-20"])
def test_clock_that_is_not_set(world: World, ports: dict[str, int], clock: str) -> None:
    """What had expired when the firmware was built is refused; what begins later may have begun."""
    assert judge(world, ports, clock) == {
        "over": EXPIRED,
        "now": "connection",
        "to come": "connection",
    }


@pytest.mark.parametrize(
    ("days", "reasons"),
    [
        (0, (EXPIRED, "connection", NOT_YET)),
        (3, (EXPIRED, "connection", "connection")),
        (20, (EXPIRED, "connection", EXPIRED)),
        (31, (EXPIRED, EXPIRED, EXPIRED)),
        (27_000, (EXPIRED, EXPIRED, EXPIRED)),  # after 2038 and before 2106
    ],
)
def test_clock_that_is_set(
    world: World, ports: dict[str, int], days: int, reasons: tuple[str, ...]
) -> None:
    clock = (datetime.now(UTC) + days * DAY).isoformat(timespec="seconds")
    assert judge(world, ports, clock) == dict(zip(VALIDITY, reasons, strict=True))


def test_floor_is_the_builds(
    world: World, ports: dict[str, int], own_build: Path, tmp_path: Path
) -> None:
    """A firmware from 20 days ago has not seen the end of what is over by now."""
    (tmp_path / "ca.pem").write_bytes(make_pem(world.root.certificate))
    built = str(int((datetime.now(UTC) - 20 * DAY).timestamp()))
    result = run_build("--ca", "ca.pem", cwd=tmp_path, SOURCE_DATE_EPOCH=built)
    assert result.returncode == 0, result.stderr
    old = replace(world, build_dir=own_build)
    everybody = dict.fromkeys(ports, "connection")
    assert judge(old, ports, "none") == everybody
    just_before = datetime.fromtimestamp(int(built) - 60, UTC).isoformat()
    assert judge(old, ports, just_before) == everybody
    just_after = datetime.fromtimestamp(int(built) + 60, UTC).isoformat()
    assert set(judge(old, ports, just_after).values()) == {NOT_YET}


def test_time_server_sets_what_is_judged(world: World, ports: dict[str, int]) -> None:
    script = """
        local function connect(name, port, following)
          local socket = tls.createConnection()
          socket:on("connection", function(s) print(name, "connection") s:close() following() end)
          socket:on("reconnection", function(_, reason) print(name, reason) following() end)
          socket:connect(port, host)
        end
        local function all(following)
          connect("over", %d, function() connect("to come", %d, following) end)
        end
        all(function() sntp.sync("%s:%d", function() all(function() end) end) end)
    """
    with run_server(send(Answer(seconds=int(time.time())))) as server:
        filled = script % (ports["over"], ports["to come"], HOST, server.port)
        result = run_lua(world.build_dir, PRELUDE % ("tls", 0) + filled, "--clock", "none")
    assert result.stdout.splitlines() == [
        f"over\t{EXPIRED}",
        "to come\tconnection",
        f"over\t{EXPIRED}",
        f"to come\t{NOT_YET}",
    ]
