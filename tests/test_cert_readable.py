"""What `cert check` says that mbedTLS cannot read, beside what each mbedTLS says itself."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from native_build import compile_native

from nodemcu_tls_build.certs import check_ca_fits, load_ca_file
from nodemcu_tls_build.certs.details import read_details
from nodemcu_tls_build.certs.fit import check_signature
from nodemcu_tls_build.certs.readable import check_readable
from nodemcu_tls_build.certs.strength import check_strength
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.profile import load_profile

DER = serialization.Encoding.DER
KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Odd CA")])
CA = x509.BasicConstraints(ca=True, path_length=None)
NUMERIC = x509.name._ASN1Type.NumericString
NETSCAPE = ObjectIdentifier("2.16.840.1.113730.1.1")


def make_policies(*identifiers: str) -> x509.CertificatePolicies:
    policies = [x509.PolicyInformation(ObjectIdentifier(oid), None) for oid in identifiers]
    return x509.CertificatePolicies(policies)


EXTENSIONS: dict[str, x509.ExtensionType] = {
    "authorityKeyIdentifier": x509.AuthorityKeyIdentifier(b"abc", None, None),
    "authorityKeyIdentifier, whole": x509.AuthorityKeyIdentifier(
        b"abc", [x509.DirectoryName(NAME)], 5
    ),
    "authorityKeyIdentifier, empty": x509.AuthorityKeyIdentifier(None, None, None),
    "subjectKeyIdentifier": x509.SubjectKeyIdentifier(b"abc"),
    "any policy": make_policies("2.5.29.32.0"),
    "a policy": make_policies("1.2.3.4"),
    "any policy and another": make_policies("2.5.29.32.0", "1.2.3.4"),
    "keyUsage": x509.KeyUsage(True, False, False, False, False, True, True, False, False),
    "extendedKeyUsage": x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
    "subjectAltName": x509.SubjectAlternativeName([x509.DNSName("a")]),
    "nameConstraints": x509.NameConstraints([x509.DNSName("a")], None),
    "policyConstraints": x509.PolicyConstraints(0, None),
    "inhibitAnyPolicy": x509.InhibitAnyPolicy(0),
    "tlsFeature": x509.TLSFeature([x509.TLSFeatureType.status_request]),
    "precertificate poison": x509.PrecertPoison(),
    "nsCertType": x509.UnrecognizedExtension(NETSCAPE, b"\x03\x02\x06\x40"),
    "unknown": x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.9"), b"\x05\x00"),
}


def write_certificates(directory: Path) -> list[Path]:
    """Write a CA with each of the extensions, critical and not; the file has its name."""
    start = make_builder().subject_name(NAME).issuer_name(NAME)
    for name, extension in EXTENSIONS.items():
        for critical in (False, True):
            made = start.add_extension(extension, critical).sign(KEY, hashes.SHA256())
            path = directory / f"{name}{', critical' if critical else ''}.der"
            path.write_bytes(made.public_bytes(DER))
    numeric = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, "7", NUMERIC)])
    write_others(directory, numeric)
    return sorted(directory.glob("*.der"))


def write_others(directory: Path, numeric: x509.Name) -> None:
    """Write certificates whose keys, signatures and names are of odd kinds."""
    curve = ("-pkeyopt", "ec_paramgen_curve:P-256")
    request = ("req", "-x509", "-nodes", "-outform", "DER", "-subj", "/CN=x")
    plain, whole = directory / "plain.key", directory / "compressed.key"
    openssl("genpkey", "-algorithm", "EC", *curve, "-out", plain)
    openssl("ec", "-in", plain, "-conv_form", "compressed", "-out", whole)
    pss = ("-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss", "-sigopt")
    kinds: dict[str, tuple[str | Path, ...]] = {
        "RSA-PSS key": ("-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"),
        "explicit curve": ("-newkey", "ec", *curve, "-pkeyopt", "ec_param_enc:explicit"),
        "compressed point": ("-key", whole),
        "whole point": ("-key", plain),
        "PSS, one digest": (*pss, "rsa_mgf1_md:sha256"),
        "PSS, two digests": (*pss, "rsa_mgf1_md:sha384"),
    }
    for name, options in kinds.items():
        files = () if "-key" in options else ("-keyout", directory / "unused.key")
        openssl(*request, *options, *files, "-out", directory / f"{name}.der")
    builder = make_builder().subject_name(numeric).issuer_name(numeric)
    made = builder.sign(KEY, hashes.SHA256()).public_bytes(DER)
    (directory / "numeric string.der").write_bytes(made)


def openssl(*args: str | Path) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=60)


def make_builder() -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .public_key(KEY.public_key())
        .serial_number(5)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9))
        .add_extension(CA, critical=True)
    )


def judge(path: Path, version: str) -> bool:
    """Tell whether nothing is found that keeps this mbedTLS from reading a certificate."""
    details = read_details(path.read_bytes())
    assert details is not None
    findings = [
        *check_readable(details, "it", mbedtls=version),
        *check_strength(details.key, "it"),
    ]
    assert all(finding.message.startswith("it ") and finding.hint for finding in findings)
    return not findings


@pytest.mark.parametrize("version", ["3.6.6", "2.28.3", "2.16.3"])
def test_mbedtls_agrees(tmp_path: Path, version: str) -> None:
    paths = write_certificates(tmp_path)
    program = compile_native(
        tmp_path / "x509_check",
        ["tests/native/x509_check.c"],
        mbedtls=("*.c",),
        version=version,
    )
    answer = subprocess.run([program, *paths], check=True, capture_output=True, text=True)
    said = {
        Path(name): result == "0"
        for name, _, result in (line.rpartition(" ") for line in answer.stdout.splitlines())
    }
    assert {path.stem for path in said} >= {*EXTENSIONS, "RSA-PSS key", "numeric string"}
    assert {path.stem: judge(path, version) for path in paths} == {
        path.stem: is_read for path, is_read in said.items()
    }
    assert set(said.values()) == {True, False}


def test_a_signature_with_two_digests_can_be_read_and_not_checked(tmp_path: Path) -> None:
    write_others(tmp_path, NAME)
    profile = load_profile("default")
    for name, count in (("PSS, one digest", 0), ("PSS, two digests", 1)):
        details = read_details((tmp_path / f"{name}.der").read_bytes())
        assert details
        assert len(list(check_signature(details, "it", profile))) == count
        assert list(check_signature(details, "it", profile, is_anchor=True)) == []


def test_a_build_refuses_what_the_firmware_cannot_read(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    bundle = load_ca_file(tmp_path / "nameConstraints, critical.der", now=datetime.now(UTC))
    told = "CN=Odd CA has the critical extension nameConstraints, which mbedTLS 3.6.6 does not know"
    with pytest.raises(CertificateError, match=told):
        check_ca_fits(bundle, load_profile("default"))
    bundle = load_ca_file(tmp_path / "nameConstraints.der", now=datetime.now(UTC))
    check_ca_fits(bundle, load_profile("default"))
