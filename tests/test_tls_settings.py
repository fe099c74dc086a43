"""Settings of a profile that are the firmware's own, on the emulated chip."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from emulated import HOST, run_lines
from peers import run_s_server
from pki import Identity, make_authority, make_pem

SWITCHED = """
[tls]
verify = true
verify_dates = false
sni = false
keep_peer_certificate = true
"""
WITHOUT_CA = """
local socket = tls.createConnection()
socket:on("reconnection", function(_, reason) print(reason) os.exit(0) end)
socket:connect(%d, "server.test")
"""
ONE_AFTER_ANOTHER = """
local ca, ports, at = [[%s]], {%s}, 0
local function go_on()
  at = at + 1
  if not ports[at] then os.exit(0) end
  local socket = tls.createConnection({ ca = ca })
  socket:on("connection", function(s)
    print("connected", s:info().resumed)
    s:on("receive", function() end)
    s:on("disconnection", go_on)
    s:send("GET / HTTP/1.0\\r\\n\\r\\n")
  end)
  socket:on("reconnection", function(_, reason) print(reason) go_on() end)
  socket:connect(ports[at], "server.test")
end
go_on()
"""


@pytest.fixture
def switched(build_profile: Callable[[str], Path]) -> Path:
    return build_profile(SWITCHED)


def run_ports(build_dir: Path, root: Identity, *ports: int) -> list[str]:
    pem = make_pem(root.certificate).decode()
    return run_lines(build_dir, ONE_AFTER_ANOTHER % (pem, ", ".join(map(str, ports))))


def test_servers_are_verified_from_boot_on(switched: Path, tmp_path: Path) -> None:
    identity = make_authority("ecdsa").issue_server("ecdsa", HOST)
    with run_s_server(identity, tmp_path) as server:
        assert run_lines(switched, WITHOUT_CA % server.port) == [
            "verification is on but there is no CA certificate"
        ]


def test_dates_do_not_count_and_names_do_without_being_sent(switched: Path, tmp_path: Path) -> None:
    root = make_authority("ecdsa")
    past = {"start": timedelta(days=-9), "end": timedelta(days=-2)}
    future = {"start": timedelta(days=2), "end": timedelta(days=9)}
    identities = [
        root.issue_server("ecdsa", HOST, **past),
        root.issue_server("ecdsa", HOST, **future),
        root.issue_server("ecdsa", "other.test"),
        make_authority("ecdsa").issue_server("ecdsa", HOST),
    ]
    with ExitStack() as stack:
        servers = [
            stack.enter_context(run_s_server(identity, tmp_path / str(number), "-www"))
            for number, identity in enumerate(identities)
        ]
        assert run_ports(switched, root, *(server.port for server in servers)) == [
            *("connected\tfalse", "connected\tfalse"),
            "the certificate is not for this host name",
            "the certificate is not signed by a trusted CA",
        ]
        assert 'extension "server name"' not in servers[0].read_log()


def test_sessions_are_resumed_where_certificates_are_kept(switched: Path, tmp_path: Path) -> None:
    root = make_authority("ecdsa")
    with run_s_server(root.issue_server("ecdsa", HOST), tmp_path, "-www") as server:
        lines = run_ports(switched, root, server.port, server.port, server.port)
    assert lines == ["connected\tfalse", "connected\ttrue", "connected\ttrue"]


def test_a_chain_of_the_open_internet(build_profile: Callable[[str], Path], tmp_path: Path) -> None:
    """OpenSSL keeps to the records asked for, so such a chain comes in parts of one message."""
    build_dir = build_profile('extends = "public"\n')
    root = make_authority("rsa")
    names = [f"{number}.name.of.the.same.server.test" for number in range(120)]
    identity = root.issue_authority("rsa", "Between").issue_server("rsa", HOST, *names)
    with run_s_server(identity, tmp_path, "-www") as server:
        assert run_ports(build_dir, root, server.port) == ["connected\tfalse"]
