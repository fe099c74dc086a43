"""The same conversation with servers on every TLS library at hand, their chain verified."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from emulated import HOST, World, run_client
from peers import run_s_server
from pki import Identity
from servers import Server, run_gnutls_server, run_native_server

BODY_LENGTH = 10_000  # of the answer; tls_server.c sends as much
SHORT_LENGTH = 3000  # of GnuTLS's, which has to fit a record

StartPeer = Callable[[str, Identity], AbstractContextManager[Server]]


@contextmanager
def start_openssl(identity: Identity, directory: Path) -> Iterator[Server]:
    directory.mkdir()
    (directory / "body").write_bytes(b"HTTP/1.0 200 ok\r\n\r\n" + b"x" * BODY_LENGTH)
    options = ("-HTTP", "-trace", "-no_tls1_3")
    with run_s_server(identity, directory, *options, cwd=directory) as server:
        yield server


@contextmanager
def start_gnutls(identity: Identity, directory: Path, length: int) -> Iterator[Server]:
    directory.mkdir()
    body_path = directory / "body"
    body_path.write_bytes(b"x" * length)
    options = (f"--httpdata={body_path}", "--debug=5")
    with run_gnutls_server(identity, directory, *options) as server:
        yield server


@pytest.fixture
def start(tmp_path: Path, native_server: Callable[[str], Path]) -> StartPeer:
    """Return a function that starts a server on a library."""

    def start_on(library: str, identity: Identity) -> AbstractContextManager[Server]:
        directory = tmp_path / library
        if library == "openssl":
            return start_openssl(identity, directory)
        if library == "gnutls":
            return start_gnutls(identity, directory, SHORT_LENGTH)
        return run_native_server(native_server(library), identity, directory)

    return start_on


LIBRARIES = ("openssl", "gnutls", "mbedtls", "wolfssl", "bearssl")

ASK = """
    local socket, head, length, other = transport.createConnection(), "", 0, 0
    watch(socket, "reconnection")
    socket:on("connection", function(s) s:send("GET /body HTTP/1.0\\r\\n\\r\\n") end)
    socket:on("receive", function(_, data)
      if not head:find("\\r\\n\\r\\n") then
        head = head .. data
        data = head:match("\\r\\n\\r\\n(.*)$") or ""
      end
      length = length + #data
      other = other + #data:gsub("x", "")
    end)
    socket:on("disconnection", function(_, reason)
      print(head:match("^[^\\r]*"), length, other, reason)
    end)
    socket:connect(port, host)
"""


def check_openssl_fragments(log: str) -> None:
    """Check what it agreed to, and the records that it sent: application data is type 23."""
    assert log.count("max_fragment_length := 2^12 (4096 bytes)") == 2  # the client's and its own
    sent = re.findall(r"^Sent Record\n.*\n.*\n.* ApplicationData \(23\)\n.* = (\d+)$", log, re.M)
    assert len(sent) > 2
    assert max(map(int, sent)) <= 4096 + 24  # and what AES-GCM adds


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_conversation(world: World, start: StartPeer, library: str, kind: str) -> None:
    issuer = world.root.issue_authority(kind, "Intermediate")
    with start(library, issuer.issue_server(kind, HOST)) as server:
        printed = run_client(world, "tls", server.port, ASK)
        log, report = server.read_log(), server.read_report()
    length = SHORT_LENGTH if library == "gnutls" else BODY_LENGTH
    assert [line.lower() for line in printed] == [f"http/1.0 200 ok\t{length}\t0\tnil"]
    if library == "openssl":
        check_openssl_fragments(log)
    elif library == "gnutls":
        assert "Sending extension Maximum Record Size/1 (1 bytes)\n" in log
    else:
        assert report["fragment"] == "4096"
        assert report["ended"] == "after the answer"


def test_gnutls_does_not_keep_to_the_fragment_length(world: World, tmp_path: Path) -> None:
    with start_gnutls(world.root.issue_server("ecdsa", HOST), tmp_path / "server", 9000) as server:
        printed = run_client(world, "tls", server.port, ASK)
        log = server.read_log()
    assert "Sending extension Maximum Record Size/1 (1 bytes)\n" in log
    assert re.search(r"Sent Packet.* Application Data\(23\) in .* length: 9\d\d\d$", log, re.M)
    assert printed == ["reconnection\tthe server sent a record larger than the receive buffer"]
