"""Encrypt files for whoever has an RSA key: CMS EnvelopedData (RFC 5652), which openssl reads.

A new AES-256 key, in CBC mode, for each; it is encrypted with RSA as PKCS#1 1.5 has it. To decrypt:
openssl cms -decrypt -binary -inform DER -in FILE.cms -inkey KEY -out FILE
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_der_public_key,
    load_pem_public_key,
    pkcs7,
)
from cryptography.x509.oid import NameOID

from nodemcu_tls_build.certs.strength import MIN_RSA_BITS
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.files import read_file

_MAX_FILE = 64 * 1024
_HINT = "Make a key: openssl genrsa -out fleet.key 3072; openssl rsa -in fleet.key -pubout"


class Sealer:
    """Encrypts for one recipient, named by his certificate or by his public key alone."""

    def __init__(self, recipient: x509.Certificate) -> None:
        self._recipient = recipient
        self._builder = pkcs7.PKCS7EnvelopeBuilder().set_content_encryption_algorithm(AES256)

    def seal(self, data: bytes) -> bytes:
        """Return the data encrypted, in DER."""
        builder = self._builder.set_data(data).add_recipient(self._recipient)
        return builder.encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])


def load_recipient(path: Path) -> Sealer:
    """Read an RSA public key or the certificate of one, PEM or DER; raise CertificateError."""
    try:
        data = read_file(path, _MAX_FILE)
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}", _HINT) from error
    if b"PRIVATE KEY-----" in data:
        raise CertificateError(
            f"{path} is a private key: keep it away from here",
            f"Give its public half: openssl pkey -in {path} -pubout",
        )
    certificate = _load_certificate(data)
    key = certificate.public_key() if certificate else _load_public_key(data)
    if key is None:
        raise CertificateError(f"{path} holds neither a public key nor a certificate", _HINT)
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < MIN_RSA_BITS:
        raise CertificateError(f"{path} is no RSA key of {MIN_RSA_BITS} bits at least", _HINT)
    return Sealer(certificate or _wrap(key))


def _load_certificate(data: bytes) -> x509.Certificate | None:
    for load in (x509.load_pem_x509_certificate, x509.load_der_x509_certificate):
        try:
            return load(data)
        except ValueError:
            continue
    return None


def _load_public_key(data: bytes) -> object | None:
    for load in (load_pem_public_key, load_der_public_key):
        try:
            return load(data)
        except (ValueError, UnsupportedAlgorithm):
            continue
    return None


def _wrap(key: rsa.RSAPublicKey) -> x509.Certificate:
    """Return a certificate that nobody will see: the builder takes no bare public key.

    What names the recipient is issuer and serial number, which openssl does without.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nodemcu-tls fleet")])
    builder = x509.CertificateBuilder(
        name, name, key, 1, datetime(2020, 1, 1), datetime(2049, 1, 1)
    )
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
