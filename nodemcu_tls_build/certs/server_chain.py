"""Read the certificates that a server sends, and the CA that they are checked with."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from cryptography import x509

from nodemcu_tls_build.certs.details import Details
from nodemcu_tls_build.certs.finding import Finding, explain_findings
from nodemcu_tls_build.certs.pair import load_certificates
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.profile.chain import Certificate, Chain

_ORDER = "Put the server's own certificate first, and behind each the one of its issuer."
_KEY_HINT = "A certificate needs an RSA key, or an EC key on a curve of tls.curves."


def load_chain(path: Path, ca_path: Path | None = None) -> Chain:
    """Return the chain in a file, the server's certificate first.

    The private key may be in the file, too; it is not read. Without a CA file, the CA is the last
    certificate when that signed itself, or else one with a key like the last one's. Raises
    CertificateError.
    """
    sent = load_certificates(path)
    _check_order(sent, path)
    if ca_path is not None:
        trusted = [
            (ca.certificate.subject, _describe_ca(ca, ca.subject, ca_path))
            for ca in load_certificates(ca_path)
        ]
    elif sent[-1].is_self_signed:
        trusted = [(sent[-1].certificate.subject, _describe_ca(sent[-1], sent[-1].subject, path))]
    else:
        trusted = [(sent[-1].certificate.issuer, _describe_ca(sent[-1], sent[-1].issuer, path))]
    for length, one in enumerate(sent, start=1):
        ca = next((ca for name, ca in trusted if name == one.certificate.issuer), None)
        if ca is not None:
            return Chain(
                certificates=tuple(_describe(it, it.subject, path) for it in sent),
                trusted=tuple(ca for _, ca in trusted),
                ca=ca,
                length=length,
            )
    raise CertificateError(
        f"no certificate in {path} was issued by a CA in {ca_path}",
        "Give the certificate of the CA that the server's chain ends in.",
    )


def _check_order(sent: list[Details], path: Path) -> None:
    findings = [
        Finding(
            f"{path}: {one.subject} was not issued by the certificate behind it, {issuer.subject}",
            _ORDER,
        )
        for one, issuer in pairwise(sent)
        if one.certificate.issuer != issuer.certificate.subject
    ]
    if findings:
        raise explain_findings(f"{path} is no chain", findings)


def _describe_ca(details: Details, subject: str, path: Path) -> Certificate:
    """Return a certificate that is not taken for one that was sent."""
    return _describe(details, f"CA {subject}", path)


def _describe(details: Details, subject: str, path: Path) -> Certificate:
    if details.key.name not in {"EC", "RSA"}:
        message = f"{path}: the key of {details.subject} is neither RSA nor on a named curve"
        raise CertificateError(message, _KEY_HINT)
    certificate = details.certificate
    return Certificate(
        subject=subject,
        size=len(details.der),
        key=details.key.curve or f"rsa-{details.key.bits}",
        digest=details.digest,
        more_names=max(0, len(list(certificate.subject)) - 1)
        + max(0, len(list(certificate.issuer)) - 1),
        more_items=_count_more_items(certificate.extensions),
    )


def _count_more_items(extensions: x509.Extensions) -> int:
    """Return how many blocks lists of names, uses and policies take: none for the first entry."""
    count = 0
    for extension in extensions:
        value = extension.value
        if isinstance(
            value, x509.SubjectAlternativeName | x509.ExtendedKeyUsage | x509.CertificatePolicies
        ):
            count += max(0, len(list(value)) - 1)
    return count
