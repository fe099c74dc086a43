"""Open private keys, with their passphrases, and tell which certificate they belong to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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

from nodemcu_tls_build.certs.files import COPY, UNREADABLE, FoundKey
from nodemcu_tls_build.certs.finding import Finding

AskPassphrase = Callable[[Path], bytes | None]

_PASSPHRASE = "Give its passphrase in a file: --passphrase-file FILE."  # noqa: S105 -- a hint


def open_key(found: FoundKey, ask_passphrase: AskPassphrase) -> object | Finding:
    """Return the key, or why it cannot be opened.

    `ask_passphrase` gives that of an encrypted key in that file, None if there is nobody to ask.
    """
    if found.fault is not None:
        return found.fault
    passphrase = ask_passphrase(found.path) if found.is_encrypted else None
    if found.is_encrypted and passphrase is None:
        return Finding(f"{found.place}: the private key is encrypted", _PASSPHRASE)
    load = load_pem_private_key if found.is_pem else load_der_private_key
    try:
        return load(found.data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass  # the reason may quote what was decrypted: it goes with the exception
    if found.is_encrypted:
        message = f"{found.place}: the passphrase is not that of the private key"
        return Finding(message, "Give the right one.")
    return Finding(f"{found.place}: the private key cannot be decoded: {UNREADABLE}", COPY)


def encode_key(key: object) -> bytes:
    """Return a key as a device stores it: PKCS#1 for RSA, SEC1 for EC; empty for other kinds."""
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return b""
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def get_spki(key: object) -> bytes:
    """Return SubjectPublicKeyInfo of a public key, a private key's public half or a certificate."""
    public: Any = key.public_key() if hasattr(key, "public_key") else key
    data: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return data


def load_key_spki(der: bytes) -> bytes | None:
    """Return the public half of a private key, SubjectPublicKeyInfo; None for no key."""
    try:
        return get_spki(load_der_private_key(der, None))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
