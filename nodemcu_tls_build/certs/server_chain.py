"""Read the certificates that a server sends, and the CA that they are checked with."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from nodemcu_tls_build.certs.pem import split_pem
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.profile.chain import Certificate, Chain

_MAX_FILE_BYTES = 64 * 1024
_LABELS = ("CERTIFICATE", "X509 CERTIFICATE")
_PEM_HINT = "Give the file that the server sends from, in PEM: its own certificate comes first."
_COPY_HINT = "Copy the certificate again, whole, from its BEGIN line to its END line."
_KEY_HINT = "A certificate needs an RSA key, or an EC key on a curve of tls.curves."
# OpenSSL's names, which cryptography has, and those of TLS.
_DIGESTS = {"sha1": "SHA-1", "sha224": "SHA-224", "sha256": "SHA-256", "sha384": "SHA-384"}
_DIGESTS |= {"sha512": "SHA-512"}


@dataclass(frozen=True)
class _Read:
    """A certificate with the names that chains are made by."""

    own: Certificate
    subject: bytes
    issuer: bytes
    issuer_name: str


def load_chain(path: Path, ca_path: Path | None = None) -> Chain:
    """Return the chain in a PEM file, the server's certificate first.

    The private key may be in the file, too; it is not read. Without a CA file, the CA is the last
    certificate when that signed itself, or else one with a key like the last one's. Raises
    CertificateError.
    """
    sent = _order(_load(path), path)
    if ca_path is not None:
        trusted = _load(ca_path)
    elif sent[-1].subject == sent[-1].issuer:
        trusted = [sent[-1]]
    else:
        last = sent[-1]
        own = replace(last.own, subject=last.issuer_name)
        trusted = [replace(last, own=own, subject=last.issuer)]
    for length, certificate in enumerate(sent, start=1):
        signer = next((ca for ca in trusted if ca.subject == certificate.issuer), None)
        if signer is not None:
            return Chain(
                certificates=tuple(one.own for one in sent),
                trusted=tuple(_as_ca(ca.own) for ca in trusted),
                ca=_as_ca(signer.own),
                length=length,
            )
    raise CertificateError(
        f"no certificate in {path} was issued by a CA in {ca_path}",
        "Give the certificate of the CA that the server's chain ends in.",
    )


def _as_ca(certificate: Certificate) -> Certificate:
    """Return a certificate that is not taken for one that was sent."""
    return replace(certificate, subject=f"CA {certificate.subject}")


def _load(path: Path) -> list[_Read]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise CertificateError(f"{path} does not exist", "Check the path.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise CertificateError(f"{path} cannot be read: {reason}", _PEM_HINT) from error
    if len(data) > _MAX_FILE_BYTES:
        raise CertificateError(f"{path} is larger than {_MAX_FILE_BYTES} bytes", _PEM_HINT)
    found = []
    for block in split_pem(data.decode("utf-8-sig", errors="replace")):
        if block.label.endswith("PRIVATE KEY"):
            continue
        if block.fault is not None:
            message = f"{path}, line {block.line}: {block.label} {block.fault}"
            raise CertificateError(message, _COPY_HINT)
        if block.label in _LABELS:
            found.append(_read(block.data, f"{path}, line {block.line}"))
    if not found:
        raise CertificateError(f"{path} holds no certificate", _PEM_HINT)
    return found


def _read(der: bytes, place: str) -> _Read:
    try:
        with warnings.catch_warnings():  # about encodings that cryptography will refuse one day
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(der)
            own = _describe(certificate, len(der))
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as error:
        message = f"{place}: the certificate is damaged, or of a kind that nothing here can do"
        raise CertificateError(message, _COPY_HINT) from error
    if own is None:
        raise CertificateError(f"{place}: the key is neither RSA nor on a named curve", _KEY_HINT)
    subject, issuer = certificate.subject.public_bytes(), certificate.issuer.public_bytes()
    return _Read(own, subject, issuer, _name(certificate.issuer))


def _describe(certificate: x509.Certificate, size: int) -> Certificate | None:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        kind = f"rsa-{key.key_size}"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        kind = key.curve.name
    else:
        return None
    digest = certificate.signature_hash_algorithm
    name = "" if digest is None else digest.name
    return Certificate(
        subject=_name(certificate.subject),
        size=size,
        key=kind,
        digest=_DIGESTS.get(name, name or "no digest of ours"),
        more_names=max(0, len(list(certificate.subject)) - 1)
        + max(0, len(list(certificate.issuer)) - 1),
        more_items=_count_more_items(certificate.extensions),
    )


def _name(name: x509.Name) -> str:
    """Return a name that does nothing to a terminal."""
    text = name.rfc4514_string() or "no subject"
    return "".join(character if character.isprintable() else "?" for character in text)


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


def _order(certificates: list[_Read], path: Path) -> list[_Read]:
    for issued, issuer in pairwise(certificates):
        if issued.issuer != issuer.subject:
            raise CertificateError(
                f"{path}: {issued.own.subject} was not issued by the certificate behind it,"
                f" {issuer.own.subject}",
                "Put the server's own certificate first, and behind each the one of its issuer.",
            )
    return certificates
