"""Encrypt files for whoever has an RSA key: CMS EnvelopedData (RFC 5652), which openssl reads.

A new AES-256 key, in CBC mode, for each; it is encrypted with RSA as PKCS#1 1.5 has it. To decrypt:
umask 077; openssl cms -decrypt -binary -inform DER -in FILE.cms -inkey KEY -out FILE
"""

from __future__ import annotations

import shlex
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_der_public_key,
    pkcs7,
)
from cryptography.x509.oid import NameOID, PublicKeyAlgorithmOID

from nodemcu_tls_build.certs.keys import get_spki
from nodemcu_tls_build.certs.pem import split_pem
from nodemcu_tls_build.certs.strength import MIN_RSA_BITS
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.files import read_file

_MAX_FILE = 64 * 1024
_HINT = "Make a key: openssl genrsa -out fleet.key 3072; openssl rsa -in fleet.key -pubout"
_RSA = PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5
# The DER of the identifiers of keys that only sign, or only decrypt another way (RFC 4055).
_OTHER_RSA = tuple(bytes.fromhex(f"06092a864886f70d0101{last}") for last in ("07", "0a"))
_ENVELOPED_DATA = bytes.fromhex("06092a864886f70d010703")
_IDENTIFIER_END = 32  # bytes from the start that the identifier is in


def is_sealed(data: bytes) -> bool:
    """Tell what a Sealer has encrypted."""
    return data[:1] == b"\x30" and _ENVELOPED_DATA in data[:_IDENTIFIER_END]


class Sealer:
    """Encrypts for one recipient, named by a certificate; `fingerprint` is the key's SHA-256."""

    def __init__(self, recipient: x509.Certificate, fingerprint: str) -> None:
        self.fingerprint = fingerprint
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
            f"Give its public half: openssl pkey -in {shlex.quote(str(path))} -pubout",
        )
    data = _decode(data)
    certificate = _load_certificate(data)
    key = _load_public_key(data, certificate)
    if key is None and certificate is None:
        raise CertificateError(f"{path} holds neither a public key nor a certificate", _HINT)
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < MIN_RSA_BITS:
        raise CertificateError(f"{path} is no RSA key of {MIN_RSA_BITS} bits at least", _HINT)
    if not _can_decrypt(data, certificate):
        raise CertificateError(
            f"{path} is an RSA key for another algorithm alone, such as RSA-PSS: nobody could "
            "decrypt what is encrypted to it",
            _HINT,
        )
    return Sealer(certificate or _wrap(key), sha256(get_spki(key)).hexdigest())


def _decode(data: bytes) -> bytes:
    """Return the DER of the first certificate or public key in PEM, or the data as they are."""
    blocks = split_pem(data.decode("utf-8-sig", errors="replace"))
    return next((block.data for block in blocks if block.data), data)


def _load_certificate(data: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(data)
    except ValueError:
        return None


def _load_public_key(data: bytes, certificate: x509.Certificate | None) -> object | None:
    try:
        return certificate.public_key() if certificate else load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        return None


def _can_decrypt(data: bytes, certificate: x509.Certificate | None) -> bool:
    """Tell a key for PKCS#1 1.5 from one for RSA-PSS or OAEP alone, which loads all the same."""
    if certificate:
        return certificate.public_key_algorithm_oid == _RSA
    return not any(other in data[:_IDENTIFIER_END] for other in _OTHER_RSA)


def _wrap(key: rsa.RSAPublicKey) -> x509.Certificate:
    """Return a certificate that nobody will see: the builder takes no bare public key.

    What names the recipient is issuer and serial number, which openssl does without.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nodemcu-tls fleet")])
    builder = x509.CertificateBuilder(
        name, name, key, 1, datetime(2020, 1, 1), datetime(2049, 1, 1)
    )
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
