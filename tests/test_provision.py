"""Credentials into flash images and store images, and what `provision show` says of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from loader_port import MIB, make_build, make_flash
from pki import Identity, Key, make_authority, make_pem

from nodemcu_tls_build.certs.store import read_credentials
from nodemcu_tls_build.certs.store_write import make_store
from nodemcu_tls_build.cli import cli
from nodemcu_tls_build.memmap import KIB, SECTOR, find_credentials
from nodemcu_tls_build.provision.layout import Format

START = find_credentials(MIB)
END = START + 4 * SECTOR
DER = serialization.Encoding.DER
SEC1 = serialization.PrivateFormat.TraditionalOpenSSL
PLAIN = serialization.NoEncryption()


def run_cli(*args: str | Path) -> Result:
    """Run a command in this process, which is quicker than in one of its own."""
    return CliRunner().invoke(cli, list(map(str, args)), catch_exceptions=False)


def succeed(*args: str | Path) -> str:
    result = run_cli(*args)
    assert (result.exit_code, result.stderr) == (0, ""), result.stdout
    return result.stdout


def refuse(*args: str | Path) -> str:
    """Run what must be refused with an error, no traceback, and return it."""
    result = run_cli(*args)
    assert (result.exit_code, result.stdout) == (1, ""), result.stderr
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture(scope="module")
def root() -> Identity:
    return make_authority("ecdsa", "Clients' root")


@pytest.fixture(scope="module")
def client(root: Identity) -> Identity:
    return root.issue_client("ecdsa", "one")


@pytest.fixture
def files(root: Identity, client: Identity, tmp_path: Path) -> dict[str, Path]:
    """Return the files of a CA and of a client, by the options that they are given to."""
    written = client.write(tmp_path / "client")
    (tmp_path / "ca.crt").write_bytes(make_pem(root.certificate))
    return {"ca": tmp_path / "ca.crt", "cert": written.cert_path, "key": written.key_path}


@pytest.fixture
def flash_path(tmp_path: Path) -> Path:
    """Return a flash with firmware and SDK parameters, and no credentials."""
    flash = make_flash(make_build(tmp_path / "build"), tmp_path / "flash.bin")
    flash[END:] = bytes(range(256)) * ((MIB - END) // 256)
    (tmp_path / "flash.bin").write_bytes(flash)
    return tmp_path / "flash.bin"


def give(files: dict[str, Path], *names: str) -> list[str | Path]:
    return [part for name in names for part in (f"--{name}", files[name])]


def get_der(identity: Identity) -> bytes:
    return identity.certificate.public_bytes(DER)


def get_key(key: Key) -> bytes:
    return key.private_bytes(DER, SEC1, PLAIN)


def pack(*objects: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack("<BBH", kind, 0, len(der)) + der for kind, der in objects)


def get_records(flash: bytes, sector: int) -> bytes:
    at = START + sector * SECTOR
    (length,) = struct.unpack_from("<I", flash, at + 12)
    return flash[at + 32 : at + 32 + length]


def get_states(flash: bytes) -> list[list[str]]:
    return [[str(s.state) for s in found.sectors] for found in read_credentials(flash[START:END])]


def test_both_sets_into_a_flash(
    files: dict[str, Path], flash_path: Path, root: Identity, client: Identity
) -> None:
    before = flash_path.read_bytes()
    text = succeed("provision", "--flash", flash_path, *give(files, "ca", "cert", "key"))
    flash = flash_path.read_bytes()
    assert text.endswith(f"{flash_path}: wrote the sectors at {START:#x}, {START + 8192:#x}.\n")
    assert flash[:START] == before[:START]
    assert flash[END:] == before[END:]
    assert get_states(flash) == [["valid", "erased"]] * 2
    assert get_records(flash, 0) == pack((1, get_der(root)))
    assert get_records(flash, 2) == pack((1, get_der(client)), (2, get_key(client.key)))
    assert stat.S_IMODE(flash_path.stat().st_mode) == 0o600


def test_the_same_again_changes_nothing(files: dict[str, Path], flash_path: Path) -> None:
    args = ("provision", "--flash", flash_path, *give(files, "ca", "cert", "key"))
    succeed(*args)
    before = flash_path.read_bytes(), flash_path.stat().st_mtime_ns, flash_path.stat().st_ino
    assert succeed(*args).endswith(": all of it was stored already.\n")
    after = flash_path.read_bytes(), flash_path.stat().st_mtime_ns, flash_path.stat().st_ino
    assert after == before
    assert json.loads(succeed(*args, "--json"))["written"] == []


def test_a_change_goes_into_the_other_sector(
    files: dict[str, Path], flash_path: Path, root: Identity, tmp_path: Path
) -> None:
    args = ("provision", "--flash", flash_path)
    succeed(*args, *give(files, "cert", "key"))
    assert get_states(flash_path.read_bytes()) == [["erased"] * 2, ["valid", "erased"]]
    for number in range(2, 5):
        before = flash_path.read_bytes()
        other = root.issue_client("ecdsa", f"client {number}").write(tmp_path / str(number))
        report = json.loads(
            succeed(*args, "--cert", other.cert_path, "--key", other.key_path, "--json")
        )
        changed = (number + 1) % 2
        assert report["written"] == [START + (2 + changed) * SECTOR]
        [_, found] = read_credentials(flash_path.read_bytes()[START:END])
        assert (found.current, found.sectors[changed].sequence) == (changed, number)
        flash = flash_path.read_bytes()
        kept = START + (3 - changed) * SECTOR
        assert flash[kept : kept + SECTOR] == before[kept : kept + SECTOR]
        assert report["sets"][1]["certificates"][0]["subject"] == f"CN=client {number}"
        assert report["sets"][0]["certificates"] == []


def test_sequence_numbers_go_round(files: dict[str, Path], flash_path: Path) -> None:
    from test_tls_store import CERTIFICATE, make_sector  # noqa: PLC0415 -- it needs a compiler

    flash = bytearray(flash_path.read_bytes())
    flash[START + SECTOR : START + 2 * SECTOR] = make_sector(0, 2**32 - 1, CERTIFICATE)
    flash_path.write_bytes(flash)
    succeed("provision", "--flash", flash_path, *give(files, "ca"))
    [found, _] = read_credentials(flash_path.read_bytes()[START:END])
    assert (found.current, found.sectors[0].sequence) == (0, 0)


def test_a_damaged_sector_is_written_over(files: dict[str, Path], flash_path: Path) -> None:
    args = ("provision", "--flash", flash_path, *give(files, "ca"))
    succeed(*args)
    flash = bytearray(flash_path.read_bytes())
    flash[START + 40] ^= 1
    flash_path.write_bytes(flash)
    assert get_states(flash)[0] == ["damaged", "erased"]
    succeed(*args)
    assert get_states(flash_path.read_bytes())[0] == ["valid", "erased"]


def test_an_image_of_a_build_grows_to_the_whole_flash(
    files: dict[str, Path], flash_path: Path
) -> None:
    whole = flash_path.read_bytes()
    short = whole[: 0x10000 + 10_000]
    flash_path.write_bytes(short)
    succeed("provision", "--flash", flash_path, *give(files, "ca"))
    flash = flash_path.read_bytes()
    assert len(flash) == MIB
    assert flash[: len(short)] == short
    assert set(flash[len(short) : START]) == set(flash[END:]) == {0xFF}


def test_the_header_says_how_large_the_flash_is(files: dict[str, Path], flash_path: Path) -> None:
    flash = flash_path.read_bytes()
    flash_path.write_bytes(flash + b"\xff" * (3 * MIB))
    report = json.loads(succeed("provision", "--flash", flash_path, *give(files, "ca"), "--json"))
    assert report["written"] == [START]
    assert flash_path.stat().st_size == 4 * MIB


def test_a_store_of_its_own(files: dict[str, Path], flash_path: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.bin"
    succeed("provision", "--out", store, *give(files, "ca", "cert", "key"))
    succeed("provision", "--flash", flash_path, *give(files, "ca", "cert", "key"))
    assert store.read_bytes() == flash_path.read_bytes()[START:END]
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    made = make_store(Format.NTLS.read(store.read_bytes()))
    assert made == store.read_bytes()
    again = succeed("provision", "--out", store, *give(files, "ca", "cert", "key"))
    assert again.splitlines()[0].startswith("Credentials")
    assert f"{store} exists already" in refuse("provision", "--out", store, *give(files, "ca"))
    succeed("provision", "--out", store, *give(files, "ca"), "--force")
    assert store.stat().st_size == 4 * SECTOR
    assert store.read_bytes()[2 * SECTOR :] == b"\xff" * 2 * SECTOR


def test_a_store_into_a_flash(files: dict[str, Path], flash_path: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.bin"
    succeed("provision", "--out", store, *give(files, "cert", "key"))
    succeed("provision", "--flash", flash_path, *give(files, "ca"))
    succeed("provision", "--flash", flash_path, "--store", store)
    other = shutil.copy(store, tmp_path / "other.bin")
    succeed("provision", "--out", other, "--force", *give(files, "ca", "cert", "key"))
    assert Path(other).read_bytes() == flash_path.read_bytes()[START:END]
    store.write_bytes(b"\xff" * 4 * SECTOR)
    assert "holds no credentials" in refuse("provision", "--flash", flash_path, "--store", store)


def test_show_names_what_is_stored(
    files: dict[str, Path], flash_path: Path, client: Identity
) -> None:
    succeed("provision", "--flash", flash_path, *give(files, "ca", "cert", "key"))
    text = succeed("provision", "show", "--flash", flash_path)
    assert text == succeed("provision", "show", flash_path)
    assert "CN=Clients' root" in text
    assert "private key         EC secp256r1, the certificate's" in text
    assert "number 1" in text
    report = json.loads(succeed("provision", "show", flash_path, "--json"))
    assert report["offset"] == START
    own = report["sets"][1]
    assert own["private_key"] == {"kind": "EC secp256r1", "fits": True}
    printed = print_serial_number(files["cert"])
    assert own["certificates"][0]["serial_number"] == printed
    assert report["sectors"][1]["in_force"] == 0


def print_serial_number(cert_path: Path) -> str:
    """Return a certificate's serial number as openssl prints it, in small letters."""
    command = ["openssl", "x509", "-in", cert_path, "-noout", "-serial"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return result.stdout.strip().partition("=")[2].lower()


@pytest.mark.parametrize("number", ["0xabc", "0x80", "1"])
def test_serial_numbers_as_openssl_prints_them(tmp_path: Path, number: str) -> None:
    cert, store = tmp_path / "own.crt", tmp_path / "store.bin"
    openssl = ["openssl", "req", "-new", "-x509", "-newkey", "ec", "-nodes", "-subj", "/CN=own"]
    openssl += ["-pkeyopt", "ec_paramgen_curve:P-256", "-set_serial", number, "-out", str(cert)]
    openssl += ["-keyout", str(tmp_path / "own.key")]
    subprocess.run(openssl, check=True, capture_output=True, timeout=60)
    printed = print_serial_number(cert)
    checked = json.loads(succeed("cert", "check", cert, "--json"))
    assert checked["certificates"][0]["serial_number"] == printed
    succeed("provision", "--ca", cert, "--out", store)
    [ca, _] = json.loads(succeed("provision", "show", store, "--json"))["sets"]
    assert ca["certificates"][0]["serial_number"] == printed


def test_show_of_nothing(flash_path: Path) -> None:
    assert succeed("provision", "show", flash_path).count("nothing") == 2


def test_an_rsa_client_with_a_chain(flash_path: Path, root: Identity, tmp_path: Path) -> None:
    middle = root.issue_authority("ecdsa", "Middle")
    client = middle.issue_client("rsa", "rsa client")
    written = client.write(tmp_path / "rsa")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(make_pem(client.certificate, middle.certificate))
    succeed("provision", "--flash", flash_path, "--cert", chain, "--key", written.key_path)
    objects = ((1, get_der(client)), (1, get_der(middle)), (2, get_key(client.key)))
    assert get_records(flash_path.read_bytes(), 2) == pack(*objects)


def test_a_key_of_another_certificate(
    files: dict[str, Path], flash_path: Path, root: Identity, tmp_path: Path
) -> None:
    before = flash_path.read_bytes()
    other = root.issue_client("ecdsa", "other").write(tmp_path / "other")
    message = refuse(
        *("provision", "--flash", flash_path, "--cert", files["cert"], "--key", other.key_path)
    )
    assert "Hint: " in message
    assert flash_path.read_bytes() == before


def test_what_does_not_fit_is_refused(flash_path: Path, tmp_path: Path) -> None:
    before = flash_path.read_bytes()
    identity = make_authority("rsa-4096")
    for number in range(4):
        identity = identity.issue_authority("rsa-4096", f"Level {number} {'x' * 50}")
    client = identity.issue_client("ecdsa", "deep")
    written = client.write(tmp_path / "deep")
    chain = tmp_path / "all.pem"
    chain.write_bytes(make_pem(client.certificate, *client.chain))
    message = refuse(
        *("provision", "--flash", flash_path, "--cert", chain, "--key", written.key_path)
    )
    assert "4,064" in message
    assert flash_path.read_bytes() == before


def test_only_credentials_are_written_over(files: dict[str, Path], flash_path: Path) -> None:
    flash = bytearray(b"\xff" * MIB)  # no firmware yet
    flash_path.write_bytes(flash)
    succeed("provision", "--flash", flash_path, *give(files, "ca"))
    flash[START + 3 * SECTOR : END] = b"a" * SECTOR
    flash_path.write_bytes(flash)
    message = refuse("provision", "--flash", flash_path, *give(files, "ca"))
    assert "something else where the credentials belong" in message
    assert flash_path.read_bytes() == bytes(flash)


@pytest.mark.parametrize("grown", [False, True])
def test_firmware_of_others_and_pieces_of_ours(
    files: dict[str, Path], flash_path: Path, tmp_path: Path, grown: bool
) -> None:
    piece = (tmp_path / "build/0x00000.bin").read_bytes()
    others = make_nodemcu(tmp_path / "nodemcu.bin")
    for content in (piece, others):
        before = content.ljust(MIB, b"\xff") if grown else content
        flash_path.write_bytes(before)
        message = refuse("provision", "--flash", flash_path, *give(files, "ca"))
        assert f"{flash_path} has no firmware of this project" in message
        assert "--format nodemcu" in message
        assert flash_path.read_bytes() == before


def test_a_nodemcu_image_that_ends_too_early(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "nodemcu.bin"
    whole = make_nodemcu(path)
    args = ("provision", "--format", "nodemcu", "--flash", path, *give(files, "ca"))
    for length in (0x100, 0x11000, 0x12FFF):
        path.write_bytes(whole[:length])
        assert f"{path} ends at {length:#x}, before the sectors of NodeMCU" in refuse(*args)
        assert path.stat().st_size == length
    path.write_bytes(whole[:0x13000])
    succeed(*args)
    assert path.stat().st_size == 0x13000


def test_a_link_stays_and_what_it_leads_to_is_written(
    files: dict[str, Path], flash_path: Path, tmp_path: Path
) -> None:
    link, store = tmp_path / "link.bin", tmp_path / "store.bin"
    (tmp_path / "middle").symlink_to("flash.bin")
    link.symlink_to("middle")
    assert f"{flash_path}: wrote" in succeed("provision", "--flash", link, *give(files, "ca"))
    assert get_states(flash_path.read_bytes())[0] == ["valid", "erased"]
    link.unlink()
    store.write_bytes(b"old")
    link.symlink_to(store)
    succeed("provision", "--out", link, "--force", *give(files, "ca"))
    assert link.is_symlink()
    assert store.stat().st_size == 4 * SECTOR
    link.unlink()
    link.symlink_to(link)
    refuse("provision", "--flash", link, *give(files, "ca"))


def test_leftovers_of_runs_that_were_killed(
    files: dict[str, Path], flash_path: Path, tmp_path: Path
) -> None:
    args = [*map(str, ("provision", "--flash", flash_path)), *map(str, give(files, "cert", "key"))]
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from nodemcu_tls_build.cli import main\n"
        "main()\n"
    )
    before = flash_path.read_bytes()
    result = subprocess.run([sys.executable, "-c", code, *args], check=False, timeout=60)
    assert result.returncode == -signal.SIGKILL
    [left] = tmp_path.glob(".flash.bin.*.tmp")
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    others = [tmp_path / name for name in (".other.bin.0123456789ab.tmp", ".flash.bin.tmp")]
    for other in others:
        other.write_bytes(b"of others")
    assert flash_path.read_bytes() == before
    succeed(*args)
    assert not left.exists()
    assert all(other.exists() for other in others)


def test_ca_certificates_through_a_pipe(files: dict[str, Path], tmp_path: Path) -> None:
    store = tmp_path / "store.bin"
    succeed("provision", "--out", store, *give(files, "ca"))
    command = f"{sys.executable} -m nodemcu_tls_build provision --out {tmp_path}/other.bin"
    subprocess.run(
        ["bash", "-c", f"{command} --ca <(cat {files['ca']})"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert (tmp_path / "other.bin").read_bytes() == store.read_bytes()


def test_hints_fit_what_was_asked_for(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "rubbish"
    path.write_bytes(b"rubbish")
    message = refuse("provision", "--store", path, "--out", tmp_path / "store.bin")
    assert "Hint: Name a store image, such as one of a fleet's." in message
    assert "or a store image." in refuse(*SHOW, path)
    assert "or a flash that" in refuse("provision", "--flash", path, *give(files, "ca"))


def test_a_pipe_is_not_written_to(files: dict[str, Path]) -> None:
    command = [sys.executable, "-m", "nodemcu_tls_build", "provision", "--out", "/dev/stdout"]
    result = subprocess.run(
        [*command, "--ca", files["ca"]], check=False, capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stdout) == (1, "")
    said = "Error: /dev/stdout is not a regular file: it is not replaced\n"
    assert result.stderr.startswith(said)


def test_an_empty_path_is_wrong_usage(files: dict[str, Path]) -> None:
    result = run_cli("provision", "--out", "", *give(files, "ca"))
    assert result.exit_code == 2
    assert "Invalid value for '--out': the path is empty" in result.stderr


@pytest.mark.parametrize("kind", ["pipe", "device", "directory", "link to a device"])
def test_only_regular_files_are_replaced(files: dict[str, Path], tmp_path: Path, kind: str) -> None:
    path = tmp_path / "store.bin"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path(os.ttyname(os.openpty()[1]))
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/null")
    before = path.lstat()
    message = refuse("provision", "--out", path, "--force", *give(files, "ca"))
    assert "is not a regular file: it is not replaced" in message
    assert (path.lstat().st_mode, path.lstat().st_ino) == (before.st_mode, before.st_ino)


def test_a_store_that_is_encrypted(files: dict[str, Path], tmp_path: Path) -> None:
    store, sealed = tmp_path / "store.bin", tmp_path / "it's a store.bin.cms"
    recipient = make_authority("rsa").write(tmp_path / "recipient")
    succeed("provision", "--out", store, *give(files, "cert", "key"))
    openssl = ["openssl", "cms", "-encrypt", "-binary", "-outform", "DER", "-aes256"]
    subprocess.run(
        [*openssl, "-in", store, "-out", sealed, recipient.cert_path], check=True, timeout=60
    )
    for args in (("provision", "--store", sealed, "--out", tmp_path / "x"), (*SHOW, sealed)):
        message = refuse(*args)
        assert f"{sealed} is encrypted\n" in message
        command = message.partition("Decrypt it into a pipe: ")[2]
        command = command.replace("KEY", str(recipient.key_path))
        command = command.replace("nodemcu-tls", f"{sys.executable} -m nodemcu_tls_build")
        command = command.replace("PORT", f"--out {tmp_path}/x")
        result = subprocess.run(
            ["bash", "-c", command], check=False, capture_output=True, text=True, timeout=60
        )
        assert (result.returncode, result.stderr) == (0, "")
        assert "CN=one" in result.stdout
    assert (tmp_path / "x").read_bytes() == store.read_bytes()


SHOW = ("provision", "show")


def test_a_store_of_the_other_format(files: dict[str, Path], tmp_path: Path) -> None:
    for made, other in (("ntls", "nodemcu"), ("nodemcu", "ntls")):
        store = tmp_path / made
        succeed("provision", "--out", store, "--format", made, *give(files, "ca"))
        message = refuse(*SHOW, store, "--format", other)
        assert f"`nodemcu-tls provision show --format {made}` reads it." in message
        succeed(*SHOW, store, "--format", made)


def test_damaged_text_in_nodemcus_sectors(tmp_path: Path) -> None:
    text = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    sector = struct.pack("<32sH", b"certificate", len(text)) + text
    store = tmp_path / "store.bin"
    store.write_bytes(sector.ljust(2 * SECTOR, b"\xff"))
    assert "unreadable" in succeed(*SHOW, store, "--format", "nodemcu")


def test_a_key_in_another_form_is_the_same(
    files: dict[str, Path], flash_path: Path, client: Identity, root: Identity, tmp_path: Path
) -> None:
    """As Lua's tls.cert.auth stores a key: in whatever form it was given."""
    from test_tls_store import make_sector  # noqa: PLC0415 -- it needs a compiler

    pkcs8 = client.key.private_bytes(DER, serialization.PrivateFormat.PKCS8, PLAIN)
    records = pack((1, get_der(client)), (2, pkcs8))
    flash = bytearray(flash_path.read_bytes())
    at = START + 2 * SECTOR
    flash[at : at + SECTOR] = make_sector(1, 1, records)
    flash_path.write_bytes(flash)
    args = ("provision", "--flash", flash_path)
    said = succeed(*args, *give(files, "cert", "key"))
    assert said.endswith(": all of it was stored already.\n")
    assert flash_path.read_bytes()[START:END] == bytes(flash[START:END])
    other = root.issue_client("ecdsa", "other").write(tmp_path / "other")
    succeed(*args, "--cert", other.cert_path, "--key", other.key_path)
    assert get_states(flash_path.read_bytes())[1] == ["valid", "valid"]
    succeed(*args, *give(files, "cert", "key"))
    assert get_records(flash_path.read_bytes(), 2) == pack(
        (1, get_der(client)), (2, get_key(client.key))
    )


def test_pairs_that_are_no_clients(
    files: dict[str, Path], flash_path: Path, root: Identity, tmp_path: Path
) -> None:
    before = flash_path.read_bytes()
    server = root.issue_server("ecdsa", "server.test").write(tmp_path / "server")
    for pair, said in (
        (root.write(tmp_path / "ca"), "is that of a CA, whose key does not belong on a device"),
        (server, "is not for clients by its extended key usage"),
    ):
        args = ("--cert", pair.cert_path, "--key", pair.key_path)
        assert said in refuse("provision", "--flash", flash_path, *args)
        assert said in refuse("provision", "--out", tmp_path / "store.bin", *args)
    assert flash_path.read_bytes() == before
    assert not (tmp_path / "store.bin").exists()


@pytest.mark.parametrize("content", [b"", b"\xe9", b"no flash", b"x" * 5000], ids=len)
def test_files_that_are_no_flash(files: dict[str, Path], flash_path: Path, content: bytes) -> None:
    flash_path.write_bytes(content)
    refuse("provision", "--flash", flash_path, *give(files, "ca"))
    refuse("provision", "show", flash_path)
    assert flash_path.read_bytes() == content


def test_no_flash_at_all(files: dict[str, Path], tmp_path: Path) -> None:
    message = refuse("provision", "--flash", tmp_path / "none.bin", *give(files, "ca"))
    assert "does not exist" in message
    refuse("provision", "--flash", tmp_path, *give(files, "ca"))
    refuse("provision", "--out", tmp_path / "no" / "dir.bin", *give(files, "ca"))
    assert not (tmp_path / "no").exists()


def test_a_flash_that_an_emulator_has(files: dict[str, Path], flash_path: Path) -> None:
    import fcntl  # noqa: PLC0415 -- of this test alone

    with flash_path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        message = refuse("provision", "--flash", flash_path, *give(files, "ca"))
    assert f"{flash_path} is in use, by an emulator or by another provision" in message


@pytest.mark.parametrize(
    "names",
    [(), ("cert",), ("key",), ("ca", "key")],
    ids="+".join,
)
def test_halves_are_wrong_usage(files: dict[str, Path], names: tuple[str, ...]) -> None:
    result = run_cli("provision", "--flash", "x.bin", *give(files, *names))
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_two_targets_are_wrong_usage(files: dict[str, Path]) -> None:
    args = ("--flash", "x", "--out", "y", *give(files, "ca"))
    assert run_cli("provision", *args).exit_code == 2
    assert run_cli("provision", "--flash", "x", "/dev/ttyS0", *give(files, "ca")).exit_code == 2


def make_nodemcu(path: Path, sectors: bytes = b"\0" * 2 * SECTOR) -> bytes:
    """Write NodeMCU firmware's image, with its area for certificates as the linker leaves it."""
    boot = struct.pack("<BBBBI", 0xE9, 1, 0, 0x40, 0x40100000) + os.urandom(3000)
    flash = boot.ljust(0x11000, b"\xff") + sectors + os.urandom(300 * KIB)
    path.write_bytes(flash)
    return flash


def read_nodemcu(sector: bytes) -> list[tuple[bytes, bytes]]:
    """Read a sector as NodeMCU's firmware does."""
    objects = []
    at = 0
    while True:
        name, length = struct.unpack_from("<32sH", sector, at)
        if length == 0xFFFF:
            return objects
        objects.append((name.rstrip(b"\0"), sector[at + 34 : at + 34 + length]))
        at += 34 + length


def test_sectors_of_nodemcu(
    files: dict[str, Path], tmp_path: Path, root: Identity, client: Identity
) -> None:
    path = tmp_path / "nodemcu.bin"
    before = make_nodemcu(path)
    args = ("provision", "--format", "nodemcu", "--flash", path)
    succeed(*args, *give(files, "ca"))
    flash = path.read_bytes()
    assert flash[:0x11000] + flash[0x12000:] == before[:0x11000] + before[0x12000:]
    assert read_nodemcu(flash[0x11000:0x12000]) == [(b"certificate", get_der(root))]
    succeed(*args, *give(files, "cert", "key"))
    flash = path.read_bytes()
    assert flash[:0x11000] + flash[0x13000:] == before[:0x11000] + before[0x13000:]
    assert read_nodemcu(flash[0x11000:0x12000]) == [(b"certificate", get_der(root))]
    assert read_nodemcu(flash[0x12000:0x13000]) == [
        (b"certificate", get_der(client)),
        (b"private_key", get_key(client.key)),
    ]
    assert "all of it was stored already" in succeed(*args, *give(files, "ca", "cert", "key"))
    text = succeed("provision", "show", path, "--format", "nodemcu")
    assert "CN=one" in text
    assert "EC secp256r1, the certificate's" in text


def test_only_nodemcu_is_taken_for_nodemcu(
    files: dict[str, Path], flash_path: Path, tmp_path: Path
) -> None:
    own = flash_path.read_bytes()
    args = ("provision", "--format", "nodemcu", *give(files, "ca"), "--flash")
    assert "has the firmware of build" in refuse(*args, flash_path)
    assert flash_path.read_bytes() == own
    path = tmp_path / "nodemcu.bin"
    before = make_nodemcu(path, os.urandom(2 * SECTOR))
    assert "is not NodeMCU firmware" in refuse(*args, path)
    assert path.read_bytes() == before
    assert "no certificates" in refuse("provision", "show", path, "--format", "nodemcu")


def test_several_are_text_for_nodemcu(tmp_path: Path) -> None:
    roots = [make_authority("ecdsa", f"CA {n}") for n in range(2)]
    text = make_pem(*(root.certificate for root in roots))
    ca_path = tmp_path / "two.crt"
    ca_path.write_bytes(text)
    store = tmp_path / "store.bin"
    succeed("provision", "--format", "nodemcu", "--ca", ca_path, "--out", store)
    assert store.stat().st_size == 2 * SECTOR
    assert read_nodemcu(store.read_bytes()) == [(b"certificate", text)]
    shown = json.loads(succeed("provision", "show", store, "--format", "nodemcu", "--json"))
    assert len(shown["sets"][0]["certificates"]) == 2


def test_an_encrypted_key(files: dict[str, Path], client: Identity, tmp_path: Path) -> None:
    secret = serialization.BestAvailableEncryption(b"open sesame")
    form = serialization.PrivateFormat.PKCS8
    files["key"].write_bytes(client.key.private_bytes(serialization.Encoding.PEM, form, secret))
    store, passphrase = tmp_path / "store.bin", tmp_path / "passphrase"
    args = ("provision", "--out", store, *give(files, "cert", "key"))
    assert "--passphrase-file" in refuse(*args)
    assert "passphrase" in refuse(*args, "--passphrase-file", passphrase)
    for text in ("open sesame", "open sesame\n", "open sesame\r\n"):
        passphrase.write_text(text, newline="")
        succeed(*args, "--passphrase-file", passphrase)
    passphrase.write_text("close sesame\n")
    message = refuse(*args, "--passphrase-file", passphrase)
    assert "sesame" not in message
    assert not store.exists() or get_key(client.key) in store.read_bytes()
