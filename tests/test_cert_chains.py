"""Chains as people have them in files: `cert check` finds the way up, whatever lies beside it."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pki import Identity, make_authority
from test_cert_check import Put, check, find, put, run, write_key
from test_cert_minimise import issue_again
from test_cert_new import run_openssl

__all__ = ["put"]  # a fixture
DAY = timedelta(days=1)
DER = Encoding.DER


@pytest.fixture(scope="module")
def root() -> Identity:
    return make_authority("ecdsa", "Root")


@pytest.fixture(scope="module")
def server(root: Identity) -> Identity:
    return root.issue_authority("ecdsa", "Middle").issue_server("ecdsa", "server.test")


def test_a_root_in_the_chain_and_in_its_file(root: Identity, server: Identity, put: Put) -> None:
    full = put("full.pem", server.certificate, *server.chain, root.certificate)
    found = check(full, put("ca.pem", root.certificate), "--host", "server.test")
    assert (found["findings"], found["chain"]) == ([], [1, 2, 3])
    assert len(found["certificates"]) == 4


def test_a_root_of_its_own_is_not_sent(root: Identity, server: Identity, put: Put) -> None:
    chain, ca = put("chain.pem", server.certificate, *server.chain), put("ca.pem", root.certificate)
    alone, together = (check(*files)["limits"][0] for files in ([chain], [chain, ca]))
    assert alone["name"] == "Certificate message"
    assert alone["used"] == together["used"]


def test_a_self_signed_server_beside_itself(put: Put) -> None:
    own = make_authority("ecdsa", "server.test").certificate
    paths = put("chain.pem", own), put("ca.pem", own)
    assert find(*paths, "--host", "server.test") == []


def test_other_cas_beside_a_chain(root: Identity, server: Identity, put: Put) -> None:
    others = [make_authority("ecdsa", f"Other {number}") for number in range(3)]
    chain = put("chain.pem", server.certificate, *server.chain)
    ca = put("server-ca.crt", *(one.certificate for one in (*others, root)))
    found = check(chain, ca)
    assert found["findings"] == []
    assert "3 other CA certificates are beside the chain" in found["notes"]
    wrong = put("wrong.crt", *(one.certificate for one in others))
    assert [message.rpartition("/")[2] for message in find(chain, wrong)] == [
        "none of the certificates issued certificate 2 (CN=Middle): its issuer is CN=Root"
    ]


@pytest.mark.parametrize("end", [300 * DAY, -DAY], ids=["valid", "expired"])
def test_a_cross_certificate_is_part_of_what_is_sent(
    root: Identity, server: Identity, put: Put, end: timedelta
) -> None:
    """As a CA that was certified by an older one has it sent, for devices that know that one."""
    older = make_authority("ecdsa", "Older")
    cross = issue_again(root, older, end=end)
    chain = put("chain.pem", server.certificate, *server.chain, cross.certificate)
    found = check(chain, put("ca.pem", root.certificate))
    assert (found["findings"], found["chain"]) == ([], [1, 2, 4])
    [size] = [it["used"] for it in found["limits"] if it["name"] == "Certificate message"]
    sent = (server.certificate, *server.chain, cross.certificate)
    assert size == 7 + sum(3 + len(one.public_bytes(DER)) for one in sent)


def test_a_new_key_under_the_same_name(put: Put) -> None:
    """A root that certifies its next key bears its own name as issuer, and another signature."""
    old = make_authority("ecdsa", "Roll")
    new = make_authority("ecdsa", "Roll")
    key_id = x509.SubjectKeyIdentifier.from_public_key(new.key.public_key())
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(old.key.public_key())
    builder = x509.CertificateBuilder().subject_name(new.certificate.subject)
    builder = builder.issuer_name(old.certificate.subject).public_key(new.key.public_key())
    builder = builder.serial_number(7).add_extension(key_id, critical=False)
    builder = builder.not_valid_before(old.certificate.not_valid_before_utc)
    builder = builder.not_valid_after(old.certificate.not_valid_after_utc)
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    linked = builder.add_extension(above, critical=False).sign(old.key, hashes.SHA256())
    leaf = Identity(new.key, linked).issue_server("ecdsa", "server.test").certificate
    assert find(put("chain.pem", leaf, linked)) == []
    assert find(put("chain.pem", leaf, linked), put("ca.pem", old.certificate)) == []


def test_names_are_compared_as_mbedtls_does(put: Put) -> None:
    """Case does not count, nor whether a name is a PrintableString or a UTF8String."""
    root = make_authority("ecdsa", "CA Case")
    lower = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "ca case", x509.name._ASN1Type.PrintableString)]
    )
    server = _issue_under(root, lower)
    chain, ca = put("chain.pem", server), put("ca.pem", root.certificate)
    assert check(chain, ca)["chain"] == [1, 2]
    assert find(chain, ca) == []
    wide = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "CA Case", x509.name._ASN1Type.BMPString)]
    )
    [message] = find(put("wide.pem", _issue_under(root, wide)), ca)
    assert message.startswith("none of the certificates issued certificate 1")


def _issue_under(root: Identity, issuer: x509.Name) -> x509.Certificate:
    server = root.issue_server("ecdsa", "server.test").certificate
    builder = x509.CertificateBuilder().subject_name(server.subject).issuer_name(issuer)
    builder = builder.public_key(server.public_key()).serial_number(server.serial_number)
    builder = builder.not_valid_before(server.not_valid_before_utc)
    builder = builder.not_valid_after(server.not_valid_after_utc)
    for extension in server.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(root.key, hashes.SHA256())


def test_a_public_server_s_certificate_is_a_server_s(root: Identity, put: Put) -> None:
    """Though clients may have such a one, too: its extended key usage has both."""
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    server = root.issue_server("ecdsa", "server.test")
    leaf = _reissue(server.certificate, root, {x509.ExtendedKeyUsage: both})
    assert check(put("full.pem", leaf))["purpose"] == "server"
    assert check(put("full.pem", leaf), put("k.pem", write_key(server)))["purpose"] == "server"
    client = root.issue_client("ecdsa", "one").certificate
    assert check(put("c.pem", client))["purpose"] == "client"


def test_the_first_issuer_that_fits_is_taken(root: Identity, put: Put) -> None:
    """Of two cross-certificates of one CA mbedTLS looks at the first, and never goes back."""
    other = make_authority("ecdsa", "Other")
    middle = root.issue_authority("ecdsa", "Middle")
    twin = issue_again(middle, other)
    chain = middle.issue_server("ecdsa", "server.test").certificate
    sent = put("chain.pem", chain, middle.certificate, twin.certificate)
    assert find(sent, put("root.pem", root.certificate)) == []
    [message] = find(sent, put("other.pem", other.certificate))
    assert message == (
        "none of the certificates issued certificate 2 (CN=Middle): its issuer is CN=Root"
    )


def test_a_mesh_of_cas_takes_no_time(put: Put) -> None:
    one, two = make_authority("ecdsa", "One"), make_authority("ecdsa", "Two")
    mesh = [issue_again(*pair) for _ in range(12) for pair in ((one, two), (two, one))]
    leaf = one.issue_server("ecdsa", "server.test")
    found = check(put("mesh.pem", leaf.certificate, *(it.certificate for it in mesh)))
    assert len(found["chain"]) > 12


def test_a_valid_issuer_goes_before_one_that_is_not(root: Identity, put: Put) -> None:
    middle = root.issue_authority("ecdsa", "Middle")
    past = issue_again(middle, root, end=-DAY)
    leaf = middle.issue_server("ecdsa", "server.test").certificate
    sent = put("chain.pem", leaf, past.certificate, middle.certificate)
    assert find(sent, put("ca.pem", root.certificate)) == []
    [message] = find(put("p.pem", leaf, past.certificate), put("ca.pem", root.certificate))
    assert message.startswith("certificate 2 (CN=Middle) expired on")


def test_all_that_is_sent_counts(root: Identity, server: Identity, put: Put) -> None:
    once = check(put("chain.pem", server.certificate, *server.chain))["limits"][0]["used"]
    [middle] = server.chain
    many = [middle] * 15
    path = put("many.pem", server.certificate, *many)
    size = len(middle.public_bytes(DER)) + 3
    used = check(path, "--set", "tls.in_buffer=8KiB")["limits"][0]["used"]
    assert used == once + 14 * size
    ca = put("ca.pem", root.certificate)
    assert find(path, ca)[0] == find(ca, path)[0]
    assert "the chain does not fit" in find(path, ca)[0]


def test_what_a_client_sends_in_one_record(root: Identity, put: Put) -> None:
    middle = root.issue_authority("rsa", "Middle")
    client = middle.issue_client("rsa", "one")
    pair = put("c.pem", client.certificate, *client.chain), put("c.key", write_key(client))
    assert find(*pair) == []
    [message] = find(*pair, "--set", "tls.max_fragment=1KiB")
    assert message.endswith("tls.max_fragment is 1,024")


def test_what_a_client_does_not_read(put: Put) -> None:
    """The CA beside a client's pair is the servers' business."""
    authority = make_authority("secp521r1", "Large")
    client = authority.issue_client("ecdsa", "one")
    files = put("c.pem", client.certificate), put("c.key", write_key(client))
    narrow = ("--set", "tls.curves=['secp256r1']")
    assert find(*files, put("ca.pem", authority.certificate), *narrow) == []


def test_a_ca_of_the_wrong_kind_of_certificates(root: Identity, put: Put) -> None:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    middle = root.issue_authority("ecdsa", "Middle")
    servers_only = _reissue(middle.certificate, root, {x509.ExtendedKeyUsage: usage})
    client = middle.issue_client("ecdsa", "one")
    chain = put("c.pem", client.certificate, servers_only)
    assert find(chain, put("c.key", write_key(client))) == [
        "certificate 2 (CN=Middle) is not for clients by its extended key usage"
    ]


def test_an_anchor_s_own_signature_does_not_matter(tmp_path: Path, put: Put) -> None:
    root = make_authority("rsa", "Root")
    middle = root.issue_authority("rsa", "Middle")
    files, own = root.write(tmp_path / "root"), middle.write(tmp_path / "middle")
    extensions = tmp_path / "ext"
    extensions.write_text("basicConstraints=critical,CA:TRUE\n")
    request, old = tmp_path / "r.pem", tmp_path / "old.pem"
    run_openssl("req", "-new", "-key", own.key_path, "-subj", "/CN=Middle", "-out", request)
    issuer = ("-CA", files.cert_path, "-CAkey", files.key_path, "-extfile", extensions)
    run_openssl("x509", "-req", "-sha1", "-in", request, *issuer, "-days", "9", "-out", old)
    leaf = put("leaf.pem", middle.issue_server("rsa", "server.test").certificate)
    assert find(leaf, str(old)) == []
    both = put("both.pem", Path(leaf).read_bytes(), old.read_bytes())
    [message] = find(both, put("ca.pem", root.certificate))
    assert message.startswith("certificate 2 (CN=Middle) is signed with SHA-1, which is broken")


def test_every_common_name_counts_without_alternative_names(root: Identity, put: Put) -> None:
    names = ("server.test", "other.test")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    key = root.issue_server("ecdsa", "x.test").key
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.issuer_name(root.certificate.subject).serial_number(3)
    builder = builder.not_valid_before(root.certificate.not_valid_before_utc)
    builder = builder.not_valid_after(root.certificate.not_valid_after_utc)
    path = put("two.pem", builder.sign(root.key, hashes.SHA256()))
    assert find(path, "--host", "server.test", "--host", "other.test") == []
    assert len(find(path, "--host", "x.test")) == 1


def test_a_server_that_signed_its_own_is_trusted_by_itself(put: Put, tmp_path: Path) -> None:
    own, key = tmp_path / "own.pem", tmp_path / "own.key"
    run_openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", "/CN=server.test", "-addext", "subjectAltName=DNS:server.test"),
        *("-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", own),
    )
    assert find(str(own), put("ca.crt", own.read_bytes()), "--host", "server.test") == []
    found = check(str(own), "--purpose", "ca")
    assert found["findings"] == []
    assert any("only the server is trusted that has this" in note for note in found["notes"])


def test_names_of_hosts_that_are_none(server: Identity, put: Put) -> None:
    path = put("s.pem", server.certificate)
    for host in ("", "server.test:443", "server.test."):
        assert find(path, "--host", host) == [f"{host!r} is no name of a host"]


def test_paths_do_nothing_to_a_terminal(put: Put) -> None:
    path = put("x\x1b[31mred.crt", b"rubbish")
    assert find(path) == ["x?[31mred.crt is neither PEM nor DER"]


def _reissue(
    old: x509.Certificate,
    issuer: Identity,
    changes: dict[type[x509.ExtensionType], x509.ExtensionType],
) -> x509.Certificate:
    """Certify a key once more, with other extensions."""
    builder = x509.CertificateBuilder().subject_name(old.subject).public_key(old.public_key())
    builder = builder.issuer_name(issuer.certificate.subject).serial_number(5)
    builder = builder.not_valid_before(old.not_valid_before_utc)
    builder = builder.not_valid_after(old.not_valid_after_utc)
    kept = {type(one.value): one.value for one in old.extensions}
    for value in (kept | changes).values():
        builder = builder.add_extension(value, critical=isinstance(value, x509.BasicConstraints))
    return builder.sign(issuer.key, hashes.SHA256())


def test_what_a_ca_pair_is_for(root: Identity, put: Put) -> None:
    found = check(put("ca.crt", root.certificate), put("ca.key", write_key(root)))
    assert (found["purpose"], found["findings"]) == ("ca", [])


def test_dates_that_the_profile_does_not_check(root: Identity, put: Put) -> None:
    old = root.issue_server("ecdsa", "old.test", start=-9 * DAY, end=-DAY)
    path = put("old.pem", old.certificate)
    assert "expired on" in find(path)[0]
    assert find(path, "--set", "tls.verify_dates=false") == []


def test_a_root_signed_with_ecdsa_and_sha_1(tmp_path: Path) -> None:
    path = tmp_path / "s1.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha1")
    files = ("-keyout", "/dev/null", "-out", path, "-subj", "/CN=s1", "-days", "9")
    subprocess.run(["openssl", "req", "-x509", *curve, *files], check=True, capture_output=True)
    assert find(str(path)) == []


def test_a_client_key_that_is_too_long_to_sign_with(root: Identity, put: Put) -> None:
    client = root.issue_client("rsa-4096", "large")
    assert find(put("c.pem", client.certificate), put("c.key", write_key(client))) == [
        "certificate 1 (CN=large) has an RSA key of 4096 bits: to sign with it takes more heap than"
        " a handshake leaves"
    ]


def test_two_thousand_roots_beside_a_chain(root: Identity, server: Identity, put: Put) -> None:
    """All of one key: what is looked at is names."""
    others = [_rename(root, f"CA {number}") for number in range(2000)]
    chain = put("chain.pem", server.certificate, *server.chain)
    found = check(chain, put("many.pem", *others, root.certificate))
    assert found["findings"] == []
    assert "2000 other CA certificates are beside the chain" in found["notes"]


def _rename(root: Identity, name: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
    builder = builder.public_key(root.key.public_key()).serial_number(9)
    builder = builder.not_valid_before(root.certificate.not_valid_before_utc)
    builder = builder.not_valid_after(root.certificate.not_valid_after_utc)
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    return builder.sign(root.key, hashes.SHA256())


def test_a_negative_serial_number_says_nothing_on_standard_error(put: Put) -> None:
    der = bytearray(make_authority("ecdsa", "Minus").certificate.public_bytes(DER))
    at = der.index(b"\x02\x14") + 2  # a serial number of 20 bytes
    der[at] |= 0x80
    result = run(put("minus.der", bytes(der)))
    assert result.stderr == ""
    assert "does not bear its own signature" in result.stdout
