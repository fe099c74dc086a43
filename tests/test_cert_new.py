"""A CA, servers and clients of one's own: judged by OpenSSL, in handshakes, and as files."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from emulated import HOST
from lua_steps import run_steps
from pki import make_authority, make_pem
from servers import START_LIMIT, start_server, wait_for_line
from test_provision import refuse, run_cli, succeed

from nodemcu_tls_build.certs import new_files
from nodemcu_tls_build.certs.new_files import NewFile, write_together
from nodemcu_tls_build.errors import OutputError


def new(*args: str | Path) -> Any:
    """Make what must succeed; return what is told of it."""
    return json.loads(succeed("cert", *args, "--json"))


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def run_openssl(*args: str | Path) -> str:
    command = ["openssl", *map(str, args)]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def list_all(directory: Path) -> dict[str, bytes]:
    """Return what is in a directory, hidden files, too."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """Return a directory with a CA in it."""
    new("new-ca", "--out", tmp_path / "pki", "--name", "Our CA")
    return tmp_path / "pki"


@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
def test_openssl_verifies_what_was_made(pki: Path, purpose: str) -> None:
    new("new-server", "server.test", "--out", pki)
    new("new-client", "device-1", "--out", pki)
    good, bad = ("server.test", "device-1")[:: 1 if purpose == "sslserver" else -1]
    verify = ("verify", "-x509_strict", "-purpose", purpose, "-CAfile", pki / "ca.crt")
    assert "OK" in run_openssl(*verify, pki / f"{good}.crt")
    with pytest.raises(AssertionError, match="unsuitable certificate purpose"):
        run_openssl(*verify, pki / f"{bad}.crt")
    for name in ("ca", good, bad):
        public = run_openssl("pkey", "-in", pki / f"{name}.key", "-pubout")
        assert public == run_openssl("x509", "-in", pki / f"{name}.crt", "-noout", "-pubkey")


def test_extensions(pki: Path) -> None:
    new("new-server", "server.test", "--out", pki)
    new("new-client", "one", "--out", pki)
    ca = load(pki / "ca.crt")
    made = {name: load(pki / f"{name}.crt").extensions for name in ("ca", "server.test", "one")}
    critical = {name: {e.oid._name for e in found if e.critical} for name, found in made.items()}
    assert set(map(frozenset, critical.values())) == {frozenset({"basicConstraints", "keyUsage"})}
    basic = {n: e.get_extension_for_class(x509.BasicConstraints).value for n, e in made.items()}
    assert basic["ca"] == x509.BasicConstraints(ca=True, path_length=0)
    assert basic["one"] == basic["server.test"] == x509.BasicConstraints(False, None)
    usage = {n: e.get_extension_for_class(x509.KeyUsage).value for n, e in made.items()}
    assert (usage["ca"].key_cert_sign, usage["ca"].digital_signature) == (True, False)
    assert (usage["one"].key_cert_sign, usage["one"].digital_signature) == (False, True)
    own = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    for name in ("server.test", "one"):
        key = load(pki / f"{name}.crt").public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"
        subject_id = made[name].get_extension_for_class(x509.SubjectKeyIdentifier).value
        assert subject_id == x509.SubjectKeyIdentifier.from_public_key(key)
        above = made[name].get_extension_for_class(x509.AuthorityKeyIdentifier).value
        assert above.key_identifier == own.digest


def test_names_of_a_server(pki: Path) -> None:
    names = ("Server.Test", "192.0.2.7", "*.example.org", "::1", "server.test")
    [made] = new("new-server", *names, "--out", pki)["made"]
    assert made["names"] == ["server.test", "192.0.2.7", "*.example.org", "::1"]
    found = load(Path(made["certificate"])).extensions
    alternative = found.get_extension_for_class(x509.SubjectAlternativeName).value
    dns = alternative.get_values_for_type(x509.DNSName)
    addresses = alternative.get_values_for_type(x509.IPAddress)
    assert (dns, list(map(str, addresses))) == (
        ["server.test", "*.example.org"],
        ["192.0.2.7", "::1"],
    )
    verify = ("verify", "-CAfile", pki / "ca.crt", pki / "server.test.crt")
    run_openssl(*verify[:-1], "-verify_hostname", "x.example.org", verify[-1])
    run_openssl(*verify[:-1], "-verify_ip", "192.0.2.7", verify[-1])
    with pytest.raises(AssertionError, match="hostname mismatch"):
        run_openssl(*verify[:-1], "-verify_hostname", "example.org", verify[-1])


@pytest.mark.parametrize(
    ("name", "file_name"),
    [("*.example.org", "_.example.org"), ("::1", "__1"), ("x" * 63 + ".y", "x" * 63 + ".y")],
)
def test_file_names_of_servers(pki: Path, name: str, file_name: str) -> None:
    [made] = new("new-server", name, "--out", pki)["made"]
    assert Path(made["certificate"]) == pki / f"{file_name}.crt"
    assert made["names"] == [name]


def test_dates_and_serial_numbers(tmp_path: Path) -> None:
    new("new-ca", "--out", tmp_path, "--days", "100")
    new("new-server", "a.test", "--out", tmp_path, "--days", "7")
    told = succeed("cert", "new-client", "one", "two", "--out", tmp_path)
    ca, server, one, two = (load(tmp_path / f"{n}.crt") for n in ("ca", "a.test", "one", "two"))
    now, day = datetime.now(UTC), timedelta(days=1)
    for certificate, days in ((ca, 100), (server, 7), (one, 100)):
        assert now - 2 * day < certificate.not_valid_before_utc <= now - day
        end = certificate.not_valid_after_utc
        assert now + (days - 1) * day < end <= now + days * day
        assert 0 < certificate.serial_number < 1 << 159
    assert one.not_valid_after_utc == ca.not_valid_after_utc
    assert "That is when the CA's certificate ends: 3650 days were asked for." in told
    assert len({one.serial_number, two.serial_number, ca.serial_number}) == 3
    assert one.serial_number.bit_length() > 100


@pytest.mark.parametrize(("command", "days"), [("new-server", 397), ("new-client", 3650)])
def test_default_days(tmp_path: Path, command: str, days: int) -> None:
    new("new-ca", "--out", tmp_path, "--days", "9000")
    [made] = new(command, "one", "--out", tmp_path)["made"]
    length = datetime.fromisoformat(made["not_after"]) - datetime.fromisoformat(made["not_before"])
    assert length == timedelta(days=days + 1)  # it begins a day ago


def test_keys_are_never_readable_to_others(tmp_path: Path, monkeypatch: Any) -> None:
    modes = []
    put_in_place = new_files._put_in_place

    def look(staged: Any, *, replace: bool) -> None:
        modes.append((staged.path.suffix, stat.S_IMODE(staged.temp_path.stat().st_mode)))
        put_in_place(staged, replace=replace)

    monkeypatch.setattr(new_files, "_put_in_place", look)
    opened = []
    os_open = os.open

    def note(path: Any, flags: int, mode: int = 0o777, **kwargs: Any) -> int:
        if flags & os.O_CREAT:
            opened.append(mode)
        return os_open(path, flags, mode, **kwargs)

    monkeypatch.setattr(os, "open", note)
    before = os.umask(0)
    try:
        new("new-ca", "--out", tmp_path)
        new("new-server", "a.test", "--out", tmp_path)
        new("new-client", "one", "--out", tmp_path)
    finally:
        os.umask(before)
    assert modes == [(".key", 0o600), (".crt", 0o644)] * 3
    assert opened == [0o600, 0o644] * 3  # as they are made, before the first byte
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.key")} == {0o600}


def test_nothing_is_replaced_unless_forced(pki: Path) -> None:
    new("new-client", "two", "--out", pki)
    (pki / "one.key").write_text("somebody's")
    for taken in (("new-ca",), ("new-client", "zero", "one"), ("new-client", "zero", "two")):
        before = list_all(pki)
        said = refuse("cert", *taken, "--out", pki)
        assert "already: nothing was written" in said and "--force" in said
        assert list_all(pki) == before
    new("new-client", "zero", "one", "two", "--out", pki, "--force")
    after = list_all(pki)
    assert sorted(set(after) - set(before)) == ["one.crt", "zero.crt", "zero.key"]
    assert all(after[name] != before[name] for name in ("one.key", "two.key", "two.crt"))
    assert stat.S_IMODE((pki / "one.key").stat().st_mode) == 0o600
    new("new-ca", "--out", pki, "--force")
    assert list_all(pki)["ca.crt"] != before["ca.crt"]


def test_the_ca_is_not_replaced_by_what_it_issues(pki: Path) -> None:
    before = list_all(pki)
    for command in ("new-server", "new-client"):
        said = refuse("cert", command, "ca", "--out", pki, "--force")
        assert "is the CA's own file: it is not replaced" in said
    assert list_all(pki) == before


def test_a_file_that_comes_in_between_stays(tmp_path: Path, monkeypatch: Any) -> None:
    files = [NewFile(tmp_path / name, b"new", 0o600) for name in ("a", "b")]
    stage = new_files._stage

    def stage_late(file: NewFile, leftovers: Any) -> Any:
        (tmp_path / "b").write_bytes(b"theirs")
        return stage(file, leftovers)

    monkeypatch.setattr(new_files, "_stage", stage_late)
    with pytest.raises(OutputError, match="exists already: nothing was written"):
        write_together(files, replace=False)
    assert list_all(tmp_path) == {"b": b"theirs"}


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), SystemExit(143)])
@pytest.mark.parametrize("has_old", [False, True])
@pytest.mark.parametrize("links", [True, False])
def test_interrupted_writing_leaves_what_was(
    tmp_path: Path,
    monkeypatch: Any,
    failure: BaseException,
    has_old: bool,
    links: bool,
) -> None:
    """When the last of three files is put in place, the others are there already."""
    files = [NewFile(tmp_path / name, b"new", 0o600) for name in ("a", "b", "c")]
    if has_old:
        for file in files[:2]:
            file.path.write_bytes(b"old")
    before = list_all(tmp_path)
    link, rename = os.link, Path.rename
    reached = []

    def fail(target: Path) -> None:
        if target.name == "c":
            reached.append((tmp_path / "a").read_bytes())
            raise failure

    def link_until_last(source: Path, target: Path, **options: bool) -> None:
        if not links:
            raise OSError(1, "Operation not permitted")
        fail(target)
        link(source, target, **options)

    def rename_until_last(self: Path, target: Path) -> Path:
        fail(target)
        return rename(self, target)

    monkeypatch.setattr(os, "link", link_until_last)
    monkeypatch.setattr(Path, "rename", rename_until_last)
    with pytest.raises(OutputError if isinstance(failure, OSError) else SystemExit):
        write_together(files, replace=has_old)
    assert reached[0] == b"new"
    assert list_all(tmp_path) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from nodemcu_tls_build.cli import main
left = int(sys.argv.pop(1))
def kill_at(call):
    def count(*args, **options):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **options)
    return count
os.link, Path.rename = kill_at(os.link), kill_at(Path.rename)
main()
"""


@pytest.mark.parametrize("force", [False, True], ids=["new", "replaced"])
def test_killed_while_writing(tmp_path: Path, force: bool) -> None:
    """A run that gets the next time to write removes what is left, and no run before."""
    succeed("cert", "new-ca", "--out", tmp_path)
    args = ["cert", "new-client", *("one", "two", "three"), "--out", str(tmp_path)]
    names = {"ca.crt", "ca.key"}
    if force:
        succeed(*args)
        args.append("--force")
        names |= {path.name for path in tmp_path.iterdir()}
    (tmp_path / ".0123.tmp").write_bytes(b"of somebody else")
    names.add(".0123.tmp")
    for count in (1, 4, 6):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(count), *args, "--force"], check=False, timeout=60
        )
        assert killed.returncode == -signal.SIGKILL
        left = {path.name for path in tmp_path.iterdir() if path.name.startswith(".")}
        assert len(left) > 6
        if force:  # each is the old one or the new one
            assert names <= {path.name for path in tmp_path.iterdir()}
    with open_directory(tmp_path) as somebody_writing:
        fcntl.flock(somebody_writing, fcntl.LOCK_SH)
        succeed("cert", "new-client", "four", "--out", tmp_path)
        assert left <= {path.name for path in tmp_path.iterdir()}
    succeed("cert", "new-client", "five", "--out", tmp_path)
    hidden = {path.name for path in tmp_path.iterdir() if path.name.startswith(".")}
    assert hidden == {".0123.tmp"}
    succeed(*args, "--force")
    made = {
        f"{name}.{end}"
        for name in ("one", "two", "three", "four", "five")
        for end in ("crt", "key")
    }
    assert {path.name for path in tmp_path.iterdir()} == names | made


@contextmanager
def open_directory(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_a_signal_while_writing(tmp_path: Path) -> None:
    """The process ends itself between two files, as `kill` would."""
    code = f"""
import os, signal, sys
from nodemcu_tls_build.certs import new_files
put = new_files._put_in_place
def put_and_end(one, *, replace):
    put(one, replace=replace)
    print(sorted(os.listdir({str(tmp_path)!r})), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
new_files._put_in_place = put_and_end
from nodemcu_tls_build.cli import main
sys.argv = ["nodemcu-tls", "cert", "new-ca", "--out", {str(tmp_path)!r}]
main()
"""
    result = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 128 + signal.SIGTERM, result.stderr
    assert "'ca.key'" in result.stdout
    assert list_all(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "it is empty"),
        ("a b", "a blank"),
        ("bücher.test", "it is not ASCII"),
        ("https://a.test", "a URL"),
        ("a.test:443", "has a port"),
        ("../a", "a slash"),
        ("*", "a * can only stand in front"),
        ("a.*.test", "a * can only stand in front"),
        ("10.0.0", "looks like an IP address"),
        ("-a.test", "hyphens"),
        ("a..test", "hyphens"),
        ("a" * 64 + ".test", "too long"),
        (".".join(["a" * 50] * 6), "too long"),
    ],
)
def test_names_that_no_server_has(pki: Path, name: str, fault: str) -> None:
    before = list_all(pki)
    said = refuse("cert", "new-server", "--out", pki, "--", "good.test", name)
    assert fault in said and "Hint: Give " in said
    assert list_all(pki) == before


def test_the_idna_form_is_told(pki: Path) -> None:
    assert "xn--bcher-kva.test" in refuse("cert", "new-server", "bücher.test", "--out", pki)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "it is empty"),
        ("a b", "a blank"),
        ("../a", "another directory"),
        ("/a", "another directory"),
        ("..", "hidden"),
        ("-a", "an option"),
        ("a\x1b[2J", "cannot be shown"),
        ("a" * 65, "longer than 64"),
        ("\U0001f600" * 60, "longer than"),
    ],
)
def test_names_that_no_client_has(pki: Path, name: str, fault: str) -> None:
    before = list_all(pki)
    said = refuse("cert", "new-client", "--out", pki, "--", "good", name)
    assert fault in said and "Hint: Give " in said
    assert list_all(pki) == before
    assert "\x1b" not in said


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a" * 65])
def test_names_that_no_ca_has(tmp_path: Path, name: str) -> None:
    refuse("cert", "new-ca", "--out", tmp_path, "--name", name)
    assert list_all(tmp_path) == {}


def test_days_that_cannot_be(tmp_path: Path) -> None:
    for days in ("0", "-1", "36501", "x", "99999999999999999999"):
        result = run_cli("cert", "new-ca", "--out", tmp_path, "--days", days)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--days" in result.stderr
    assert list_all(tmp_path) == {}


def test_issuers_that_cannot_issue(pki: Path, tmp_path: Path) -> None:
    other = new("new-ca", "--out", tmp_path / "other")["made"][0]
    new("new-server", "a.test", "--out", pki)
    past = make_authority("ecdsa", "Old", end=timedelta(hours=-1)).write(tmp_path / "past")
    out = tmp_path / "out"
    cases: list[tuple[Path, Path, str]] = [
        (pki / "a.test.crt", pki / "a.test.key", "is not a CA"),
        (pki / "ca.crt", Path(other["key"]), "is not that of the certificate in"),
        (past.cert_path, past.key_path, "expired on"),
        (pki / "none.crt", pki / "none.key", "there is no CA"),
        (pki / "ca.key", pki / "ca.key", "holds no certificate"),
        (pki / "ca.crt", pki / "ca.crt", "holds no private key"),
    ]
    for cert_path, key_path, fault in cases:
        issuer = ("--ca-cert", cert_path, "--ca-key", key_path)
        said = refuse("cert", "new-client", "one", "--out", out, *issuer)
        assert fault in said and "\nHint: " in said
    result = run_cli("cert", "new-client", "one", "--out", out, "--ca-cert", pki / "ca.crt")
    assert result.exit_code == 2 and "go together" in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"), "has a key for RSA-PSS alone"),
        (
            ("ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"),
            "spells its curve out",
        ),
        (
            ("rsa:2048", "-addext", "nameConstraints=critical,permitted;DNS:test"),
            "the critical extension nameConstraints",
        ),
        (
            ("rsa:2048", "-addext", "extendedKeyUsage=clientAuth"),
            "may not issue for servers by its extended key usage",
        ),
    ],
)
def test_issuers_whose_certificates_nobody_could_use(
    tmp_path: Path, options: tuple[str, ...], fault: str
) -> None:
    files = ("-keyout", tmp_path / "odd.key", "-out", tmp_path / "odd.crt", "-subj", "/CN=Odd")
    run_openssl("req", "-x509", "-newkey", *options, "-nodes", "-days", "9", *files)
    issuer = ("--ca-cert", tmp_path / "odd.crt", "--ca-key", tmp_path / "odd.key")
    said = refuse("cert", "new-server", "a.test", "--out", tmp_path / "out", *issuer)
    assert fault in said and "\nHint: " in said
    assert not (tmp_path / "out").exists()


def test_encrypted_keys(tmp_path: Path) -> None:
    pki = tmp_path / "pki"
    (tmp_path / "ca.txt").write_text("of the CA\n")
    (tmp_path / "new.txt").write_bytes(b"of the device\r\n")
    (tmp_path / "empty.txt").write_text("\n")
    new("new-ca", "--out", pki, "--passphrase-file", tmp_path / "ca.txt")
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in (pki / "ca.key").read_bytes()
    with pytest.raises(TypeError):
        serialization.load_pem_private_key((pki / "ca.key").read_bytes(), None)
    before = list_all(pki)
    assert "is encrypted" in refuse("cert", "new-client", "one", "--out", pki)
    wrong = ("--passphrase-file", tmp_path / "new.txt")
    assert "passphrase" in refuse("cert", "new-client", "one", "--out", pki, *wrong)
    right = ("--passphrase-file", tmp_path / "ca.txt")
    empty = ("--new-passphrase-file", tmp_path / "empty.txt")
    assert "is empty" in refuse("cert", "new-client", "one", "--out", pki, *right, *empty)
    assert list_all(pki) == before
    new("new-client", "one", "--out", pki, *right, "--new-passphrase-file", tmp_path / "new.txt")
    key = (pki / "one.key").read_bytes()
    loaded = serialization.load_pem_private_key(key, b"of the device")
    public = load(pki / "one.crt").public_key()
    assert loaded.public_key() == public


def test_below_an_intermediate_ca(tmp_path: Path) -> None:
    """A server's file has the CAs between it and its root, as servers send them."""
    root = make_authority("ecdsa", "Root")
    middle = root.issue_authority("rsa", "Middle")
    files = middle.write(tmp_path / "middle")
    files.cert_path.write_bytes(make_pem(middle.certificate, root.certificate))
    issuer = ("--ca-cert", files.cert_path, "--ca-key", files.key_path)
    new("new-server", "a.test", "--out", tmp_path, *issuer)
    found = x509.load_pem_x509_certificates((tmp_path / "a.test.crt").read_bytes())
    assert found[1:] == [middle.certificate]
    root_path = tmp_path / "root.crt"
    root_path.write_bytes(make_pem(root.certificate))
    chain = tmp_path / "a.test.crt"
    assert "OK" in run_openssl("verify", "-CAfile", root_path, "-untrusted", chain, chain)
    assert found[0].not_valid_after_utc == middle.certificate.not_valid_after_utc


def test_what_is_said(tmp_path: Path) -> None:
    pki = tmp_path / "a b"
    said = succeed("cert", "new-ca", "--out", pki)
    assert f"Next: nodemcu-tls build --ca '{pki}/ca.crt'" in said
    assert f"nodemcu-tls cert new-server server.test --out '{pki}'" in said
    said = succeed("cert", "new-server", "a.test", "--out", pki)
    files = f"-cert '{pki}/a.test.crt' -key '{pki}/a.test.key'"
    assert f"Next: openssl s_server -accept 4433 {files} -www" in said
    said = succeed("cert", "new-client", "one", "two", "--out", pki)
    assert said.count("nodemcu-tls provision PORT --ca") == 2
    told = new("new-client", "three", "--out", pki)
    [made] = told["made"]
    certificate = load(pki / "three.crt")
    assert int(made["serial_number"], 16) == certificate.serial_number
    assert made["kind"] == "client" and made["name"] == "three"
    refused = run_cli("cert", "new-client", "three", "--out", pki, "--json")
    assert json.loads(refused.stdout)["error"]["kind"] == "OutputError"


def test_no_key_is_told(pki: Path) -> None:
    for args in (("new-server", "a.test"), ("new-client", "one", "--json")):
        said = succeed("cert", *args, "--out", pki)
        assert "PRIVATE" not in said
        for path in pki.glob("*.key"):
            assert all(line not in said for line in path.read_text().splitlines()[1:-1])


@pytest.fixture
def server_port(pki: Path) -> Iterator[int]:
    """Run a server that lets in the CA's clients only; return its port."""
    new("new-server", HOST, "127.0.0.1", "--out", pki)
    files = ("-cert", f"{HOST}.crt", "-key", f"{HOST}.key", "-CAfile", "ca.crt")
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", *files, "-www"]
    command += ["-Verify", "1", "-verify_return_error"]
    with start_server(command, pki / "server.log", cwd=pki) as process:
        match = wait_for_line(process, pki / "server.log", r"^ACCEPT .*:(\d+)$", START_LIMIT)
        yield int(match[1])


def shake_hands(port: int, pki: Path, *options: str) -> str:
    """Return what a client says of a connection."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", "ca.crt"]
    command += ["-verify_hostname", HOST, "-verify_return_error", *options]
    request = "GET / HTTP/1.0\r\n\r\n"
    result = subprocess.run(
        command, check=False, input=request, capture_output=True, text=True, timeout=30, cwd=pki
    )
    return result.stdout + result.stderr


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_mutual_tls(pki: Path, server_port: int, version: str, tmp_path: Path) -> None:
    new("new-client", "one", "--out", pki)
    client = ("-cert", "one.crt", "-key", "one.key", version, "-ign_eof")
    said = shake_hands(server_port, pki, *client)
    assert "Verify return code: 0 (ok)" in said and "HTTP/1.0 200 ok" in said
    assert "HTTP/1.0 200" not in shake_hands(server_port, pki, version, "-ign_eof")
    new("new-ca", "--out", tmp_path / "other", "--name", "Our CA")
    new("new-client", "one", "--out", tmp_path / "other")
    strange = [f"{tmp_path}/other/one.{end}" for end in ("crt", "key")]
    stranger = ("-cert", strange[0], "-key", strange[1], version, "-ign_eof")
    assert "HTTP/1.0 200" not in shake_hands(server_port, pki, *stranger)


def test_on_the_emulated_chip(
    build_firmware: Callable[[Path | None], Path], pki: Path, server_port: int, tmp_path: Path
) -> None:
    """The CA that is built in verifies the server, the client's pair lets the device in."""
    new("new-client", "device-1", "--out", pki)
    build_dir = build_firmware(pki / "ca.crt")
    flash_path = Path(shutil.copy(build_dir / "flash.bin", tmp_path / "flash.bin"))
    pair = ("--cert", pki / "device-1.crt", "--key", pki / "device-1.key")
    succeed("provision", "--flash", flash_path, *pair)
    script = """
        print(tls.cert.verify(true), tls.cert.auth(true))
        print(connect(port, { resume = false }))
        print(connect(port, { resume = false }, "other.test"))
    """
    flash = ("--flash", str(flash_path), "--add-host", "other.test:host-gateway")
    lines = run_steps(build_dir, script, *flash, port=server_port)
    assert lines[:2] == ["true\ttrue", "open"]
    assert "not for this host name" in lines[2]
    log = (pki / "server.log").read_text()
    assert re.search(r"^depth=0 CN = device-1\nverify return:1$", log, re.MULTILINE)
