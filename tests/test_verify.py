"""Whom `tls.cert.verify` lets in: names, addresses, CA files, and when it is off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from emulated import GATEWAY, HOST, World, run_lua
from peers import run_s_server
from pki import make_authority, make_pem
from tls_client import CLIENT, list_events, make_good_events

DAY = timedelta(days=1)


def test_a_ca_file_with_two_certificates(
    build_firmware: Callable[[Path], Path], tmp_path: Path
) -> None:
    roots = [make_authority("rsa", "One"), make_authority("ecdsa", "Two")]
    ca_path = tmp_path / "ca.crt"
    ca_path.write_bytes(make_pem(*(root.certificate for root in roots)))
    build_dir = build_firmware(ca_path)
    for number, root in enumerate(roots):
        identity = root.issue_server("ecdsa", HOST)
        with run_s_server(identity, tmp_path / str(number), "-www") as server:
            assert list_events(build_dir, (HOST, server.port)) == [make_good_events(server.port)]


def test_names_that_a_certificate_covers(world: World, tmp_path: Path) -> None:
    identity = world.root.issue_server("ecdsa", "first.test", "*.test")
    with run_s_server(identity, tmp_path, "-www") as server:
        assert list_events(world.build_dir, (HOST, server.port)) == [make_good_events(server.port)]


def test_server_known_by_its_address(world: World, tmp_path: Path) -> None:
    events = list_events(world.build_dir, (GATEWAY, world.good_port))
    assert events == [make_good_events(world.good_port)]
    identity = world.root.issue_server("ecdsa", HOST, "10.0.2.3")
    with run_s_server(identity, tmp_path, "-www") as server:
        events = list_events(world.build_dir, (GATEWAY, server.port))
        log = server.read_log()
    assert events[0][1:] == ["reconnection\tthe certificate is not for this host name"]
    assert "TLS client extension" in log
    assert "server name" not in log  # an address is none


def test_without_verification_anyone_will_do(firmware: Path, world: World, tmp_path: Path) -> None:
    strangers = [
        make_authority("rsa", "Nobody"),
        world.root.issue_server("ecdsa", "other.test", start=-9 * DAY, end=-DAY),
    ]
    for number, identity in enumerate(strangers):
        with run_s_server(identity, tmp_path / str(number), "-www") as server:
            for build_dir in (firmware, world.build_dir):
                events = list_events(build_dir, (HOST, server.port), verify=False)
                assert events == [make_good_events(server.port)]


def test_verification_is_off_at_boot(world: World, tmp_path: Path) -> None:
    with run_s_server(make_authority("ecdsa"), tmp_path, "-www") as server:
        script = (CLIENT % (f"{HOST},{server.port}", "")).replace("tls.cert.verify()", "")
        result = run_lua(world.build_dir, script)
    assert result.stdout.splitlines() == make_good_events(server.port)


def test_verification_needs_a_ca(firmware: Path) -> None:
    result = run_lua(firmware, "print(tls.cert.verify(false))\ntls.cert.verify(true)")
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "true"
    assert lines[1].endswith(
        "test.lua:2: no CA certificate is stored or built in: give one to tls.cert.verify, "
        "or build the firmware with server-ca.crt"
    )
    assert lines[2] == "stack traceback:"
