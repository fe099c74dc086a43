"""What was provisioned, on the emulated chip: mutual TLS, a fleet of one build."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from emulated import HOST
from fleets import Site, make_site
from lua_steps import run_steps
from peers import run_s_server
from pki import Identity, make_authority, make_pem
from servers import Server
from test_provision import give, succeed

DEVICES = 20
SCRIPT = """
    print(tls.cert.verify(true), tls.cert.auth(true))
    print(connect(port, { resume = false }))
"""


@pytest.fixture
def root() -> Identity:
    """Return the authority of the server and of the clients: no build has it in it."""
    return make_authority("ecdsa", "Everybody's root")


@pytest.fixture
def server(root: Identity, tmp_path: Path) -> Iterator[Server]:
    """Run a server that lets in clients of the root, and nobody else."""
    ca_path = tmp_path / "root.pem"
    ca_path.write_bytes(make_pem(root.certificate))
    options = ("-www", "-Verify", "3", "-verify_return_error", "-CAfile", str(ca_path))
    identity = root.issue_server("ecdsa", HOST)
    with run_s_server(identity, tmp_path / "server", *options) as server:
        yield server


def list_clients(server: Server) -> list[str]:
    """Return the subjects of the clients that have shown a valid certificate."""
    return re.findall(r"^depth=0 (.*)\nverify return:1$", server.read_log(), re.MULTILINE)


def test_mutual_tls(firmware: Path, root: Identity, server: Server, tmp_path: Path) -> None:
    flash_path = Path(shutil.copy(firmware / "flash.bin", tmp_path / "flash.bin"))
    files = {"ca": tmp_path / "root.pem"}
    succeed("provision", "--flash", flash_path, *give(files, "ca"))
    flash = ("--flash", str(flash_path))
    script = "print(pcall(tls.cert.auth, true)) print(connect(port, { resume = false }))"
    [refused, outcome] = run_steps(firmware, script, *flash, port=server.port)
    assert refused.startswith("false\tno client certificate is stored")
    assert "handshake_failure" in outcome
    for kind in ("ecdsa", "rsa"):
        client = root.issue_client(kind, f"{kind} client").write(tmp_path / kind)
        files |= {"cert": client.cert_path, "key": client.key_path}
        succeed("provision", "--flash", flash_path, *give(files, "cert", "key"))
        assert run_steps(firmware, SCRIPT, *flash, port=server.port) == ["true\ttrue", "open"]
    assert list_clients(server) == ["CN = ecdsa client", "CN = rsa client"]


def test_the_image_in_the_build_itself(
    firmware: Path, root: Identity, server: Server, tmp_path: Path
) -> None:
    build_dir = shutil.copytree(firmware, tmp_path / "build")
    client = root.issue_client("ecdsa", "in the build").write(tmp_path / "client")
    files = {"ca": tmp_path / "root.pem", "cert": client.cert_path, "key": client.key_path}
    succeed("provision", "--flash", build_dir / "flash.bin", *give(files, "ca", "cert", "key"))
    assert run_steps(build_dir, SCRIPT, port=server.port) == ["true\ttrue", "open"]
    assert list_clients(server) == ["CN = in the build"]


def test_the_firmware_reads_what_was_provisioned_over_its_own(
    firmware: Path, root: Identity, server: Server, tmp_path: Path
) -> None:
    """The firmware stores a set, the tool the next one, the firmware one more."""
    flash_path = tmp_path / "flash.bin"
    flash = ("--flash", str(flash_path))
    ca, other = (make_pem(one.certificate).decode() for one in (root, make_authority("ecdsa")))
    store = "print(tls.cert.verify(ca)) print(connect(port))"
    run_steps(firmware, store, *flash, port=server.port, ca=other)
    succeed("provision", *flash, *give({"ca": tmp_path / "root.pem"}, "ca"))
    shown = succeed("provision", "show", flash_path)
    assert "number 2" in shown
    use = "print(tls.cert.verify(true)) print((connect(port)))"
    assert "handshake_failure" in run_steps(firmware, use, *flash, port=server.port)[1]
    run_steps(firmware, store, *flash, port=server.port, ca=other)
    assert "number 3" in succeed("provision", "show", flash_path)
    assert "handshake_failure" not in run_steps(firmware, use, *flash, port=server.port)[1]
    assert run_steps(firmware, store, *flash, port=server.port, ca=ca)[0] == "true"


def test_a_fleet_of_one_build(
    firmware: Path, root: Identity, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "fleet").mkdir()
    made = make_site(tmp_path / "fleet")
    site = Site(made.directory, root, root.write(tmp_path / "fleet" / "root"))
    site.write_devices(DEVICES)
    subject = "CN={device},OU={place},O=Example"
    site.issue("--subject", subject, "--ca", tmp_path / "root.pem")
    entries = site.check_whole(DEVICES)
    paths = []
    for entry in entries.values():
        paths.append(Path(shutil.copy(firmware / "flash.bin", tmp_path / f"{entry['device']}.bin")))
        succeed("provision", "--flash", paths[-1], "--store", site.out / entry["file"])

    def boot(path: Path) -> list[str]:
        return run_steps(firmware, SCRIPT, "--flash", str(path), port=server.port)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(boot, paths)) == [["true\ttrue", "open"]] * DEVICES
    wanted = [
        f"O = Example, OU = Hall {number % 3}, CN = dev-{number:05}" for number in range(DEVICES)
    ]
    assert sorted(list_clients(server)) == sorted(wanted)
