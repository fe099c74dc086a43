"""Read one certificate and find why it could not serve as a CA."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

MIN_RSA_BITS = 2048  # what mbedTLS's default certificate profile asks for

_CA_HINT = "Give the certificate of the authority that issued the server's certificate."
_V1_HINT = "Have the CA certificate issued again as version 3, with basic constraints CA:TRUE."
_EXPIRED_HINT = "Get the authority's current certificate."
_EARLY_HINT = "Check this machine's clock, or wait until the certificate is valid."
_WEAK_HINT = "Use a CA with an EC key of 256 bits, or an RSA key of 2048 bits at least."


@dataclass(frozen=True)
class Finding:
    """What is wrong, and what to do about it."""

    message: str
    hint: str


@dataclass(frozen=True)
class ReadCertificate:
    """What a CA is judged by."""

    subject: str
    """Subject in RFC 4514 form, printable characters only."""
    not_before: datetime
    not_after: datetime
    version: int
    is_ca: bool
    may_sign: bool
    rsa_bits: int | None
    """Size of its RSA key; None for another kind of key."""
    curve: str | None
    """Curve of its EC key; None for another kind of key."""


def read_certificate(der: bytes) -> ReadCertificate | None:
    """Return what the certificate says, None when the bytes are not one."""
    with warnings.catch_warnings():  # about encodings that cryptography will refuse one day
        warnings.simplefilter("ignore")
        try:
            return _read(x509.load_der_x509_certificate(der))
        except (
            ValueError,
            UnsupportedAlgorithm,
            x509.DuplicateExtension,
            x509.InvalidVersion,
            x509.UnsupportedGeneralNameType,
        ):
            return None


def check_ca(certificate: ReadCertificate, place: str, *, now: datetime) -> Iterator[Finding]:
    """Find every reason why the certificate could not serve as a CA at the time `now`."""
    where = f"{place} ({certificate.subject})"
    if certificate.version < 3:
        message = f"{where} is of version 1, which cannot say that it is a CA"
        yield Finding(message, _V1_HINT)
    elif not certificate.is_ca:
        yield Finding(f"{where} is not a CA", _CA_HINT)
    elif not certificate.may_sign:
        yield Finding(f"{where} is not allowed to sign certificates by its key usage", _CA_HINT)
    if now > certificate.not_after:
        yield Finding(f"{where} expired on {certificate.not_after:%Y-%m-%d}", _EXPIRED_HINT)
    if now < certificate.not_before:
        message = f"{where} is valid only from {certificate.not_before:%Y-%m-%d %H:%M} UTC"
        yield Finding(message, _EARLY_HINT)
    if certificate.rsa_bits is not None and certificate.rsa_bits < MIN_RSA_BITS:
        yield Finding(f"{where} has an RSA key of {certificate.rsa_bits} bits only", _WEAK_HINT)
    if certificate.rsa_bits is None and certificate.curve is None:
        yield Finding(f"{where} has neither an RSA nor an EC key", _WEAK_HINT)


def _read(certificate: x509.Certificate) -> ReadCertificate:
    key = certificate.public_key()
    extensions = certificate.extensions
    return ReadCertificate(
        subject=_make_printable(certificate.subject.rfc4514_string()) or "no subject",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        version=certificate.version.value + 1,
        is_ca=_is_ca(extensions),
        may_sign=_may_sign(extensions),
        rsa_bits=key.key_size if isinstance(key, rsa.RSAPublicKey) else None,
        curve=key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else None,
    )


def _is_ca(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _may_sign(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _make_printable(text: str) -> str:
    """Keep a subject from doing anything to a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
