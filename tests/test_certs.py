from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from pki import make_authority

from nodemcu_tls_build.certs import check_ca_fits, load_ca_file
from nodemcu_tls_build.certs.pem import PemBlock, split_pem
from nodemcu_tls_build.certs.store import CERTIFICATE, split_records
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.profile import load_profile
from nodemcu_tls_build.render import render_server_ca

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
KEY_PEM = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.TraditionalOpenSSL,
    serialization.NoEncryption(),
)


def make_certificate(
    subject: str = "Test CA",
    *,
    key: Key = KEY,
    ca: bool | None = True,
    may_sign: bool | None = None,
    start: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=365),
) -> x509.Certificate:
    """Make a self-signed certificate; None leaves an extension out."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    if ca is not None:
        basic = x509.BasicConstraints(ca=ca, path_length=None)
        builder = builder.add_extension(basic, critical=True)
    if may_sign is not None:
        builder = builder.add_extension(make_key_usage(may_sign=may_sign), critical=True)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest)


def make_key_usage(*, may_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not may_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=may_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def run_openssl(*args: str | Path) -> bytes:
    return subprocess.run(["openssl", *args], check=True, capture_output=True).stdout


def refuse(path: Path, *, now: datetime = NOW) -> tuple[str, str]:
    """Return what the refusal says, with FILE for the file, and its hint."""
    with pytest.raises(CertificateError) as caught:
        load_ca_file(path, now=now)
    assert "MII" not in str(caught.value)  # no key or certificate is ever echoed
    assert caught.value.hint
    return caught.value.message.replace(str(path), "FILE"), caught.value.hint


@pytest.fixture
def ca_path(tmp_path: Path) -> Path:
    return tmp_path / "server-ca.crt"


def test_one_certificate(ca_path: Path) -> None:
    certificate = make_certificate("Größe CA", may_sign=True)
    ca_path.write_bytes(pem(certificate))
    bundle = load_ca_file(ca_path, now=NOW)
    assert bundle.der == (der(certificate),)
    assert bundle.subjects == ("CN=Größe CA",)
    assert bundle.certificates[0].not_after == NOW + timedelta(days=365)


def test_several_with_text_between_and_one_twice(ca_path: Path) -> None:
    first, second = make_certificate("First"), make_certificate("Second")
    text = b"\n-----\nFirst: by hand (\xe9t\xe9)\n" + pem(first) + b"==== MII\n# next\n"
    ca_path.write_bytes(text + pem(second) + pem(first) + b"\nthe end\n")
    bundle = load_ca_file(ca_path, now=NOW)
    assert bundle.der == (der(first), der(second))
    assert bundle.subjects == ("CN=First", "CN=Second")


@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", [b"\r\n", b" \n", b""], ids=["CRLF", "blanks", "no last newline"])
def test_text_of_any_editor(ca_path: Path, lead: bytes, end: bytes) -> None:
    certificate = make_certificate()
    text = pem(certificate).strip() if not end else pem(certificate).replace(b"\n", end)
    ca_path.write_bytes(lead + text)
    assert load_ca_file(ca_path, now=NOW).der == (der(certificate),)


def test_the_source_depends_on_the_certificates_alone(ca_path: Path, tmp_path: Path) -> None:
    """Whatever stands between them, and whenever it is made: a file's records are its DER."""
    first, second = make_certificate("First"), make_certificate("Second")
    ca_path.write_bytes(pem(first) + pem(second))
    other_path = tmp_path / "other.crt"
    text = b"\xef\xbb\xbf# First\n" + pem(first) + b"*/ #error\n" + pem(second) + b"# the end\n"
    other_path.write_bytes(text.replace(b"\n", b"\r\n"))
    source = render_server_ca(load_ca_file(ca_path, now=NOW))
    assert render_server_ca(load_ca_file(ca_path, now=NOW + timedelta(days=9))) == source
    assert render_server_ca(load_ca_file(other_path, now=NOW)) == source
    records = bytes(int(byte, 16) for byte in re.findall(r"0x(..)", source))
    assert split_records(records) == [(CERTIFICATE, der(first)), (CERTIFICATE, der(second))]
    ca_path.write_bytes(pem(second) + pem(first))
    assert render_server_ca(load_ca_file(ca_path, now=NOW)) != source


def test_what_openssl_makes(ca_path: Path, tmp_path: Path) -> None:
    options = ["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=o/O=p", "-text"]
    run_openssl("req", "-x509", *options, "-keyout", tmp_path / "key.pem", "-out", ca_path)
    bundle = load_ca_file(ca_path, now=datetime.now(UTC) + timedelta(minutes=1))
    assert bundle.subjects == ("O=p,CN=o",)


def test_a_subject_cannot_write_to_the_terminal(ca_path: Path) -> None:
    ca_path.write_bytes(pem(make_certificate("a\x1b[2Jb\r\n\u202ec")))
    assert load_ca_file(ca_path, now=NOW).subjects == ("CN=a?[2Jb???c",)
    ca_path.write_bytes(pem(make_certificate("")))
    assert load_ca_file(ca_path, now=NOW).subjects == ("no subject",)


def test_files_that_cannot_be_read(
    ca_path: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    assert refuse(ca_path)[0] == "cannot read FILE: No such file or directory"
    ca_path.mkdir()
    assert refuse(ca_path)[0] == "cannot read FILE: Is a directory"
    assert refuse(Path("/dev/zero"))[0] == "cannot read FILE: it is not a regular file"
    assert refuse(Path("a\0b"))[0].startswith("cannot read a?b")
    path = ca_path / "unreadable"
    path.write_bytes(pem(make_certificate()))
    path.chmod(0)
    with unprivileged():
        assert refuse(path)[0] == "cannot read FILE: Permission denied"


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (b"", "FILE is empty", "BEGIN CERTIFICATE"),
        (b" \r\n\t", "FILE is empty", "BEGIN CERTIFICATE"),
        (b"hello\n", "FILE is neither PEM nor DER", "BEGIN CERTIFICATE"),
        (b"\x00\x01\x02", "FILE is neither PEM nor DER", "BEGIN CERTIFICATE"),
        (pem(make_certificate()).decode().encode("utf-16"), "FILE is UTF-16 text", "UTF-8"),
        (b" " * 2**20 + b"x", "cannot read FILE: it has more than 1,048,576 bytes", "path"),
        (
            b"# -----BEGIN CERTIFICATE-----\n",
            "FILE holds neither a certificate nor a key",
            "BEGIN CERTIFICATE",
        ),
        (
            der(make_certificate()) + b"\0\n",
            "FILE has 2 bytes behind its certificate",
            "in binary mode",
        ),
    ],
    ids=["empty", "blank", "text", "binary", "UTF-16", "too large", "none in it", "longer DER"],
)
def test_files_without_certificates(ca_path: Path, data: bytes, message: str, hint: str) -> None:
    ca_path.write_bytes(data)
    found_message, found_hint = refuse(ca_path)
    assert found_message == message
    assert hint in found_hint


@pytest.mark.parametrize("end", [b"\r", b" "], ids=["carriage returns", "one line"])
def test_forms_that_the_firmware_reads_too(ca_path: Path, end: bytes) -> None:
    certificate = make_certificate()
    ca_path.write_bytes(pem(certificate).replace(b"\n", end))
    assert load_ca_file(ca_path, now=NOW).der == (der(certificate),)


def test_dates_that_nobody_checks(ca_path: Path) -> None:
    certificate = make_certificate(end=NOW - timedelta(hours=1))
    ca_path.write_bytes(pem(certificate))
    assert "expired" in refuse(ca_path)[0]
    assert load_ca_file(ca_path, now=None).der == (der(certificate),)


def test_der(ca_path: Path) -> None:
    certificate = make_certificate()
    ca_path.write_bytes(der(certificate))
    assert load_ca_file(ca_path, now=NOW).der == (der(certificate),)


def test_a_pkcs12_file(ca_path: Path) -> None:
    data = pkcs12.serialize_key_and_certificates(
        b"name", KEY, make_certificate(), None, serialization.BestAvailableEncryption(b"secret")
    )
    ca_path.write_bytes(data)
    message, hint = refuse(ca_path)
    assert message.startswith("FILE is PKCS#12, which")
    assert "openssl pkcs12" in hint


@pytest.mark.parametrize(
    "key_pem",
    [
        KEY_PEM,
        KEY_PEM.replace(b"\n", b"\r\n"),
        KEY_PEM.replace(b"EC PRIVATE KEY", b"ENCRYPTED PRIVATE KEY"),
        KEY_PEM.partition(b"-----END")[0],
    ],
    ids=["plain", "CRLF", "encrypted", "cut off"],
)
def test_a_private_key_is_refused_and_not_shown(ca_path: Path, key_pem: bytes) -> None:
    certificate = pem(make_certificate())
    ca_path.write_bytes(certificate + key_pem)
    message, hint = refuse(ca_path)
    line = certificate.count(b"\n") + 1
    assert message == f"FILE, line {line}: a private key does not belong into a CA file"
    assert "Take the private key out" in hint
    assert all(part.decode() not in message + hint for part in key_pem.split()[4:-4])


def test_other_blocks_are_named(ca_path: Path) -> None:
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(KEY, hashes.SHA256())
    public = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    ca_path.write_bytes(request.public_bytes(serialization.Encoding.PEM) + public)
    message, hint = refuse(ca_path)
    assert "\n  FILE, line 1: a certificate request is not a certificate" in message
    assert "PUBLIC KEY is of no use here" in message
    assert "Have a CA sign the request" in hint


GOOD = pem(make_certificate()).decode()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (GOOD.replace("MII", "M!I", 1), "CERTIFICATE is not base64"),
        (GOOD.replace("MII", "MI", 1), "CERTIFICATE is not base64"),
        (GOOD.replace("-----END", "==\n-----END"), "CERTIFICATE is not base64"),
        (GOOD.replace("MII", "é", 1), "CERTIFICATE is not base64"),
        (GOOD.partition("-----END")[0], "CERTIFICATE has no END line"),
        (GOOD.partition("-----END")[0] + GOOD, "CERTIFICATE has no END line"),
        (GOOD.replace("END CERTIFICATE", "END RSA KEY"), "CERTIFICATE has no END line"),
        (f"{GOOD.strip()}rubbish\n", "CERTIFICATE has something behind its END line"),
        (GOOD.replace("-----BEGIN", "-----BEGIN -----BEGIN"), "damaged BEGIN or END line"),
        (GOOD + GOOD.partition("\n")[2], "END line without a BEGIN line"),
        ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "CERTIFICATE is empty"),
        (f"{GOOD}\x01\x02\n", "there is binary data"),
        (f"\0{GOOD}", "there is binary data"),
    ],
)
def test_damaged_text(ca_path: Path, text: str, fault: str) -> None:
    ca_path.write_text(text)
    message, hint = refuse(ca_path)
    assert fault in message
    assert "opy " in hint


@pytest.mark.parametrize("cut", [slice(None, -1), slice(1, None), slice(None, 40)])
def test_damaged_bytes(ca_path: Path, cut: slice) -> None:
    ca_path.write_bytes(encode(der(make_certificate())[cut]))
    message, hint = refuse(ca_path)
    assert message == (
        "FILE, line 1: the certificate cannot be decoded: it is damaged, or of a kind that nothing"
        " here reads"
    )
    assert "Copy it again" in hint


def test_bytes_behind_a_certificate(ca_path: Path) -> None:
    ca_path.write_bytes(encode(der(make_certificate()) + b"\0"))
    assert "cannot be decoded" in refuse(ca_path)[0]


def encode(data: bytes) -> bytes:
    text = base64.encodebytes(data)
    return b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("ca", [False, None], ids=["CA:FALSE", "no basic constraints"])
def test_a_server_that_signed_its_own(ca_path: Path, ca: bool | None) -> None:
    certificate = make_certificate("server", ca=ca)
    ca_path.write_bytes(pem(certificate))
    assert load_ca_file(ca_path, now=NOW).der == (der(certificate),)


def test_a_certificate_that_is_no_ca(ca_path: Path) -> None:
    issuer = make_authority("ecdsa")
    ca_path.write_bytes(pem(issuer.issue_server("ecdsa", "server").certificate))
    message, hint = refuse(ca_path, now=datetime.now(UTC))
    assert message == "FILE: certificate 1 (CN=server) is not a CA"
    assert hint == "Give the certificate of the CA that issued it."


def test_a_ca_that_may_not_sign(ca_path: Path) -> None:
    ca_path.write_bytes(pem(make_certificate("x", may_sign=False)))
    message = "FILE: certificate 1 (CN=x) is not allowed to sign certificates by its key usage"
    assert refuse(ca_path)[0] == message


def test_a_version_1_certificate(ca_path: Path, tmp_path: Path) -> None:
    key_path, request_path = tmp_path / "key.pem", tmp_path / "request.pem"
    key_path.write_bytes(KEY_PEM)
    run_openssl("req", "-new", "-key", key_path, "-subj", "/CN=old", "-out", request_path)
    run_openssl("x509", "-req", "-in", request_path, "-key", key_path, "-out", ca_path)
    assert b"Version: 1" in run_openssl("x509", "-in", ca_path, "-noout", "-text")
    bundle = load_ca_file(ca_path, now=datetime.now(UTC) + timedelta(minutes=1))
    assert bundle.subjects == ("CN=old",)


def test_the_dates(ca_path: Path) -> None:
    ca_path.write_bytes(pem(make_certificate("x", start=NOW, end=NOW + timedelta(days=1))))
    load_ca_file(ca_path, now=NOW)
    load_ca_file(ca_path, now=NOW + timedelta(days=1))
    message, hint = refuse(ca_path, now=NOW + timedelta(days=1, seconds=1))
    assert message == "FILE: certificate 1 (CN=x) expired on 2026-06-02"
    assert hint == "Have it issued again."
    message, hint = refuse(ca_path, now=NOW - timedelta(seconds=1))
    assert message == "FILE: certificate 1 (CN=x) is valid only from 2026-06-01 00:00 UTC"
    assert "clock" in hint


def test_keys_that_the_firmware_would_refuse(ca_path: Path) -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 -- to be refused
    other = ed25519.Ed25519PrivateKey.generate()
    ca_path.write_bytes(
        pem(make_certificate("a", key=short)) + pem(make_certificate("b", key=other))
    )
    message, hint = refuse(ca_path)
    assert message.splitlines()[1:] == [
        "  FILE: certificate 1 (CN=a) has an RSA key of 1024 bits only",
        "  FILE: certificate 2 (CN=b) has a key of the kind Ed25519, neither RSA nor EC",
    ]
    assert hint.count("Use an EC key") == 1


def test_more_than_a_device_keeps(ca_path: Path) -> None:
    certificates = [make_certificate(f"CA number {number}") for number in range(20)]
    ca_path.write_bytes(b"".join(map(pem, certificates)))
    size = sum(4 + len(der(certificate)) for certificate in certificates)
    message, hint = refuse(ca_path)
    assert message == f"FILE: the certificates take {size:,} bytes, a store sector has 4,064"
    assert "cert minimise" in hint


def test_everything_is_said_at_once(ca_path: Path) -> None:
    old = make_certificate("old", may_sign=False, end=NOW - timedelta(seconds=1))
    ca_path.write_bytes(pem(old) + KEY_PEM + pem(make_certificate("good")) + b"-----BEGIN X\n")
    message, hint = refuse(ca_path)
    lines = message.splitlines()
    assert lines[0] == "FILE cannot serve as a CA file:"
    assert lines[1].endswith("damaged BEGIN or END line")
    assert lines[2].endswith("a private key does not belong into a CA file")
    assert lines[3:] == [
        "  FILE: certificate 1 (CN=old) is not allowed to sign certificates by its key usage",
        "  FILE: certificate 1 (CN=old) expired on 2026-05-31",
    ]
    assert "Take the private key out" in hint and "Have it issued again." in hint


def test_blocks_of_a_text() -> None:
    text = "-----BEGIN A-----\nAAAA\n-----END A-----\n---\n-----BEGIN X PRIVATE KEY-----\nAAAA\n"
    assert split_pem(f"{text}-----END X PRIVATE KEY-----\n") == [
        PemBlock("A", 1, b"\0\0\0"),
        PemBlock("X PRIVATE KEY", 5),
    ]
    assert split_pem("") == []


@pytest.mark.parametrize(
    ("key", "settings", "problem"),
    [
        (ec.SECP256R1(), "", None),
        (ec.BrainpoolP384R1(), "", None),
        (ec.SECP521R1(), "", "CN=Odd CA has a key on secp521r1, which tls.curves lacks"),
        (
            ec.SECP256R1(),
            'signatures = ["RSA"]\nkey_exchanges = ["ECDHE-RSA"]',
            "CN=Odd CA has an EC key, tls.signatures has no ECDSA",
        ),
        (
            None,
            'signatures = ["ECDSA"]\nkey_exchanges = ["ECDHE-ECDSA"]',
            "CN=Odd CA has an RSA key, tls.signatures has no RSA",
        ),
    ],
)
def test_a_ca_that_the_profile_cannot_use(
    tmp_path: Path, key: ec.EllipticCurve | None, settings: str, problem: str | None
) -> None:
    private_key = ec.generate_private_key(key) if key else rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Odd CA")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private_key, hashes.SHA256())
    )
    ca_path = tmp_path / "ca.crt"
    ca_path.write_bytes(pem(certificate))
    profile_path = tmp_path / "odd.toml"
    profile_path.write_text(f'schema = 1\nname = "odd"\n[tls]\n{settings}\n')
    bundle, profile = load_ca_file(ca_path, now=NOW), load_profile(str(profile_path))
    if problem is None:
        check_ca_fits(bundle, profile)
        return
    with pytest.raises(CertificateError) as refusal:
        check_ca_fits(bundle, profile)
    assert refusal.value.message.startswith(f"the profile odd cannot use the CA: {problem}")
    assert refusal.value.hint
