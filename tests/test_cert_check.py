"""`nodemcu-tls cert check`: what it finds in files of certificates and keys."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pki import Identity, make_authority, make_key, make_pem
from test_secrets import find_traces

from nodemcu_tls_build.certs.keys import encode_key
from nodemcu_tls_build.certs.store import HEADER
from nodemcu_tls_build.certs.store_write import Credentials, make_store
from nodemcu_tls_build.cli import cli

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS8, PLAIN = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
SECRET = serialization.BestAvailableEncryption(b"open sesame")
Put = Callable[..., str]


@pytest.fixture(scope="module")
def root() -> Identity:
    return make_authority("ecdsa", "Root")


@pytest.fixture(scope="module")
def server(root: Identity) -> Identity:
    """A server below an intermediate authority."""
    return root.issue_authority("ecdsa", "Middle").issue_server("ecdsa", "server.test", "10.0.0.1")


@pytest.fixture(scope="module")
def client(root: Identity) -> Identity:
    return root.issue_client("ecdsa", "client")


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write a file of certificates or bytes, and return its path."""

    def write(name: str, *parts: bytes | x509.Certificate) -> str:
        path = tmp_path / name
        path.write_bytes(b"".join(p if isinstance(p, bytes) else make_pem(p) for p in parts))
        return str(path)

    return write


def write_key(identity: Identity, **options: Any) -> bytes:
    return identity.key.private_bytes(
        options.get("encoding", PEM), PKCS8, options.get("encryption", PLAIN)
    )


def run(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["cert", "check", *args])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def check(*args: str) -> Any:
    """Return the JSON; the exit code has to be that of its findings."""
    result = CliRunner().invoke(cli, ["cert", "check", *args, "--json"])
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert result.exit_code == bool(found["findings"]), result.exception
    assert all(
        it["message"] and it["hint"].endswith((".", "?", "FILE", "pem")) for it in found["findings"]
    )
    return found


def find(*args: str) -> list[str]:
    """Return the findings, without the directory."""
    messages = [it["message"] for it in check(*args)["findings"]]
    for directory in {f"{Path(arg).parent}/" for arg in args if arg.startswith("/")}:
        messages = [message.replace(directory, "") for message in messages]
    return messages


def openssl(*args: str | Path) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=60)


def test_a_server_s_chain(root: Identity, server: Identity, put: Put) -> None:
    path = put("chain.pem", b"Some text\n", server.certificate, *server.chain)
    ca = put("ca.pem", root.certificate)
    found = check(path, ca, "--host", "server.test", "--host", "10.0.0.1")
    assert (found["purpose"], found["chain"], found["findings"]) == ("server", [1, 2, 3], [])
    own = found["certificates"][0]
    assert own["line"] == 2
    assert own["sha256"] == server.certificate.fingerprint(hashes.SHA256()).hex()
    assert int(own["serial_number"], 16) == server.certificate.serial_number
    assert (own["key"], own["signature"], own["digest"]) == ("EC secp256r1", "ECDSA", "SHA-256")
    assert (own["ca"], own["names"]) == (False, ["server.test", "10.0.0.1"])
    assert own["extended_key_usage"] == ["server"]
    sizes = [
        len(it.public_bytes(DER)) for it in (server.certificate, *server.chain, root.certificate)
    ]
    assert [it["size"] for it in found["certificates"]] == sizes
    limits = {it["name"]: (it["used"], it["key"]) for it in found["limits"]}
    assert limits["Certificate message"] == (7 + 6 + sum(sizes[:2]), "tls.in_buffer")
    assert limits["Intermediate CAs"] == (1, "tls.max_chain")
    text = run(path, ca).stdout
    assert "server.test, 10.0.0.1" in text
    assert "1 <- 2 <- 3" in text


def test_ca_certificates(root: Identity, put: Put) -> None:
    other = make_authority("rsa-2048", "Other")
    found = check(put("ca.pem", root.certificate, other.certificate))
    assert (found["purpose"], found["findings"], found["chain"]) == ("ca", [], [])
    store = make_store(
        Credentials(ca=(root.certificate.public_bytes(DER), other.certificate.public_bytes(DER)))
    )
    length = HEADER.unpack_from(store)[5]
    assert [(it["used"], it["limit"]) for it in found["limits"]] == [(length, 4096 - HEADER.size)]


def test_a_client_s_pair(client: Identity, put: Put) -> None:
    cert, key = put("c.pem", client.certificate), put("k.pem", write_key(client))
    found = check(cert, key)
    assert (found["purpose"], found["findings"], found["chain"]) == ("client", [], [1])
    assert found["keys"] == [
        {"file": key, "line": 1, "key": "EC secp256r1", "encrypted": False, "certificate": 1}
    ]
    credentials = Credentials(
        certificates=(client.certificate.public_bytes(DER),), key=encode_key(client.key)
    )
    length = HEADER.unpack_from(make_store(credentials), 2 * 4096)[5]
    limits = {it["name"]: it["used"] for it in found["limits"]}
    assert limits["Store sector"] == length
    assert any("no private key" in note for note in check(cert)["notes"])
    assert check(key)["findings"] == []


def test_the_key_of_another(root: Identity, client: Identity, server: Identity, put: Put) -> None:
    cert, key = put("c.pem", client.certificate), put("k.pem", write_key(server))
    assert find(cert, key) == ["the key in k.pem is not that of the certificate"]
    both = put("both.pem", write_key(client), write_key(server))
    found = find(cert, both)
    assert found[0] == "there are 2 private keys: both.pem, line 1, both.pem, line 6"
    wrong = put("order.pem", root.certificate, client.certificate)
    assert find(wrong, put("own.pem", write_key(client))) == [
        "order.pem: certificate 1 stands before that of the end, certificate 2 (CN=client)"
    ]


def test_order_and_belonging(root: Identity, server: Identity, client: Identity, put: Put) -> None:
    own, middle = server.certificate, server.chain[0]
    assert find(put("a.pem", middle, own)) == [
        "a.pem: certificate 1 stands before that of the end, certificate 2 (CN=server.test)"
    ]
    upper = server.issue_server("ecdsa", "low.test")
    wrong = put("w.pem", upper.certificate, middle, own)
    assert (
        find(wrong, put("ca.pem", root.certificate))[0]
        == "certificate 3 (CN=server.test) is not a CA"
    )
    assert find(put("b.pem", own), put("ca.pem", root.certificate)) == [
        "none of the certificates issued certificate 1 (CN=server.test): its issuer is CN=Middle"
    ]
    namesake = make_authority("ecdsa", "Middle")
    assert (
        "certificate 2 (CN=Middle) has the name of the issuer of certificate 1 (CN=server.test),"
        " but did not sign it"
    ) in find(put("c.pem", own, namesake.certificate))
    below = client.issue_server("ecdsa", "low.test")
    assert "certificate 2 (CN=client) is not a CA" in find(
        put("d.pem", below.certificate, client.certificate)
    )


def test_forms_of_files(client: Identity, server: Identity, put: Put, tmp_path: Path) -> None:
    pem = make_pem(client.certificate)
    found = check(put("crlf.pem", pem.replace(b"\n", b"\r\n")))
    assert (found["findings"], len(found["certificates"])) == ([], 1)
    assert "CRLF" in found["notes"][0]
    found = check(put("bom.pem", b"\xef\xbb\xbf", pem))
    assert (found["findings"], len(found["certificates"])) == ([], 1)
    assert "byte order mark" in found["notes"][0]
    found = check(put("cert.der", client.certificate.public_bytes(DER)))
    assert found["findings"] == []
    assert "for tools that want PEM: openssl x509 -inform DER" in found["notes"][0]
    found = check(put("key.der", write_key(client, encoding=DER)))
    assert (found["findings"], found["keys"][0]["key"]) == ([], "EC secp256r1")
    assert find(put("cut.pem", pem[:-10])) == ["cut.pem, line 1: CERTIFICATE has no END line"]
    assert find(put("end.pem", pem.rstrip() + b"garbage\n")) == [
        "end.pem, line 1: CERTIFICATE has something behind its END line"
    ]
    assert "text behind its last block" in check(put("text.pem", pem, b"garbage\n"))["notes"][0]
    assert find(put("more.der", client.certificate.public_bytes(DER), b"garbage")) == [
        "more.der has 7 bytes behind its certificate"
    ]
    assert find(put("bits.pem", pem.replace(b"M", b"!", 1))) == [
        "bits.pem, line 1: CERTIFICATE is not base64"
    ]
    assert find(put("empty.pem", b" \n")) == ["empty.pem is empty"]
    assert find(put("noise.pem", b"\x00\x01")) == ["noise.pem is neither PEM nor DER"]
    assert find(put("wide.pem", pem.decode().encode("utf-16"))) == ["wide.pem is UTF-16 text"]
    assert find(str(tmp_path / "none.pem")) == ["cannot read none.pem: No such file or directory"]
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(server.key, hashes.SHA256())
    assert find(put("a.csr", signed.public_bytes(PEM))) == [
        "a.csr, line 1: a certificate request is not a certificate"
    ]
    assert find(put("b.csr", signed.public_bytes(DER))) == [
        "b.csr is a certificate request, not a certificate"
    ]


def test_pkcs7(client: Identity, root: Identity, put: Put) -> None:
    both = [client.certificate, root.certificate]
    for form in (PEM, DER):
        path = put("a b.p7", pkcs7.serialize_certificates(both, form))
        [finding] = check(path)["findings"]
        assert "PKCS#7" in finding["message"]
        command = finding["hint"].partition(": ")[2]
        said = subprocess.run(
            ["sh", "-c", command], cwd=Path(path).parent, check=True, capture_output=True
        )
        assert said.returncode == 0
        assert len(check(str(Path(path).parent / "certs.pem"))["certificates"]) == 2


def test_forms_of_openssl(client: Identity, put: Put, tmp_path: Path) -> None:
    path = put("c.pem", client.certificate)
    openssl("x509", "-in", path, "-trustout", "-out", tmp_path / "trusted.pem")
    assert "BEGIN TRUSTED" in (tmp_path / "trusted.pem").read_text()
    assert find(str(tmp_path / "trusted.pem")) == []
    ssh = client.key.private_bytes(PEM, serialization.PrivateFormat.OpenSSH, PLAIN)
    assert find(put("id", ssh)) == ["id, line 1: an OpenSSH key is no key for TLS"]


def test_pkcs12(client: Identity, root: Identity, put: Put) -> None:
    def pack(encryption: serialization.KeySerializationEncryption) -> bytes:
        own, others = client.certificate, [root.certificate]
        return pkcs12.serialize_key_and_certificates(b"x", client.key, own, others, encryption)

    told = "is PKCS#12, which neither the firmware nor provisioning reads"
    found = check(put("open.p12", pack(PLAIN)))
    assert [len(found["certificates"]), len(found["keys"])] == [2, 1]
    assert found["keys"][0]["certificate"] == 1
    assert find(put("open.p12", pack(PLAIN))) == [f"open.p12 {told}"]
    locked, secret = put("locked.p12", pack(SECRET)), put("secret", b"open sesame\n")
    assert "it is encrypted" in check(locked)["notes"][0]
    assert len(check(locked, "--passphrase-file", secret)["certificates"]) == 2
    wrong = put("wrong", b"sesame\n")
    assert "the passphrase is not" in check(locked, "--passphrase-file", wrong)["notes"][0]


@pytest.mark.parametrize("encoding", [PEM, DER])
def test_encrypted_key(client: Identity, put: Put, encoding: serialization.Encoding) -> None:
    cert = put("c.pem", client.certificate)
    key = put("k", write_key(client, encoding=encoding, encryption=SECRET))
    place = "k, line 1:" if encoding is PEM else "k:"
    assert find(cert, key) == [f"{place} the private key is encrypted"]
    right, wrong = put("right", b"open sesame\n"), put("wrong", b"sesame\n")
    found = check(cert, key, "--passphrase-file", right)
    assert (found["findings"], found["keys"][0]["encrypted"]) == ([], True)
    told = check(cert, key, "--passphrase-file", wrong)
    assert [it["message"].rpartition("/")[2] for it in told["findings"]] == [
        f"{place} the passphrase is not that of the private key"
    ]
    assert not any("no private key" in note for note in told["notes"])


def test_nothing_shows_a_private_key(client: Identity, put: Put) -> None:
    pem = write_key(client)
    paths = [
        put("k.pem", pem),
        put("k.der", write_key(client, encoding=DER)),
        put("locked.pem", write_key(client, encryption=SECRET)),
        put("broken.pem", pem.replace(b"-----END PRIVATE", b"-----END")),
        put("bits.pem", pem[:60] + b"!" + pem[61:]),
        put("other.pem", b"-----BEGIN CERTIFICATE-----\n", *pem.splitlines(keepends=True)[1:]),
    ]
    secret = put("secret", b"open sesame\n")
    for extra in ([], ["--json"]):
        output = run(*paths, "--passphrase-file", secret, *extra, code=1).output
        assert output.count("k.pem") > 0
        assert "sesame" not in output
        assert find_traces(output.encode(), client.key) == []


@pytest.mark.parametrize(
    ("option", "profile"),
    [("-md5", ()), ("-sha1", ()), ("-sha1", ("--set", "tls.digests=['SHA-1', 'SHA-256']"))],
)
def test_broken_digests(tmp_path: Path, option: str, profile: tuple[str, ...]) -> None:
    ca, end, key = tmp_path / "ca.pem", tmp_path / "end.pem", tmp_path / "k.pem"
    kind = ("rsa:2048",) if option == "-md5" else ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    new = ("req", "-x509", "-newkey", *kind, "-nodes")
    openssl(*new, "-keyout", key, "-out", ca, "-subj", "/CN=CA", "-days", "9")
    openssl(
        *new, "-keyout", tmp_path / "e.pem", "-out", end, "-subj", "/CN=end", "-days", "9",
        "-CA", ca, "-CAkey", key, option, "-addext", "basicConstraints=CA:FALSE",
    )  # fmt: skip
    name = {"-md5": "MD5", "-sha1": "SHA-1"}[option]
    assert find(str(end), *profile) == [
        f"certificate 1 (CN=end) is signed with {name}, which is broken: it is refused"
    ]


def test_weak_and_unknown_keys(root: Identity, put: Put) -> None:
    weak = make_authority("rsa-1024", "Weak")
    assert find(put("weak.pem", weak.certificate)) == [
        "certificate 1 (CN=Weak) has an RSA key of 1024 bits only"
    ]
    large = root.issue_server("secp521r1", "server.test")
    assert find(put("large.pem", large.certificate), "--set", "tls.curves=['secp256r1']") == [
        "certificate 1 (CN=server.test) has a key on secp521r1, which tls.curves lacks"
    ]
    rsa = make_authority("rsa", "RSA").issue_server("rsa", "server.test")
    found = find(put("rsa.pem", rsa.certificate), "--profile", "tiny")
    assert "certificate 1 (CN=server.test) has an RSA key, tls.signatures has no RSA" in found
    assert "certificate 1 (CN=server.test) is signed with RSA, which tls.signatures lacks" in found
    key = ed25519.Ed25519PrivateKey.generate()
    found = find(put("ed.pem", key.private_bytes(PEM, PKCS8, PLAIN)))
    assert found == ["the private key in ed.pem has a key of the kind Ed25519, neither RSA nor EC"]
    other = root.issue_server("ecdsa", "server.test", digest=hashes.SHA384())
    assert find(put("d.pem", other.certificate), "--set", "tls.digests=['SHA-256']") == [
        "certificate 1 (CN=server.test) is signed with SHA-384, which tls.digests lacks"
    ]


def test_key_exchange(put: Put) -> None:
    rsa = make_authority("rsa", "RSA").issue_server("rsa", "server.test")
    found = find(put("rsa.pem", rsa.certificate), "--set", "tls.key_exchanges=['ECDHE-ECDSA']")
    assert (
        "certificate 1 (CN=server.test) has an RSA key, tls.key_exchanges has none for it" in found
    )


def test_dates(root: Identity, put: Put) -> None:
    day = timedelta(days=1)
    old = root.issue_server("ecdsa", "old.test", start=-9 * day, end=-day)
    assert find(put("old.pem", old.certificate))[0].startswith(
        "certificate 1 (CN=old.test) expired on "
    )
    new = root.issue_server("ecdsa", "new.test", start=day, end=90 * day)
    assert find(put("new.pem", new.certificate))[0].startswith(
        "certificate 1 (CN=new.test) is valid only from "
    )
    soon = root.issue_server("ecdsa", "soon.test", end=9 * day)
    assert any(
        "in less than 30 days" in note for note in check(put("s.pem", soon.certificate))["notes"]
    )


def test_what_a_certificate_is_for(root: Identity, client: Identity, put: Put) -> None:
    cert = put("c.pem", client.certificate)
    assert find(cert, "--purpose", "server") == [
        "certificate 1 (CN=client) is not for servers by its extended key usage"
    ]
    wrong = root.issue_server("ecdsa", "server.test", usage=ExtendedKeyUsageOID.CODE_SIGNING)
    assert "is not for servers" in find(put("w.pem", wrong.certificate), "--host", "server.test")[0]
    assert find(cert, "--purpose", "ca") == ["certificate 1 (CN=client) is not a CA"]
    assert find(put("ca.pem", root.certificate), "--purpose", "client") == []


def test_any_purpose_is_no_clients(root: Identity, put: Put) -> None:
    """OpenSSL takes it from no client; the firmware takes it from a server."""
    own = root.issue_server("ecdsa", "a.test", usage=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    path = put("own.crt", own.certificate)
    said = "certificate 1 (CN=a.test) is not for clients by its extended key usage"
    assert find(path, "--purpose", "client") == [said]
    assert find(path, "--purpose", "server") == []


def test_key_usage_and_path_length(root: Identity, put: Put) -> None:
    def issue(name: str, issuer: Identity, *extensions: x509.ExtensionType) -> Identity:
        key = make_key("ecdsa")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
        builder = builder.issuer_name(issuer.certificate.subject).serial_number(7)
        builder = builder.not_valid_before(root.certificate.not_valid_before_utc)
        builder = builder.not_valid_after(root.certificate.not_valid_after_utc)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return Identity(key, builder.sign(issuer.key, hashes.SHA256()))

    def usage(**given: bool) -> x509.KeyUsage:
        names = (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
            "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        )  # fmt: skip
        return x509.KeyUsage(**{name: given.get(name, False) for name in names})

    ca = x509.BasicConstraints(ca=True, path_length=0)
    upper = issue("Upper", root, ca, usage(crl_sign=True))
    lower = issue("Lower", upper, ca)
    end = issue("server.test", lower, usage(key_agreement=True))
    chain = put("chain.pem", end.certificate, lower.certificate, upper.certificate)
    assert find(chain, "--purpose", "server") == [
        "certificate 3 (CN=Upper) is not allowed to sign certificates by its key usage",
        "certificate 3 (CN=Upper) allows 0 CAs below it, and has 1",
        "certificate 1 (CN=server.test) may not sign a handshake by its key usage",
    ]


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("server.test", True),
        ("SERVER.TEST", True),
        ("server.test.other", False),
        ("10.0.0.1", True),
        ("10.0.0.2", False),
    ],
)
def test_host_names(server: Identity, put: Put, host: str, fits: bool) -> None:
    path = put("s.pem", server.certificate)
    told = f"the certificate is not for {host}: it is for server.test, 10.0.0.1"
    assert find(path, "--host", host) == ([] if fits else [told])
    option = "-checkip" if host[0] == "1" else "-checkhost"
    command = ["openssl", "x509", "-noout", "-in", path, option, host]
    verdict = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert (b"does match" in verdict.stdout) == fits


def test_wildcards_and_mbedtls_2(root: Identity, server: Identity, put: Put) -> None:
    stars = put("star.pem", root.issue_server("ecdsa", "*.example.test").certificate)
    assert find(stars, "--host", "a.example.test") == []
    assert len(find(stars, "--host", "a.b.example.test", "--host", "example.test")) == 2
    assert "another form" in find(stars, "--host", "bücher.example.test")[0]
    old = find(
        put("s.pem", server.certificate), "--host", "10.0.0.1", "--set", "mbedtls.version=2.28.3"
    )
    assert old == ["mbedTLS 2.28.3 does not look for addresses in certificates, as 10.0.0.1 is"]


def test_a_chain_that_does_not_fit(put: Put) -> None:
    authority = make_authority("rsa-4096", "Root")
    chain: list[x509.Certificate] = []
    for number in range(4):
        authority = authority.issue_authority("rsa-4096", f"Middle {number}")
    server = authority.issue_server("rsa-4096", "server.test")
    chain = [server.certificate, *server.chain]
    size = 7 + sum(3 + len(one.public_bytes(DER)) for one in chain)
    path = put("long.pem", *chain)
    narrow = ("--set", "tls.max_chain=3", "--set", "crypto.max_key_bits=4096")
    assert size > 4096
    assert find(path, *narrow) == [
        f"the chain does not fit: its Certificate message has {size:,} bytes,"
        " tls.in_buffer is 4,096",
        "the chain has 4 intermediate CAs, tls.max_chain is 3",
    ]
    sector = sum(4 + len(one.public_bytes(DER)) for one in chain)
    found = find(path, "--purpose", "client", "--set", "crypto.max_key_bits=4096")
    assert f"the certificates take {sector:,} bytes, a store sector has 4,064" in found
    assert any("tls.out_buffer is 4,096" in message for message in found)


def test_wrong_profiles_and_options(root: Identity, put: Put) -> None:
    path = put("ca.pem", root.certificate)
    assert "no-such" in run(path, "--profile", "no-such", code=1).stderr
    assert json.loads(run(path, "--profile", "no-such", "--json", code=1).stdout)["error"]["hint"]
    assert "--purpose" in run(path, "--purpose", "friend", code=2).stderr
