"""Say what stored credentials are, without giving a private key away."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from nodemcu_tls_build.certs.details import read_details
from nodemcu_tls_build.certs.key_kind import describe_key
from nodemcu_tls_build.certs.keys import get_spki
from nodemcu_tls_build.certs.store import CERTIFICATE, SETS, find_records, split_records
from nodemcu_tls_build.certs.store_write import (
    NODEMCU_CERTIFICATE,
    NODEMCU_KEY,
    NODEMCU_RECORD,
    Credentials,
)
from nodemcu_tls_build.memmap import SECTOR

_NODEMCU_END = 0xFFFF


@dataclass(frozen=True)
class StoredCertificate:
    """A certificate: names in RFC 4514 form, serial number and SHA-256 in hexadecimal."""

    subject: str
    issuer: str
    serial_number: str
    not_before: datetime
    not_after: datetime
    fingerprint: str
    spki: bytes = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        data = asdict(self)
        del data["spki"]
        times = {"not_before": self.not_before, "not_after": self.not_after}
        return data | {name: time.isoformat() for name, time in times.items()}


@dataclass(frozen=True)
class StoredSet:
    """A set: its certificates, None for one that cannot be read, and what kind of key it has.

    `key_fits` tells whether the key belongs to the first certificate.
    """

    name: str
    certificates: tuple[StoredCertificate | None, ...] = ()
    key: str | None = None
    key_fits: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "set": self.name,
            "certificates": [found and found.to_dict() for found in self.certificates],
            "private_key": {"kind": self.key, "fits": self.key_fits} if self.key else None,
        }


def read_store(store: bytes) -> Credentials:
    """Return what is in force in the sectors of credentials."""
    ca = split_records(find_records(store, 0) or b"")
    client = split_records(find_records(store, 1) or b"")
    return Credentials(
        ca=tuple(der for kind, der in ca if kind == CERTIFICATE),
        certificates=tuple(der for kind, der in client if kind == CERTIFICATE),
        key=next((der for kind, der in client if kind != CERTIFICATE), b""),
    )


def read_nodemcu_store(store: bytes) -> Credentials:
    """Return what is in NodeMCU's two sectors; raise ValueError when one is none."""
    ca, client = (_read_nodemcu_sector(store[at : at + SECTOR]) for at in (0, SECTOR))
    return Credentials(
        ca=tuple(value for name, value in ca if name == NODEMCU_CERTIFICATE),
        certificates=tuple(value for name, value in client if name == NODEMCU_CERTIFICATE),
        key=next((value for name, value in client if name == NODEMCU_KEY), b""),
    )


def describe(credentials: Credentials) -> tuple[StoredSet, ...]:
    """Return what each set is, for people; the order is that of SETS."""
    ca = tuple(map(describe_certificate, _split_text(credentials.ca)))
    own = tuple(map(describe_certificate, _split_text(credentials.certificates)))
    kind, spki = _describe_key(credentials.key) if credentials.key else (None, b"")
    fits = bool(own and own[0] and own[0].spki == spki)
    return StoredSet(SETS[0], ca), StoredSet(SETS[1], own, kind, fits)


def describe_certificate(der: bytes) -> StoredCertificate | None:
    """Return what a certificate says, None when the bytes are not one."""
    details = read_details(der)
    if details is None:
        return None
    return StoredCertificate(
        subject=details.subject,
        issuer=details.issuer,
        serial_number=details.serial_number,
        not_before=details.not_before,
        not_after=details.not_after,
        fingerprint=details.fingerprint,
        spki=get_spki(details.certificate),
    )


def _describe_key(der: bytes) -> tuple[str, bytes]:
    try:
        key = load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "unreadable", b""
    kind = describe_key(key)
    return str(kind) if kind.name in {"EC", "RSA"} else "neither RSA nor EC", get_spki(key)


def _split_text(objects: tuple[bytes, ...]) -> list[bytes]:
    """Return the DER of certificates that may be text, as they are in NodeMCU's sectors."""
    found: list[bytes] = []
    for data in objects:
        if data.startswith(b"-----BEGIN"):
            found += _split_pem(data) or [data]
        else:
            found.append(data)
    return found


def _split_pem(data: bytes) -> list[bytes]:
    """Return the DER of certificates in PEM; none where they cannot be read."""
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError:
        return []
    return [one.public_bytes(Encoding.DER) for one in certificates]


def _read_nodemcu_sector(sector: bytes) -> list[tuple[bytes, bytes]]:
    """Return name and value of each object; one never written, all 0x00 or 0xff, has none."""
    if sector.count(0) == len(sector):  # as the linker leaves it
        return []
    objects: list[tuple[bytes, bytes]] = []
    at = 0
    while at + NODEMCU_RECORD.size <= len(sector):
        name, length = NODEMCU_RECORD.unpack_from(sector, at)
        if length == _NODEMCU_END:
            return objects
        at += NODEMCU_RECORD.size + length
        if name.rstrip(b"\0") not in {NODEMCU_CERTIFICATE, NODEMCU_KEY} or at > len(sector):
            break
        objects.append((name.rstrip(b"\0"), sector[at - length : at]))
    raise ValueError("the sector holds something else than NodeMCU's certificates")
