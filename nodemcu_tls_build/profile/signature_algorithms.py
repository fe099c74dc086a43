"""List the signature algorithms that are offered, by the names of RFC 8446, section 4.2.3.

The order is ours: SHA-256 first, which is enough and the cheapest, then the longer digests; within
a digest ECDSA, RSA-PSS, RSA. mbedTLS 2.x can offer them in no other. SHA-1 is never offered, as RFC
9155 demands, and SHA-224 has no name any more: both serve cipher suites and certificates only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Tls


@dataclass(frozen=True)
class SignatureAlgorithm:
    """One signature algorithm: code and name, and what it is made of, as profiles name it."""

    code: int
    name: str
    signature: str
    digest: str
    curve: str | None = None  # which TLS 1.3 ties it to; TLS 1.2 has it for any


_ALGORITHMS = (
    SignatureAlgorithm(0x0403, "ecdsa_secp256r1_sha256", "ECDSA", "SHA-256", "secp256r1"),
    SignatureAlgorithm(0x0804, "rsa_pss_rsae_sha256", "RSA-PSS", "SHA-256"),
    SignatureAlgorithm(0x0401, "rsa_pkcs1_sha256", "RSA", "SHA-256"),
    SignatureAlgorithm(0x0503, "ecdsa_secp384r1_sha384", "ECDSA", "SHA-384", "secp384r1"),
    SignatureAlgorithm(0x0805, "rsa_pss_rsae_sha384", "RSA-PSS", "SHA-384"),
    SignatureAlgorithm(0x0501, "rsa_pkcs1_sha384", "RSA", "SHA-384"),
    SignatureAlgorithm(0x0603, "ecdsa_secp521r1_sha512", "ECDSA", "SHA-512", "secp521r1"),
    SignatureAlgorithm(0x0806, "rsa_pss_rsae_sha512", "RSA-PSS", "SHA-512"),
    SignatureAlgorithm(0x0601, "rsa_pkcs1_sha512", "RSA", "SHA-512"),
)


def all_signature_algorithms() -> tuple[SignatureAlgorithm, ...]:
    """Return every algorithm that a profile can offer, in order."""
    return _ALGORITHMS


def list_signature_algorithms(tls: Tls) -> tuple[SignatureAlgorithm, ...]:
    """Return the algorithms that are offered for the server's handshake, in order.

    Each mbedTLS offers RSA-PSS, and ties ECDSA to curves, only together with TLS 1.3, whichever
    version the server then chooses.
    """
    return tuple(
        algorithm
        for algorithm in _ALGORITHMS
        if algorithm.signature in tls.signatures
        and algorithm.digest in tls.digests
        and _is_offered(algorithm, tls)
    )


def _is_offered(algorithm: SignatureAlgorithm, tls: Tls) -> bool:
    if "1.3" in tls.versions:
        return algorithm.curve is None or algorithm.curve in tls.curves
    return algorithm.signature != "RSA-PSS"
