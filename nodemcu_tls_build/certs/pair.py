"""Read a certificate, with those between it and its CA, and the key that belongs to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from nodemcu_tls_build.certs.check import MIN_RSA_BITS, read_certificate
from nodemcu_tls_build.certs.pem import split_pem
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.files import read_file

AskPassphrase = Callable[[Path], bytes | None]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_MAX_BYTES = 64 * 1024
_PKCS7_DATA = bytes.fromhex("06092a864886f70d010701")  # what a PKCS#12 file has near its start
_COPY_HINT = "Copy it again, whole, from its BEGIN line to its END line."
_CERT_HINT = "Give the certificate: a block from BEGIN CERTIFICATE to END CERTIFICATE, or DER."
_KEY_HINT = "Give its private key: PKCS#8, SEC1 or PKCS#1, PEM or DER."
_STRENGTH_HINT = f"Use an EC key, or an RSA key of {MIN_RSA_BITS} bits at least."


@dataclass(frozen=True)
class Pair:
    """Certificates in DER, the key's own first, and the key: PKCS#1 for RSA, SEC1 for EC."""

    certificates: tuple[bytes, ...]
    key: bytes = field(repr=False)


def load_pair(
    cert_path: Path, key_path: Path, *, now: datetime, ask_passphrase: AskPassphrase
) -> Pair:
    """Return a certificate and its key; raise CertificateError with what is wrong with them.

    `ask_passphrase` gives that of an encrypted key in that file, None if there is nobody to ask.
    """
    certificates = load_certificates(cert_path)
    key = _load_key(key_path, ask_passphrase)
    spki = _get_spki(key.public_key())
    owners = [n for n, one in enumerate(certificates, 1) if _get_spki(one.public_key()) == spki]
    if not owners:
        raise CertificateError(
            f"the key in {key_path} is not that of the certificate in {cert_path}",
            "Give the key that the certificate was issued for.",
        )
    if owners[0] != 1:
        raise CertificateError(
            f"the key in {key_path} is that of certificate {owners[0]} in {cert_path}, not of the"
            " first",
            "Put the key's own certificate first, then the one that issued it, and so on.",
        )
    _check_chain(cert_path, certificates, now)
    return Pair(tuple(one.public_bytes(Encoding.DER) for one in certificates), encode_key(key))


def encode_key(key: object) -> bytes:
    """Return a key as a device stores it: PKCS#1 for RSA, SEC1 for EC; empty for other kinds."""
    if not isinstance(key, PrivateKey):
        return b""
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def load_certificates(path: Path) -> list[x509.Certificate]:
    """Return the certificates of a PEM or DER file in its order; raise CertificateError."""
    data = _read(path, _CERT_HINT)
    if b"-----BEGIN" not in data:
        return [_parse_certificate(data, f"{path}", _explain_binary(path, data))]
    found = []
    requests = 0
    for block in split_pem(data.decode("utf-8-sig", errors="replace")):
        if block.fault is not None:
            what = f"{block.label} {block.fault}" if block.label else block.fault
            raise CertificateError(f"{path}, line {block.line}: {what}", _COPY_HINT)
        requests += block.label.endswith("CERTIFICATE REQUEST")
        if block.label in {"CERTIFICATE", "X509 CERTIFICATE"}:
            found.append(_parse_certificate(block.data, f"{path}, line {block.line}", None))
    if not found:
        what = "a certificate request, not a certificate" if requests else "no certificate"
        hint = "Have a CA sign it, and give the certificate." if requests else _CERT_HINT
        raise CertificateError(f"{path} holds {what}", hint)
    return found


def _parse_certificate(
    der: bytes, where: str, otherwise: CertificateError | None
) -> x509.Certificate:
    if read_certificate(der) is None:
        raise otherwise or CertificateError(f"{where}: the certificate is damaged", _COPY_HINT)
    return x509.load_der_x509_certificate(der)


def _check_chain(path: Path, certificates: list[x509.Certificate], now: datetime) -> None:
    for number, (one, issuer) in enumerate(pairwise(certificates), 1):
        if one.issuer != issuer.subject:
            raise CertificateError(
                f"{path}: certificate {number + 1} did not issue certificate {number}",
                "Put the key's own certificate first, then the one that issued it, and so on.",
            )
    own = certificates[0]
    if now > own.not_valid_after_utc:
        raise CertificateError(
            f"{path}: the certificate expired on {own.not_valid_after_utc:%Y-%m-%d}",
            "Have a new one issued.",
        )


def _load_key(path: Path, ask_passphrase: AskPassphrase) -> PrivateKey:
    data = _read(path, _KEY_HINT)
    passphrase = None
    if b"-----BEGIN" in data:
        _check_key_text(path, data)
        load = load_pem_private_key
        is_encrypted = b"BEGIN ENCRYPTED PRIVATE KEY" in data or b"4,ENCRYPTED" in data
    else:
        load = load_der_private_key
        is_encrypted = _is_encrypted_der(data)
    if is_encrypted:
        passphrase = ask_passphrase(path)
        if passphrase is None:
            raise CertificateError(
                f"the key in {path} is encrypted",
                "Give its passphrase in a file: --passphrase-file FILE.",
            )
    try:
        key = load(data.removeprefix(b"\xef\xbb\xbf"), passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The reason may quote what was decrypted: it is left out, and the exception with it.
        key = None
    if key is None:
        raise _explain_key(path, data, is_encrypted=is_encrypted)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        return key
    what = f"RSA of {key.key_size} bits" if isinstance(key, rsa.RSAPrivateKey) else "of that kind"
    raise CertificateError(f"the key in {path} cannot be used: {what}", _STRENGTH_HINT)


def _check_key_text(path: Path, data: bytes) -> None:
    blocks = split_pem(data.decode("utf-8-sig", errors="replace"))
    keys = [block for block in blocks if block.label.endswith("PRIVATE KEY")]
    damaged = next((block for block in blocks if block.fault is not None), None)
    if damaged:
        what = f"{damaged.label} {damaged.fault}" if damaged.label else damaged.fault
        raise CertificateError(f"{path}, line {damaged.line}: {what}", _COPY_HINT)
    if len(keys) > 1:
        raise CertificateError(
            f"{path} holds {len(keys)} private keys", "Give a file with the one that is meant."
        )
    if not keys:
        raise CertificateError(f"{path} holds no private key", _KEY_HINT)


def _explain_key(path: Path, data: bytes, *, is_encrypted: bool) -> CertificateError:
    if is_encrypted:
        return CertificateError(
            f"the passphrase is not that of the key in {path}", "Give the right one."
        )
    if b"-----BEGIN" in data:
        return CertificateError(f"the key in {path} is damaged", _COPY_HINT)
    return _explain_binary(path, data) or CertificateError(f"{path} holds no key", _KEY_HINT)


def _explain_binary(path: Path, data: bytes) -> CertificateError | None:
    if _PKCS7_DATA in data[:64]:
        hint = f"Take out what is needed: openssl pkcs12 -in {path} -nodes"
        return CertificateError(f"{path} is PKCS#12 or PKCS#7", hint)
    return CertificateError(f"{path} is neither PEM nor DER", _CERT_HINT)


def _is_encrypted_der(data: bytes) -> bool:
    try:
        load_der_private_key(data, None)
    except TypeError:  # as cryptography says it
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return False


def _read(path: Path, hint: str) -> bytes:
    try:
        data = read_file(path, _MAX_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise CertificateError(f"cannot read {path}: {reason}", hint) from error
    if not data.strip():
        raise CertificateError(f"{path} is empty", hint)
    return data


def _get_spki(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return b""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
