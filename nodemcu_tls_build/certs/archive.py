"""Look into a PKCS#12 file: nothing here uses one, but people want to know what is in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from nodemcu_tls_build.certs.keys import AskPassphrase


@dataclass(frozen=True)
class Archive:
    """What is in a PKCS#12 file: certificates in DER, and the key if there is one."""

    certificates: tuple[bytes, ...]
    key: object = field(repr=False)


def open_archive(path: Path, data: bytes, ask_passphrase: AskPassphrase) -> Archive | str:
    """Return what is in the file, or why that cannot be told."""
    loaded = _load(data, None) or _load(data, b"")
    if loaded is None:
        passphrase = ask_passphrase(path)
        if passphrase is None:
            return "it is encrypted"
        loaded = _load(data, passphrase)
    if loaded is None:
        return "the passphrase is not that of the PKCS#12 file"
    found = (loaded.cert, *loaded.additional_certs)
    der = tuple(one.certificate.public_bytes(Encoding.DER) for one in found if one is not None)
    return Archive(der, loaded.key)


def _load(data: bytes, passphrase: bytes | None) -> pkcs12.PKCS12KeyAndCertificates | None:
    try:
        return pkcs12.load_pkcs12(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
