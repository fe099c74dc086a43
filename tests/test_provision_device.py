"""Credentials into the flash of a device behind a serial port, through the real esptool."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from loader_port import MIB, make_build, make_flash, run_loader
from pki import Identity, make_authority, make_pem
from test_provision import (
    START,
    get_records,
    give,
    make_nodemcu,
    read_nodemcu,
    refuse,
    run_cli,
)

from nodemcu_tls_build.certs.store import read_credentials
from nodemcu_tls_build.memmap import SECTOR

END = START + 4 * SECTOR


@pytest.fixture(autouse=True)
def few_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPTOOL_CONNECT_ATTEMPTS", "1")


@pytest.fixture(scope="module")
def root() -> Identity:
    return make_authority("ecdsa", "Root")


@pytest.fixture
def files(root: Identity, tmp_path: Path) -> dict[str, Path]:
    written = root.issue_client("ecdsa", "one").write(tmp_path / "client")
    (tmp_path / "ca.crt").write_bytes(make_pem(root.certificate))
    return {"ca": tmp_path / "ca.crt", "cert": written.cert_path, "key": written.key_path}


@pytest.fixture
def flash_path(tmp_path: Path) -> Path:
    flash = make_flash(make_build(tmp_path / "build"), tmp_path / "flash.bin")
    flash[END:] = bytes(range(256)) * ((MIB - END) // 256)
    (tmp_path / "flash.bin").write_bytes(flash)
    return tmp_path / "flash.bin"


def show_current(flash: bytes) -> list[int | None]:
    return [found.current for found in read_credentials(flash[START:END])]


def test_write_change_and_show(
    files: dict[str, Path], flash_path: Path, root: Identity, tmp_path: Path
) -> None:
    before = flash_path.read_bytes()
    other = root.issue_client("ecdsa", "two").write(tmp_path / "other")
    two = ("--cert", str(other.cert_path), "--key", str(other.key_path))
    with run_loader(flash_path) as port:
        first = run_cli("provision", port, *give(files, "ca", "cert", "key"), "--json")
        assert first.exit_code == 0, first.output
        provisioned = flash_path.read_bytes()
        again = run_cli("provision", port, *give(files, "ca", "cert", "key"))
        assert flash_path.read_bytes() == provisioned
        second = run_cli("provision", port, *two)
        shown = run_cli("provision", "show", port, "--json")
    assert json.loads(first.stdout)["written"] == [START, START + 2 * SECTOR]
    assert (provisioned[:START], provisioned[END:]) == (before[:START], before[END:])
    assert show_current(provisioned) == [0, 0]
    assert again.stdout.endswith(f"{port}: all of it was stored already.\n")
    assert "Writing the flash" not in again.stderr
    assert second.stdout.endswith(f"{port}: wrote the sector at {START + 3 * SECTOR:#x}.\n")
    flash = flash_path.read_bytes()
    assert flash[: END - SECTOR] == provisioned[: END - SECTOR]
    assert show_current(flash) == [0, 1]
    report = json.loads(shown.stdout)
    assert [found["certificates"][0]["subject"] for found in report["sets"]] == [
        "CN=Root",
        "CN=two",
    ]


@pytest.mark.parametrize("cut", [100, 4200, 8191])
def test_power_loss_leaves_the_old_set(
    files: dict[str, Path], flash_path: Path, root: Identity, tmp_path: Path, cut: int
) -> None:
    succeeded = run_cli("provision", "--flash", flash_path, *give(files, "cert", "key"))
    assert succeeded.exit_code == 0
    old = get_records(flash_path.read_bytes(), 2)
    other = root.issue_client("ecdsa", "two").write(tmp_path / "other")
    two = ("--cert", str(other.cert_path), "--key", str(other.key_path))
    with run_loader(flash_path, f"power-cut={cut}") as port:
        assert run_cli("provision", port, *two).exit_code == 1
    flash = flash_path.read_bytes()
    assert show_current(flash)[1] in {0, 1} if cut > 4200 else show_current(flash)[1] == 0
    assert get_records(flash, 2) == old
    done = run_cli("provision", "--flash", flash_path, *two)
    assert done.exit_code == 0
    assert show_current(flash_path.read_bytes())[1] == 1


def test_a_sector_that_does_not_take_it(files: dict[str, Path], flash_path: Path) -> None:
    with run_loader(flash_path, f"stuck-bit={START + 60:#x}") as port:
        message = run_cli("provision", port, *give(files, "ca"))
    assert message.exit_code == 1
    assert message.stderr.splitlines()[-2].startswith("Error: ")


def test_what_does_not_belong_is_refused_unasked(
    files: dict[str, Path], root: Identity, tmp_path: Path
) -> None:
    other = root.issue_client("ecdsa", "two").write(tmp_path / "other")
    message = refuse(
        *("provision", str(tmp_path / "no-port"), "--cert", files["cert"]),
        *("--key", other.key_path),
    )
    assert "no-port" not in message


def test_nodemcu_on_a_device(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "nodemcu.bin"
    image = make_nodemcu(path)
    before = image.ljust(4 * MIB, b"\xff")
    path.write_bytes(before)
    with run_loader(path, size=4 * MIB) as port:
        done = run_cli("provision", port, "--format", "nodemcu", *give(files, "cert", "key"))
        assert done.exit_code == 0, done.output
        other = run_cli("provision", port, *give(files, "ca"))
    assert done.stdout.endswith(f"{port}: wrote the sector at 0x12000.\n")
    flash = path.read_bytes()
    assert flash[:0x12000] + flash[0x13000 : 4 * MIB - 9 * SECTOR] == (
        before[:0x12000] + before[0x13000 : 4 * MIB - 9 * SECTOR]
    )
    assert [name for name, _ in read_nodemcu(flash[0x12000:0x13000])] == [
        b"certificate",
        b"private_key",
    ]
    assert other.exit_code == 1
    assert f"{port} has no firmware of this project" in other.stderr
    assert "--format nodemcu" in other.stderr
