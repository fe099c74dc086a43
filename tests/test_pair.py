"""Certificates and keys as people have them in files, and what is said of those of no use."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from pki import Identity, make_authority, make_key, make_pem

from nodemcu_tls_build.certs.pair import Pair, load_client_pair, load_pair
from nodemcu_tls_build.errors import CertificateError

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS8 = serialization.PrivateFormat.PKCS8
SEC1 = serialization.PrivateFormat.TraditionalOpenSSL
PLAIN = serialization.NoEncryption()
SECRET = serialization.BestAvailableEncryption(b"open sesame")


@pytest.fixture(scope="module")
def root() -> Identity:
    return make_authority("ecdsa", "Root")


@pytest.fixture(scope="module")
def client(root: Identity) -> Identity:
    return root.issue_client("ecdsa", "client")


@pytest.fixture(scope="module")
def text(client: Identity) -> bytes:
    return client.key.private_bytes(PEM, PKCS8, PLAIN)


def load(
    tmp_path: Path, cert: bytes, key: bytes, *, passphrase: bytes | None = None, days: int = 0
) -> Pair:
    (tmp_path / "cert").write_bytes(cert)
    (tmp_path / "key").write_bytes(key)
    now = datetime.now(UTC) + timedelta(days=days)
    paths = tmp_path / "cert", tmp_path / "key"
    return load_pair(*paths, now=now, ask_passphrase=lambda _: passphrase)


def refuse(tmp_path: Path, cert: bytes, key: bytes, **options: int | bytes | None) -> str:
    with pytest.raises(CertificateError) as raised:
        load(tmp_path, cert, key, **options)  # type: ignore[arg-type]
    assert raised.value.hint
    return raised.value.message.replace(f"{tmp_path}/", "")


def test_forms_of_a_certificate(tmp_path: Path, client: Identity, text: bytes) -> None:
    pem, der = make_pem(client.certificate), client.certificate.public_bytes(DER)
    for form in (
        *(pem, der, pem.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + pem, pem.rstrip(b"\n")),
        *(b"Certificate:\n  text\n" + pem + b"text\n", text + pem, pem + text),
    ):
        assert load(tmp_path, form, text).certificates == (der,)


def test_forms_of_a_key(tmp_path: Path, client: Identity, text: bytes) -> None:
    pem = make_pem(client.certificate)
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    wanted = client.key.private_bytes(DER, SEC1, PLAIN)
    sec1 = client.key.private_bytes(PEM, SEC1, PLAIN)
    for form in (
        *(text, sec1, parameters + sec1, text.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + text),
        *(client.key.private_bytes(DER, PKCS8, PLAIN), wanted, pem + text, text + pem),
        b"some text\n" + text + b"more\n",
    ):
        assert load(tmp_path, pem, form).key == wanted


def test_encrypted_keys(tmp_path: Path, client: Identity) -> None:
    pem = make_pem(client.certificate)
    for encoding, form in ((PEM, PKCS8), (PEM, SEC1), (DER, PKCS8)):
        key = client.key.private_bytes(encoding, form, SECRET)
        assert load(tmp_path, pem, key, passphrase=b"open sesame").key
        place = "key, line 1" if encoding is PEM else "key"
        assert refuse(tmp_path, pem, key) == f"{place}: the private key is encrypted"
        for wrong in (b"wrong", b""):
            said = refuse(tmp_path, pem, key, passphrase=wrong)
            assert said == f"{place}: the passphrase is not that of the private key"


def test_chains(tmp_path: Path, root: Identity) -> None:
    upper = root.issue_authority("ecdsa", "Upper")
    lower = upper.issue_authority("ecdsa", "Lower")
    client = lower.issue_client("rsa", "client")
    key = client.key.private_bytes(PEM, PKCS8, PLAIN)
    own = client.certificate
    text = make_pem(own, lower.certificate, upper.certificate)
    pair = load(tmp_path, text, key)
    assert len(pair.certificates) == 3
    assert pair.key == client.key.private_bytes(DER, SEC1, PLAIN)
    said = refuse(tmp_path, make_pem(own, upper.certificate, lower.certificate), key)
    assert said.splitlines()[1] == "  cert: certificate 2 did not issue certificate 1"
    said = refuse(tmp_path, make_pem(lower.certificate, own), key)
    assert said == "the key in key is that of certificate 2 in cert, not of the first"


def test_a_pair_shows_no_key(tmp_path: Path, client: Identity, text: bytes) -> None:
    pair = load(tmp_path, make_pem(client.certificate), text)
    assert pair.key
    assert "key" not in repr(pair)


def test_keys_that_are_of_no_use(tmp_path: Path, root: Identity, client: Identity) -> None:
    pem = make_pem(client.certificate)
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, PKCS8, PLAIN)
    text = client.key.private_bytes(PEM, PKCS8, PLAIN)
    small = make_key("rsa-1024").private_bytes(PEM, PKCS8, PLAIN)
    curved = ed25519.Ed25519PrivateKey.generate().private_bytes(PEM, PKCS8, PLAIN)
    assert "is not that of the certificate" in refuse(tmp_path, pem, other)
    assert refuse(tmp_path, pem, text + other) == "key holds 2 private keys"
    assert refuse(tmp_path, pem, pem) == "key holds no private key"
    assert refuse(tmp_path, pem, small) == "the key in key has an RSA key of 1024 bits only"
    assert "the kind Ed25519, neither RSA nor EC" in refuse(tmp_path, pem, curved)
    assert refuse(tmp_path, pem, b"") == "key is empty"
    assert refuse(tmp_path, pem, b"rubbish") == "key is neither PEM nor DER"
    cut = text[: text.index(b"-----END")]
    assert refuse(tmp_path, pem, cut) == "key, line 1: PRIVATE KEY has no END line"
    damaged = text.replace(text[40:44], b"AAAA")
    said = "key, line 1: the private key cannot be decoded: it is damaged"
    assert refuse(tmp_path, pem, damaged).startswith(said)


def test_certificates_that_are_of_no_use(tmp_path: Path, client: Identity, text: bytes) -> None:
    pem = make_pem(client.certificate)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "asked for")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    request = builder.sign(client.key, hashes.SHA256()).public_bytes(PEM)
    archive = pkcs12.serialize_key_and_certificates(
        b"one", client.key, client.certificate, None, SECRET
    )
    said = "cert, line 1: a certificate request is not a certificate"
    assert refuse(tmp_path, request, text) == said
    assert refuse(tmp_path, archive, text).startswith("cert is PKCS#12, which")
    assert refuse(tmp_path, pem, archive).startswith("key is PKCS#12, which")
    assert refuse(tmp_path, text, text) == "cert holds no certificate"
    assert refuse(tmp_path, b"rubbish", text) == "cert is neither PEM nor DER"
    assert refuse(tmp_path, pem[:-40], text) == "cert, line 1: CERTIFICATE has no END line"
    trailing = pem.rstrip(b"\n") + b"garbage\n"
    assert "something behind its END line" in refuse(tmp_path, trailing, text)
    damaged = re.sub(rb"\n.", b"\nA", pem, count=2)
    assert "cert, line 1: the certificate cannot be decoded" in refuse(tmp_path, damaged, text)
    assert "expired on" in refuse(tmp_path, pem, text, days=40)


def find_client_faults(
    tmp_path: Path, *options: str, config: str, key: str = "rsa:2048"
) -> list[str]:
    """Have openssl make a pair below a CA; return why it is not for a device."""
    (tmp_path / "config").write_text(config)

    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, timeout=60)

    openssl("req -new -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=ca -sha1")
    openssl(f"req -new -newkey {key} -nodes -keyout key -out request -subj /CN=client")
    issue = "x509 -req -in request -CA ca.crt -CAkey ca.key -extfile config -out own.crt"
    openssl(" ".join([issue, *options]))
    text = (tmp_path / "own.crt").read_bytes() + (tmp_path / "ca.crt").read_bytes()
    (tmp_path / "cert").write_bytes(text)
    paths = tmp_path / "cert", tmp_path / "key"
    load_pair(*paths, now=datetime.now(UTC), ask_passphrase=lambda _: None)
    try:
        load_client_pair(*paths, now=datetime.now(UTC), ask_passphrase=lambda _: None)
    except CertificateError as error:
        assert error.hint
        return error.message.replace(f"{tmp_path}/", "").splitlines()
    return []


OWN = "cert: the certificate (CN=client)"
PURPOSE = f"{OWN} is not for clients by its extended key usage"
USAGE = f"{OWN} may not sign a handshake by its key usage"
OF_A_CA = f"{OWN} is that of a CA, whose key does not belong on a device"


@pytest.mark.parametrize(
    ("config", "faults"),
    [
        ("basicConstraints=CA:FALSE", []),
        ("extendedKeyUsage=serverAuth,clientAuth\nkeyUsage=digitalSignature", []),
        ("extendedKeyUsage=anyExtendedKeyUsage", [PURPOSE]),
        ("extendedKeyUsage=anyExtendedKeyUsage,clientAuth", []),
        ("extendedKeyUsage=serverAuth", [PURPOSE]),
        ("keyUsage=keyEncipherment", [USAGE]),
        ("basicConstraints=CA:TRUE\nkeyUsage=digitalSignature,keyCertSign", [OF_A_CA]),
        (
            "basicConstraints=CA:TRUE\nkeyUsage=keyCertSign\nextendedKeyUsage=serverAuth",
            ["cert cannot be used:", f"  {OF_A_CA}", f"  {PURPOSE}", f"  {USAGE}"],
        ),
    ],
)
def test_pairs_that_are_not_for_devices(tmp_path: Path, config: str, faults: list[str]) -> None:
    assert find_client_faults(tmp_path, config=config) == faults


@pytest.mark.parametrize(("digest", "name"), [("-sha1", "SHA-1"), ("-md5", "MD5")])
def test_pairs_signed_with_broken_digests(tmp_path: Path, digest: str, name: str) -> None:
    """The root is signed with SHA-1, too, which harms nobody."""
    said = f"cert: certificate 1 (CN=client) is signed with {name}, which is broken: it is refused"
    assert find_client_faults(tmp_path, digest, config="") == [said]


def test_a_pair_signed_as_no_profile_can_have(tmp_path: Path) -> None:
    [said] = find_client_faults(tmp_path, "-sha3-256", config="")
    assert said.startswith("cert: certificate 1 (CN=client) is signed with ")
    assert said.endswith(" (sha3-256), which no profile can have")


def test_a_key_on_a_curve_that_no_profile_can_have(tmp_path: Path) -> None:
    said = "cert: certificate 1 (CN=client) has a key on secp224r1, which no profile can have"
    kind = "ec -pkeyopt ec_paramgen_curve:secp224r1"
    assert find_client_faults(tmp_path, config="", key=kind) == [said]
    kind = "ec -pkeyopt ec_paramgen_curve:brainpoolP512r1"
    assert find_client_faults(tmp_path, config="", key=kind) == []


def test_a_chain_that_a_path_length_forbids(tmp_path: Path) -> None:
    """OpenSSL refuses it, and is asked too."""

    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, timeout=60)

    ca = "basicConstraints=critical,CA:TRUE"
    openssl(
        f"req -new -x509 -newkey rsa:2048 -nodes -keyout 0.key -out 0.crt -subj /CN=0 -addext {ca}"
    )
    for number, constraint in ((1, f"{ca},pathlen:0"), (2, ca), (3, "basicConstraints=CA:FALSE")):
        (tmp_path / "config").write_text(constraint)
        new = f"-newkey rsa:2048 -nodes -keyout {number}.key -out request -subj /CN={number}"
        openssl(f"req -new {new}")
        by = f"-CA {number - 1}.crt -CAkey {number - 1}.key"
        openssl(f"x509 -req -in request {by} -extfile config -out {number}.crt")
    texts = [(tmp_path / f"{number}.crt").read_bytes() for number in range(4)]
    (tmp_path / "chain").write_bytes(texts[2] + texts[1])
    verify = ["openssl", "verify", "-CAfile", "0.crt", "-untrusted", "chain", "3.crt"]
    result = subprocess.run(verify, cwd=tmp_path, check=False, capture_output=True, timeout=60)
    assert b"path length constraint exceeded" in result.stdout + result.stderr
    (tmp_path / "cert").write_bytes(texts[3] + texts[2] + texts[1])
    with pytest.raises(CertificateError) as raised:
        load_client_pair(
            *(tmp_path / "cert", tmp_path / "3.key"),
            now=datetime.now(UTC),
            ask_passphrase=lambda _: None,
        )
    said = "cert: certificate 3 (CN=1) allows 0 CAs below it, and has 1"
    assert raised.value.message.replace(f"{tmp_path}/", "") == said
