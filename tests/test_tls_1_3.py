"""TLS 1.3 on the emulated chip, against OpenSSL."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from client_hello import ClientHello, capture_into, check_hello
from emulated import HOST, run_lines
from peers import run_peer, run_s_server
from pki import make_authority, make_pem

from nodemcu_tls_build.profile import load_profile
from nodemcu_tls_build.profile.offer import measure_hello

BOTH = """
[tls]
versions = ["1.2", "1.3"]
keep_peer_certificate = true
out_buffer = "2KiB"
idle_buffers = "{idle}"
max_fragment = "{fragment}"
alpn = ["http/1.1"]
"""
ONLY = """
[tls]
versions = ["1.3"]
keep_peer_certificate = true
max_fragment = "none"
out_buffer = "2KiB"
ciphers = ["AES", "CHACHA20-POLY1305"]
curves = ["x25519", "secp256r1"]
"""
CONNECTED = "TLSv1.3\tTLS1-3-AES-256-GCM-SHA384\t"

# Connects so often and prints what was agreed on and how long the answer was, or what went wrong.
SCRIPT = """
local times, ca = %d, [[%s]]
local function go_on()
  if times == 0 then os.exit(0) end
  times = times - 1
  local socket, length = tls.createConnection { ca = ca }, 0
  socket:on("connection", function(s)
    local info = s:info()
    print(info.protocol, info.cipher_suite, info.resumed)
    tmr.create():alarm(100, tmr.ALARM_SINGLE, function() s:send("GET / HTTP/1.0\\r\\n\\r\\n") end)
  end)
  socket:on("receive", function(_, data) length = length + #data end)
  socket:on("disconnection", function(_, why) print(why or length > 2000) go_on() end)
  socket:on("reconnection", function(_, ...) print(...) go_on() end)
  socket:connect(%d, "server.test")
end
go_on()
"""


@pytest.mark.parametrize(("idle", "fragment"), [("release", "4KiB"), ("shrink", "1KiB")])
def test_either_version_is_agreed_on_and_resumed(
    build_profile: Callable[[str], Path], tmp_path: Path, idle: str, fragment: str
) -> None:
    """The page is larger than one record of 4 KiB: the server has to heed what it is asked."""
    build_dir = build_profile(BOTH.format(idle=idle, fragment=fragment))
    root = make_authority("rsa")
    pem = make_pem(root.certificate).decode()
    identity = root.issue_server("ecdsa", HOST)
    hellos: list[ClientHello] = []
    with run_peer(capture_into(hellos)) as peer:
        run_lines(build_dir, SCRIPT % (1, pem, peer.port))
    check_hello(hellos[0], load_profile(str(build_dir / "test.toml")))
    with run_s_server(identity, tmp_path / "new", "-www", "-alpn", "http/1.1") as server:
        lines = run_lines(build_dir, SCRIPT % (3, pem, server.port))
        log = server.read_log()
    profile = load_profile(str(build_dir / "test.toml"))
    resuming = 4 + int(re.findall(r'client extension "psk" .*len=(\d+)', log)[-1])
    assert resuming == measure_hello(profile, ticket=224) - measure_hello(profile)
    assert lines == [
        *(f"{CONNECTED}false", "true"),
        *(f"{CONNECTED}true", "true"),
        *(f"{CONNECTED}true", "true"),
    ]
    with run_s_server(identity, tmp_path / "old", "-www", "-tls1_2") as server:
        lines = run_lines(build_dir, SCRIPT % (2, pem, server.port))
    told = "TLSv1.2\tTLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384"
    assert lines == [f"{told}\tfalse", "true", f"{told}\ttrue", "true"]


def test_a_profile_with_nothing_else(build_profile: Callable[[str], Path], tmp_path: Path) -> None:
    build_dir = build_profile(ONLY)
    root = make_authority("rsa")
    pem = make_pem(root.certificate).decode()
    identity = root.issue_server("rsa", HOST)
    hellos: list[ClientHello] = []
    with run_peer(capture_into(hellos)) as peer:
        run_lines(build_dir, SCRIPT % (1, pem, peer.port))
    check_hello(hellos[0], load_profile(str(build_dir / "test.toml")))
    retry = ("-groups", "P-256", "-num_tickets", "0")  # not the group of the first key share
    with run_s_server(identity, tmp_path / "retry", "-www", *retry) as server:
        lines = run_lines(build_dir, SCRIPT % (2, pem, server.port))
    told = "TLSv1.3\tTLS1-3-CHACHA20-POLY1305-SHA256\tfalse"
    assert lines[::2] == [told, told]
    with run_s_server(identity, tmp_path / "old", "-www", "-tls1_2") as server:
        (line,) = run_lines(build_dir, SCRIPT % (1, pem, server.port))
    assert "\thandshake\t" in line or "\talert\t" in line
    with run_s_server(
        make_authority("rsa").issue_server("rsa", HOST), tmp_path / "other"
    ) as server:
        (line,) = run_lines(build_dir, SCRIPT % (1, pem, server.port))
    assert line.startswith("the certificate is not signed by a trusted CA\t")
