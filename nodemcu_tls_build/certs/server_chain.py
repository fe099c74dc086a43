"""Read the certificates that a server sends, and the CA that they are checked with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from nodemcu_tls_build.certs.details import Details, is_signed_by
from nodemcu_tls_build.certs.finding import Finding, explain_findings
from nodemcu_tls_build.certs.pair import load_certificates
from nodemcu_tls_build.certs.way import find_way
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.profile.chain import Certificate, Chain

_ORDER = "Put the server's own certificate first, and behind each the one of its issuer."
_KEY_HINT = "A certificate needs an RSA key, or an EC key on a curve of tls.curves."


def load_chain(path: Path, ca_path: Path | None = None) -> Chain:
    """Return the chain in a file, the server's certificate first.

    What leads from that one to the CA has to stand in order. What else is there is sent as well,
    and comes last in the chain; a private key is not read. Without a CA file, the CA is the end of
    that way when it signed itself, or else a certificate with a key like it. Raises
    CertificateError.
    """
    sent = load_certificates(path)
    own = [one for one in sent if one.is_self_signed]
    roots = own if ca_path is None else load_certificates(ca_path)
    way = find_way(sent, roots, now=datetime.now(UTC))
    steps = list(way.steps)
    _check_order(sent, [] if way.is_trusted else steps, path)
    if not way.is_trusted:
        if ca_path is not None:
            raise CertificateError(
                f"no certificate in {path} was issued by a CA in {ca_path}",
                "Give the certificate of the CA that the server's chain ends in.",
            )
        like = _describe(steps[-1], f"CA {steps[-1].issuer}", path)
        trusted = [replace(like, not_before=None, not_after=None)]
        ca = trusted[0]
    else:
        trusted = [_describe(one, f"CA {one.subject}", ca_path or path) for one in roots]
        ca = next(it for it, one in zip(trusted, roots, strict=True) if one.der == steps[-1].der)
        if len(steps) > 1:
            steps.pop()
    others = [one for one in sent if all(one is not it for it in steps)]
    return Chain(
        certificates=tuple(_describe(one, one.subject, path) for one in (*steps, *others)),
        trusted=tuple(trusted),
        ca=ca,
        length=len(steps),
    )


def _check_order(sent: list[Details], way: list[Details], path: Path) -> None:
    """Refuse an issuer in front of what it issued, where nothing looks for it.

    `way` is one that ends without one that is trusted.
    """
    pairs = [(one, sent[0]) for one in sent[1:] if one.der != sent[0].der]
    pairs += [(way[-1], one) for one in sent if way and all(one.der != it.der for it in way)]
    findings = [
        Finding(f"{path}: {one.subject} stands behind {issuer.subject}, which issued it", _ORDER)
        for one, issuer in pairs
        if is_signed_by(one, issuer)
    ]
    if findings:
        raise explain_findings(f"{path} is no chain", findings)


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
        signature=details.signature,
        not_before=details.not_before,
        not_after=details.not_after,
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
