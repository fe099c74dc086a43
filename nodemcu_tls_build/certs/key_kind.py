"""Say what kind of key one is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import PublicKeyAlgorithmOID


@dataclass(frozen=True)
class KeyKind:
    """What kind of key it is; `curve` is that of an EC key, `bits` the size of any other."""

    name: str
    curve: str | None
    bits: int

    def __str__(self) -> str:
        return f"{self.name} {self.curve or self.bits}" if self.curve or self.bits else self.name


def describe_public_key(certificate: x509.Certificate) -> KeyKind:
    """Say what kind of key a certificate has."""
    kind = describe_key(certificate.public_key())
    is_pss = certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS
    return replace(kind, name="RSA-PSS") if is_pss else kind


def describe_key(key: object) -> KeyKind:
    """Say what kind of key a private or public one is."""
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        return KeyKind("EC", key.curve.name, key.key_size)
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        return KeyKind("RSA", None, key.key_size)
    name = type(key).__name__.lstrip("_").removesuffix("PublicKey").removesuffix("PrivateKey")
    return KeyKind(name, None, 0)
