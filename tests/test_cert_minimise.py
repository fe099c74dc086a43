"""Of a bundle, the roots that chains need: found by signatures, in files and from servers."""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from peers import hold_closed_port, run_s_server
from pki import Identity, IdentityFiles, make_authority, make_key, make_pem
from test_cert_new import run_openssl
from test_provision import refuse, run_cli, succeed

from nodemcu_tls_build.certs import load_ca_file
from nodemcu_tls_build.certs.presented import Host, fetch_chains, parse_host
from nodemcu_tls_build.certs.store_write import Credentials
from nodemcu_tls_build.errors import CertificateError

DAY = timedelta(days=1)
NAMES = [f"Root {number}" for number in range(5)]


def issue_again(
    old: Identity, issuer: Identity, *, end: timedelta = 300 * DAY, ca: bool = True
) -> Identity:
    """Certify the same name and key once more."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.certificate.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(old.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 9 * DAY)
        .not_valid_after(now + end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    return Identity(old.key, builder.sign(issuer.key, hashes.SHA256()))


@pytest.fixture(scope="module")
def roots() -> list[Identity]:
    return [make_authority("rsa" if name[-1] == "3" else "ecdsa", name) for name in NAMES]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes certificates to a file of this name."""

    def write(name: str, *identities: Identity | x509.Certificate) -> Path:
        found = [one.certificate if isinstance(one, Identity) else one for one in identities]
        (tmp_path / name).write_bytes(make_pem(*found))
        return tmp_path / name

    return write


@pytest.fixture
def bundle_path(roots: list[Identity], write: Callable[..., Path]) -> Path:
    return write("bundle.pem", *roots)


def minimise(*args: str | Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(succeed("cert", "minimise", *args, "--json"))
    return result


def keep(*args: str | Path) -> list[str]:
    """Return the subjects that are kept, as they stand in the PEM that is made."""
    text = minimise(*args)["pem"]
    found = x509.load_pem_x509_certificates(text.encode())
    return [one.subject.rfc4514_string().removeprefix("CN=") for one in found]


def write_chain(identity: Identity, path: Path) -> Path:
    path.write_bytes(make_pem(identity.certificate, *identity.chain))
    return path


def test_the_roots_that_chains_need(
    roots: list[Identity], bundle_path: Path, tmp_path: Path
) -> None:
    middle = roots[1].issue_authority("ecdsa", "Middle")
    low = middle.issue_authority("rsa", "Low")
    one = write_chain(low.issue_server("ecdsa", "one.test"), tmp_path / "one.pem")
    three = write_chain(roots[3].issue_server("ecdsa", "three.test"), tmp_path / "three.pem")
    assert keep(bundle_path, "--chain", three, "--chain", one) == ["Root 1", "Root 3"]
    assert keep(bundle_path, "--chain", one) == ["Root 1"]
    out_path = tmp_path / "server-ca.crt"
    succeed("cert", "minimise", bundle_path, "--chain", one, "--out", out_path)
    run_openssl("verify", "-CAfile", out_path, "-untrusted", one, one)
    with pytest.raises(AssertionError, match="unable to get local issuer"):
        run_openssl("verify", "-CAfile", out_path, "-untrusted", three, three)


def test_what_is_written(roots: list[Identity], bundle_path: Path, tmp_path: Path) -> None:
    chain = write_chain(roots[2].issue_server("ecdsa", "a.test"), tmp_path / "a.pem")
    twin = write_chain(roots[2].issue_server("ecdsa", "b.test"), tmp_path / "b.pem")
    out_path = tmp_path / "new" / "ca.crt"
    args = ("cert", "minimise", bundle_path, "--chain", chain, "--chain", twin)
    said = succeed(*args, "--out", out_path)
    root = roots[2].certificate
    comment = f"# CN=Root 2: valid until {root.not_valid_after_utc:%Y-%m-%d}; for {chain}, {twin}\n"
    assert out_path.read_text() == comment + make_pem(root).decode()
    ders = [one.certificate.public_bytes(serialization.Encoding.DER) for one in roots]
    sizes = [len(Credentials(ca).make_records(0)) for ca in ((ders[2],), tuple(ders))]
    assert said == (
        f"Kept 1 of 5 roots: {sizes[0]:,} of {sizes[1]:,} bytes; a store's sector holds 4,064.\n"
    )
    bundle = load_ca_file(out_path, now=datetime.now(UTC))  # what a build makes of it
    assert bundle.der == (ders[2],)
    shown = run_cli(*args)
    assert (shown.stdout, shown.stderr) == (out_path.read_text(), said)
    told = minimise(bundle_path, "--chain", chain, "--out", tmp_path / "again.crt")
    assert told["store"] == {"before": sizes[1], "after": sizes[0], "room": 4064}
    assert told["file"] == str(tmp_path / "again.crt") and "pem" not in told
    assert told["kept"][0]["for"] == [str(chain)]


def test_the_same_from_the_same(roots: list[Identity], bundle_path: Path, tmp_path: Path) -> None:
    """Neither the order of the chains nor running it again makes a difference to the roots."""
    chains = [
        write_chain(one.issue_server("ecdsa", "a.test"), tmp_path / f"{number}.pem")
        for number, one in enumerate(roots)
    ]
    kept = set()
    for seed in range(4):
        random.Random(seed).shuffle(chains)  # noqa: S311 -- no secret
        args = [part for chain in chains for part in ("--chain", chain)]
        kept.add(tuple(keep(bundle_path, *args)))
    assert kept == {tuple(NAMES)}
    assert minimise(bundle_path, *args) == minimise(bundle_path, *args)


def test_text_of_a_bundle(roots: list[Identity], tmp_path: Path) -> None:
    """Text between, CRLF, a byte order mark, roots twice, a damaged one that nobody needs."""
    pems = [make_pem(one.certificate) for one in roots]
    damaged = pems[4].replace(b"MII", b"M!I", 1)
    data = b"\xef\xbb\xbfRoot 0\n======\n" + pems[0] + b"some \xe9 words\n" + damaged
    data += pems[1] + pems[0] + b"the end\n"
    bundle_path = tmp_path / "bundle.pem"
    bundle_path.write_bytes(data.replace(b"\n", b"\r\n"))
    chain = write_chain(roots[1].issue_server("ecdsa", "a.test"), tmp_path / "a.pem")
    told = minimise(bundle_path, "--chain", chain)
    assert [one["subject"] for one in told["kept"]] == ["CN=Root 1"]
    assert told["roots"] == 2
    [warning] = told["warnings"]
    assert "left out" in warning and "CERTIFICATE is not base64" in warning


def test_one_name_and_several_keys(roots: list[Identity], write: Callable[..., Path]) -> None:
    """Signatures decide, not names."""
    twins = [make_authority(kind, "Twin") for kind in ("ecdsa", "ecdsa", "rsa")]
    bundle_path = write("twins.pem", roots[0], *twins)
    for number, twin in enumerate(twins):
        chain = write(f"{number}.pem", twin.issue_server("ecdsa", "a.test"))
        text = minimise(bundle_path, "--chain", chain)["pem"]
        assert x509.load_pem_x509_certificates(text.encode()) == [twin.certificate]
    stranger = make_authority("ecdsa", "Twin")
    chain = write("stranger.pem", stranger.issue_server("ecdsa", "a.test"))
    said = refuse("cert", "minimise", bundle_path, "--chain", chain)
    assert "needs a root CN=Twin: that in the bundle has other keys" in said


def test_a_forged_signature_counts_for_nothing(
    roots: list[Identity], bundle_path: Path, write: Callable[..., Path]
) -> None:
    server = roots[0].issue_server("ecdsa", "a.test").certificate
    der = server.public_bytes(serialization.Encoding.DER)
    forged = x509.load_der_x509_certificate(der[:-1] + bytes([der[-1] ^ 1]))
    chain = write("forged.pem", forged)
    assert "other keys" in refuse("cert", "minimise", bundle_path, "--chain", chain)


def test_cross_signed_chains(roots: list[Identity], write: Callable[..., Path]) -> None:
    """The new root is in the bundle, and the old one, too: the shorter path ends in the new."""
    old, new = roots[:2]
    cross = issue_again(new, old)
    middle = new.issue_authority("ecdsa", "Middle")
    server = middle.issue_server("ecdsa", "a.test")
    chain = write("chain.pem", server, middle, cross)
    bundle_path = write("bundle.pem", old, new)
    assert keep(bundle_path, "--chain", chain) == ["Root 1"]
    assert keep(write("old.pem", old), "--chain", chain) == ["Root 0"]
    mixed = write("mixed.pem", server, cross, middle)  # in no order
    said = refuse("cert", "minimise", write("old.pem", old), "--chain", mixed)
    assert f"{mixed} sends CN=Root 1 before what it issued" in said  # mbedTLS never goes back
    alone = write("alone.pem", server, middle)
    said = refuse("cert", "minimise", write("old.pem", old), "--chain", alone)
    assert f"{alone} needs CN=Root 1, which is neither sent nor in the bundle" in said


def test_few_roots_for_several_chains(roots: list[Identity], write: Callable[..., Path]) -> None:
    """Two roots have the same key and would do: the one that lives longer, once for both."""
    again = issue_again(roots[0], roots[0], end=900 * DAY)
    bundle_path = write("bundle.pem", roots[0], again, roots[1])
    chains: list[str | Path] = []
    for name in ("a", "b"):
        chains += ["--chain", write(f"{name}.pem", roots[0].issue_server("ecdsa", "a.test"))]
    told = minimise(bundle_path, *chains)
    assert x509.load_pem_x509_certificates(told["pem"].encode()) == [again.certificate]
    assert len(told["kept"][0]["for"]) == 2


def test_a_root_that_others_need_anyway(roots: list[Identity], write: Callable[..., Path]) -> None:
    """Of two that would do, the one that lives longer is not the better one."""
    strict = certify(roots[0], x509.BasicConstraints(True, 0), end=3000 * DAY)
    bundle_path = write("bundle.pem", strict, roots[0])
    first = ("--chain", write("own.pem", roots[0].issue_server("ecdsa", "a.test")))
    middle = roots[0].issue_authority("ecdsa", "Middle")
    below = write("below.pem", middle.issue_server("ecdsa", "b.test"), middle)
    found = [minimise(bundle_path, *first), minimise(bundle_path, *first, "--chain", below)]
    assert [[one["fingerprint"] for one in it["kept"]] for it in found] == [
        [one.certificate.fingerprint(hashes.SHA256()).hex()] for one in (strict, roots[0])
    ]


def test_two_cross_certificates(roots: list[Identity], write: Callable[..., Path]) -> None:
    """mbedTLS takes the first one that is sent: only its root will do, whichever lives longer."""
    long = make_authority("ecdsa", "Long", end=3000 * DAY)
    middle = roots[0].issue_authority("ecdsa", "Middle")
    both = (middle.issue_server("ecdsa", "a.test"), middle, issue_again(middle, long))
    bundle_path = write("bundle.pem", long, roots[0])
    assert keep(bundle_path, "--chain", write("both.pem", *both)) == ["Root 0"]
    assert "neither sent nor" in refuse(
        "cert", "minimise", write("long.pem", long), "--chain", write("both.pem", *both)
    )


def test_a_chain_that_brings_its_root(
    roots: list[Identity], bundle_path: Path, write: Callable[..., Path]
) -> None:
    server = roots[0].issue_server("ecdsa", "a.test")
    assert keep(bundle_path, "--chain", write("chain.pem", server, roots[0])) == ["Root 0"]
    stranger = make_authority("ecdsa", "Stranger")
    chain = write("strange.pem", stranger.issue_server("ecdsa", "a.test"), stranger)
    said = refuse("cert", "minimise", bundle_path, "--chain", chain)
    assert "needs the root CN=Stranger, which is not in the bundle" in said


def test_old_digests(roots: list[Identity], write: Callable[..., Path], tmp_path: Path) -> None:
    """Whether the firmware takes them is another question."""
    files, chain = roots[3].write(tmp_path / "root"), tmp_path / "chain.pem"
    own = roots[0].write(tmp_path / "own")
    run_openssl("req", "-new", "-key", own.key_path, "-subj", "/CN=old", "-out", tmp_path / "csr")
    issuer = ("-CA", files.cert_path, "-CAkey", files.key_path, "-set_serial", "1")
    run_openssl("x509", "-req", "-sha1", "-in", tmp_path / "csr", *issuer, "-out", chain)
    assert "sha1" in run_openssl("x509", "-in", chain, "-noout", "-text")
    assert keep(write("bundle.pem", *roots), "--chain", chain) == ["Root 3"]


def test_roots_past_their_time(roots: list[Identity], write: Callable[..., Path]) -> None:
    past = issue_again(roots[0], roots[0], end=-DAY)
    chain = write("chain.pem", roots[0].issue_server("ecdsa", "a.test"))
    told = minimise(write("both.pem", past, roots[0]), "--chain", chain)
    assert x509.load_pem_x509_certificates(told["pem"].encode()) == [roots[0].certificate]
    assert told["warnings"] == []
    told = minimise(write("past.pem", past, roots[1]), "--chain", chain)
    assert x509.load_pem_x509_certificates(told["pem"].encode()) == [past.certificate]
    [warning] = told["warnings"]
    end = past.certificate.not_valid_after_utc
    assert f"only a root that expired on {end:%Y-%m-%d} is there, CN=Root 0" in warning


def test_intermediates_past_their_time(roots: list[Identity], write: Callable[..., Path]) -> None:
    """A longer way that is valid is better than a shorter one that is not."""
    middle = roots[0].issue_authority("ecdsa", "Middle")
    server = middle.issue_server("ecdsa", "a.test")
    past = issue_again(middle, roots[0], end=-DAY)
    upper = roots[1].issue_authority("ecdsa", "Upper")
    longer = issue_again(middle, upper)
    chain = write("chain.pem", server, past, longer, upper)
    bundle_path = write("bundle.pem", *roots[:2])
    assert keep(bundle_path, "--chain", chain) == ["Root 1"]
    told = minimise(bundle_path, "--chain", write("past.pem", server, past))
    assert [one["subject"] for one in told["kept"]] == ["CN=Root 0"]
    assert "the way to the root CN=Root 0 is not valid at this time" in told["warnings"][0]


def certify(old: Identity, *extensions: x509.ExtensionType, end: timedelta = 300 * DAY) -> Identity:
    """Make another root of a name and a key, with these extensions."""
    now = datetime.now(UTC)
    name = old.certificate.subject
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(old.key.public_key()).serial_number(7)
    builder = builder.not_valid_before(now - 9 * DAY).not_valid_after(now + end)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return Identity(old.key, builder.sign(old.key, hashes.SHA256()))


def test_a_root_that_allows_no_intermediate(
    roots: list[Identity], write: Callable[..., Path], tmp_path: Path
) -> None:
    """It is valid for longer, and of no use to the chain."""
    strict = certify(roots[0], x509.BasicConstraints(True, 0), end=3000 * DAY)
    bundle = write("both.pem", strict, roots[0])
    middle = roots[0].issue_authority("ecdsa", "Middle")
    chain = write_chain(middle.issue_server("ecdsa", "a.test"), tmp_path / "chain.pem")
    [kept] = minimise(bundle, "--chain", chain)["kept"]
    assert kept["fingerprint"] == roots[0].certificate.fingerprint(hashes.SHA256()).hex()
    own = write("own.pem", roots[0].issue_server("ecdsa", "b.test"))
    [kept] = minimise(bundle, "--chain", own)["kept"]
    assert kept["fingerprint"] == strict.certificate.fingerprint(hashes.SHA256()).hex()
    out_path = tmp_path / "kept.pem"
    succeed("cert", "minimise", bundle, "--chain", chain, "--out", out_path)
    run_openssl("verify", "-CAfile", out_path, "-untrusted", chain, chain)
    with pytest.raises(AssertionError, match="path length"):
        run_openssl("verify", "-CAfile", write("s.pem", strict), "-untrusted", chain, chain)
    assert "may not be its issuer" in refuse(
        "cert", "minimise", write("strict.pem", strict), "--chain", chain
    )


def test_a_root_that_the_firmware_can_read_comes_first(
    roots: list[Identity], write: Callable[..., Path]
) -> None:
    basic = x509.BasicConstraints(True, None)
    constraints = x509.NameConstraints([x509.DNSName("test")], None)
    odd = certify(roots[0], basic, constraints, end=3000 * DAY)
    chain = write("chain.pem", roots[0].issue_server("ecdsa", "a.test"))
    [kept] = minimise(write("both.pem", odd, roots[0]), "--chain", chain)["kept"]
    assert kept["fingerprint"] == roots[0].certificate.fingerprint(hashes.SHA256()).hex()
    told = minimise(write("odd.pem", odd), "--chain", chain)
    assert len(told["kept"]) == 1
    [warning] = told["warnings"]
    assert warning.startswith("it cannot be used: CN=Root 0 has the critical extension")


def test_names_in_another_case(roots: list[Identity], write: Callable[..., Path]) -> None:
    server = roots[0].issue_server("ecdsa", "a.test").certificate
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ROOT 0")])
    builder = x509.CertificateBuilder().subject_name(server.subject).issuer_name(issuer)
    builder = builder.public_key(server.public_key()).serial_number(8)
    builder = builder.not_valid_before(server.not_valid_before_utc)
    builder = builder.not_valid_after(server.not_valid_after_utc)
    chain = write("chain.pem", builder.sign(roots[0].key, hashes.SHA256()))
    assert keep(write("bundle.pem", *roots), "--chain", chain) == ["Root 0"]


def test_names_of_files_stay_in_their_line(
    roots: list[Identity], write: Callable[..., Path]
) -> None:
    odd = os.fsdecode(b"a\n-----BEGIN CERTIFICATE-----\xff.pem")
    chain = write(odd, roots[0].issue_server("ecdsa", "a.test"))
    out_path = chain.parent / "out.crt"
    succeed("cert", "minimise", write("bundle.pem", *roots), "--chain", chain, "--out", out_path)
    assert out_path.read_text().count("\n-----BEGIN") == 1
    assert len(load_ca_file(out_path, now=datetime.now(UTC)).der) == 1


def test_a_root_of_version_1(tmp_path: Path) -> None:
    """It cannot say that it is a CA; mbedTLS takes it for one where it is trusted."""
    key, old, leaf = (tmp_path / name for name in ("k.pem", "old.pem", "leaf.pem"))
    run_openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    run_openssl("req", "-new", "-key", key, "-subj", "/CN=old", "-out", tmp_path / "r.pem")
    run_openssl("x509", "-req", "-in", tmp_path / "r.pem", "-key", key, "-out", old)
    run_openssl("x509", "-req", "-in", tmp_path / "r.pem", "-CA", old, "-CAkey", key, "-out", leaf)
    assert keep(old, "--chain", leaf) == ["old"]
    assert load_ca_file(old, now=datetime.now(UTC) + timedelta(minutes=1)).subjects == ("CN=old",)


def test_what_is_no_ca_is_no_root(roots: list[Identity], write: Callable[..., Path]) -> None:
    no_ca = issue_again(roots[0], roots[0], ca=False)
    chain = write("chain.pem", roots[0].issue_server("ecdsa", "a.test"))
    said = refuse("cert", "minimise", write("bundle.pem", no_ca, roots[1]), "--chain", chain)
    assert "needs a root CN=Root 0: that in the bundle has other keys, or may not be" in said
    false_middle = issue_again(roots[2], roots[1], ca=False)
    below = write("below.pem", roots[2].issue_server("ecdsa", "a.test"), false_middle)
    refuse("cert", "minimise", write("one.pem", roots[1]), "--chain", below)


def test_everything_that_is_missing_is_told(
    roots: list[Identity], bundle_path: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    out_path = tmp_path / "out.crt"
    out_path.write_text("old")
    good = write("good.pem", roots[0].issue_server("ecdsa", "a.test"))
    stranger = make_authority("ecdsa", "Stranger")
    bad = write("bad.pem", stranger.issue_server("ecdsa", "b.test"))
    other = ("--chain", tmp_path / "none.pem")
    args = ("--chain", good, "--chain", bad, *other, "--out", out_path)
    said = refuse("cert", "minimise", bundle_path, *args)
    assert f"\n  - {bad} needs CN=Stranger, which is neither sent nor in the bundle\n" in said
    assert f"\n  - cannot read {tmp_path}/none.pem: No such file or directory\n" in said
    assert f"- {good}" not in said
    assert out_path.read_text() == "old"
    result = run_cli("cert", "minimise", bundle_path, *args, "--json")
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)["error"]["problems"]) == 2


def test_the_bundle_is_kept(roots: list[Identity], bundle_path: Path, tmp_path: Path) -> None:
    chain = write_chain(roots[0].issue_server("ecdsa", "a.test"), tmp_path / "a.pem")
    link_path = tmp_path / "link.pem"
    link_path.symlink_to(bundle_path)
    before = bundle_path.read_bytes()
    for out_path in (bundle_path, link_path):
        said = refuse("cert", "minimise", bundle_path, "--chain", chain, "--out", out_path)
        assert "is the bundle itself" in said
    assert bundle_path.read_bytes() == before
    said = refuse("cert", "minimise", bundle_path, "--chain", chain, "--out", chain)
    assert "is a chain: it would be lost" in said


def test_wrong_usage(bundle_path: Path, tmp_path: Path) -> None:
    assert run_cli("cert", "minimise", bundle_path).exit_code == 2
    assert run_cli("cert", "minimise").exit_code == 2
    (tmp_path / "empty").write_bytes(b"")
    for path, fault in ((tmp_path / "empty", "is empty"), (tmp_path / "no", "No such file")):
        said = refuse("cert", "minimise", path, "--chain", bundle_path)
        assert fault in said and "Hint: Give a file of CA certificates" in said


def test_more_than_a_sector(write: Callable[..., Path]) -> None:
    many = [make_authority("ecdsa", f"Root {number}") for number in range(14)]
    args: list[str | Path] = [write("bundle.pem", *many)]
    for number, root in enumerate(many):
        args += ["--chain", write(f"{number}.pem", root.issue_server("ecdsa", "a.test"))]
    [warning] = minimise(*args)["warnings"]
    assert "a store's sector holds 4,064" in warning


SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def test_the_bundle_of_the_system(roots: list[Identity], tmp_path: Path) -> None:
    """Each of its roots keeps itself, whatever odd things are in it; no warning is printed."""
    system = SYSTEM_BUNDLE.read_bytes()
    with warnings.catch_warnings():  # about serial numbers, which must not reach users
        warnings.simplefilter("ignore")
        found = x509.load_pem_x509_certificates(system)
    bundle_path = tmp_path / "bundle.pem"
    bundle_path.write_bytes(system + make_pem(roots[0].certificate))
    chain = write_chain(roots[0].issue_server("ecdsa", "a.test"), tmp_path / "a.pem")
    told = minimise(bundle_path, "--chain", chain)
    assert [one["subject"] for one in told["kept"]] == ["CN=Root 0"]
    assert told["roots"] == len(set(found)) + 1
    args: list[str | Path] = []
    for number, root in enumerate(found):
        path = tmp_path / f"{number}.pem"
        path.write_bytes(make_pem(root))
        args += ["--chain", path]
    names = [one["subject"] for one in minimise(SYSTEM_BUNDLE, *args)["kept"]]
    assert len(names) == len(set(found))


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("options", [(), ("-Verify", "1", "-verify_return_error")])
def test_hosts(
    roots: list[Identity], bundle_path: Path, tmp_path: Path, version: str, options: tuple[str, ...]
) -> None:
    """What a server sends is enough, also of one that goes on with its own clients only."""
    middle = roots[1].issue_authority("ecdsa", "Middle")
    identity = middle.issue_server("ecdsa", "other.name")
    with run_s_server(identity, tmp_path / "server", version, "-www", *options) as server:
        host = f"127.0.0.1:{server.port}"
        told = minimise(bundle_path, "--host", host)
        [chain] = fetch_chains(parse_host(host), timeout=20)
    sent = (identity.certificate, middle.certificate)
    assert chain == tuple(one.public_bytes(serialization.Encoding.DER) for one in sent)
    assert [one["subject"] for one in told["kept"]] == ["CN=Root 1"]
    assert told["kept"][0]["for"] == [host]
    assert told["warnings"] == []


def test_a_server_with_two_chains(roots: list[Identity], bundle_path: Path, tmp_path: Path) -> None:
    """Which one a firmware is shown, its profile decides: both roots are needed."""
    rsa = roots[3].issue_server("rsa", "other.name").write(tmp_path / "rsa")
    both = ("-dcert", str(rsa.cert_path), "-dkey", str(rsa.key_path), "-www")
    with run_s_server(roots[0].issue_server("ecdsa", "a.test"), tmp_path / "ec", *both) as server:
        told = minimise(bundle_path, "--host", f"127.0.0.1:{server.port}")
    assert [one["subject"] for one in told["kept"]] == ["CN=Root 0", "CN=Root 3"]


def test_hosts_and_files_together(
    roots: list[Identity], bundle_path: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    weak = Identity(make_key("rsa-1024"), roots[0].certificate)
    identity = issue_again(weak, roots[4], ca=False)
    chain = write("chain.pem", roots[2].issue_server("ecdsa", "a.test"))
    weak_suite = ("-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0")  # RSA key exchange, too
    with run_s_server(identity, tmp_path / "server", "-www", *weak_suite) as server:
        host = ("--host", f"localhost:{server.port}")
        assert keep(bundle_path, "--chain", chain, *host) == ["Root 2", "Root 4"]


def test_hosts_that_cannot_be_asked(bundle_path: Path) -> None:
    def hang_up(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.close()

    with (
        hold_closed_port() as closed,
        socket.create_server(("127.0.0.1", 0)) as silent,
        socket.create_server(("127.0.0.1", 0)) as brusque,
    ):
        ports = (closed, silent.getsockname()[1], brusque.getsockname()[1])
        thread = threading.Thread(target=hang_up, args=(brusque,))
        thread.start()
        hosts = [part for port in ports for part in ("--host", f"127.0.0.1:{port}")]
        said = refuse("cert", "minimise", bundle_path, *hosts, "--timeout", "0.5")
        thread.join(20)
    assert f"of 127.0.0.1:{closed}: Connection refused" in said
    assert f"of 127.0.0.1:{ports[1]}: timed out" in said
    assert f"cannot get the certificates of 127.0.0.1:{ports[2]}: " in said
    assert "--chain" in said


def test_a_server_without_end(bundle_path: Path) -> None:
    """One that sends a byte now and then does not hold it up for longer than it may take."""
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"\x16\x03\x03\x40\x00")
            while not stop.wait(0.05):
                connection.sendall(b"\x02")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        host = Host("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(CertificateError, match="cannot get the certificates"):
            fetch_chains(host, timeout=1)
        stop.set()
        thread.join(20)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("a.test", Host("a.test", 443)),
        ("a.test:8883", Host("a.test", 8883)),
        ("192.0.2.1:1", Host("192.0.2.1", 1)),
        ("[::1]:8883", Host("::1", 8883)),
        ("[::1]", Host("::1", 443)),
        ("::1", Host("::1", 443)),
    ],
)
def test_how_hosts_are_written(text: str, host: Host) -> None:
    assert parse_host(text) == host
    assert parse_host(str(host)) == host


@pytest.mark.parametrize(
    "text", ["", ":443", "a:", "a:b", "a:0", "a:65536", "a b", "[::1]x", "a/b"]
)
def test_what_is_no_host(bundle_path: Path, text: str) -> None:
    said = refuse("cert", "minimise", bundle_path, "--host", text)
    assert "is no host" in said and "NAME:PORT" in said


def test_a_private_key_beside_the_chain_is_not_told(
    roots: list[Identity], bundle_path: Path, tmp_path: Path
) -> None:
    files: IdentityFiles = roots[1].issue_server("ecdsa", "a.test").write(tmp_path / "server")
    both = tmp_path / "both.pem"
    both.write_bytes(files.key_path.read_bytes() + files.cert_path.read_bytes())
    text = minimise(bundle_path, "--chain", both)["pem"]
    assert text.count("-----BEGIN") == 1 and "PRIVATE" not in text
