"""Find keys and signatures that the firmware refuses whatever its profile says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from nodemcu_tls_build.certs.details import Details
from nodemcu_tls_build.certs.finding import Finding
from nodemcu_tls_build.certs.key_kind import KeyKind
from nodemcu_tls_build.profile.values import Curve, Digest, Signature

MIN_RSA_BITS = 2048  # what mbedTLS's default certificate profile asks for
BROKEN_DIGESTS = frozenset({"MD5", "SHA-1"})
SHA2 = "Have it issued again with SHA-256."
STRENGTH = f"Use an EC key (P-256), or an RSA key of {MIN_RSA_BITS} bits at least."


def check_strength(kind: KeyKind, where: str) -> Iterator[Finding]:
    """Find that a key is too weak, or neither RSA nor EC."""
    if kind.name == "RSA-PSS":
        message = f"{where} has a key for RSA-PSS alone, which mbedTLS does not read"
        yield Finding(message, "Use an EC key (P-256), or an ordinary RSA key (rsaEncryption).")
    elif kind.name not in {"EC", "RSA"}:
        yield Finding(f"{where} has a key of the kind {kind}, neither RSA nor EC", STRENGTH)
    elif kind.name == "RSA" and kind.bits < MIN_RSA_BITS:
        yield Finding(f"{where} has an RSA key of {kind.bits} bits only", STRENGTH)


def check_curve(kind: KeyKind, where: str) -> Iterator[Finding]:
    """Find that an EC key is on a curve that no profile can have."""
    if kind.name == "EC" and kind.curve not in get_args(Curve):
        yield Finding(f"{where} has a key on {kind.curve}, which no profile can have", STRENGTH)


def check_signature_kind(details: Details, where: str) -> Iterator[Finding]:
    """Find that a certificate is signed in a way that no profile can have."""
    if details.signature not in get_args(Signature):
        kind = f"{details.signature} ({details.digest})"
        message = f"{where} is signed with {kind}, which no profile can have"
        yield Finding(message, "Have it issued by a CA with another key, EC or RSA.")
    elif details.digest not in {*get_args(Digest), *BROKEN_DIGESTS}:
        yield Finding(f"{where} is signed with {details.digest}, which no profile can have", SHA2)


def check_digest(details: Details, where: str) -> Iterator[Finding]:
    """Find that the signature on a certificate could be anybody's."""
    if details.digest in BROKEN_DIGESTS:
        message = f"{where} is signed with {details.digest}, which is broken: it is refused"
        yield Finding(message, SHA2)
