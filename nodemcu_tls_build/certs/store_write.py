"""Lay credentials out as the firmware reads them: records, sectors, whole stores.

The formats are in README.md, "Credentials in flash" and "NodeMCU's sectors". What is in force
stays where it is: a change goes into the set's other sector.
"""

from __future__ import annotations

import base64
import struct
import textwrap
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from nodemcu_tls_build.certs.keys import load_key_spki
from nodemcu_tls_build.certs.store import (
    BEFORE_CRC,
    CERTIFICATE,
    COMMIT,
    HEADER,
    MAGIC,
    PRIVATE_KEY,
    RECORD,
    SETS,
    VERSION,
    find_records,
    read_credentials,
    split_records,
)
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.memmap import CREDENTIALS_SECTORS, SECTOR

STORE_SIZE = CREDENTIALS_SECTORS * SECTOR
ERASED_STORE = b"\xff" * STORE_SIZE
ROOM = SECTOR - HEADER.size  # for the records of a set

NODEMCU_RECORD = struct.Struct("<32sH")  # name, length of what follows
NODEMCU_ROOM = SECTOR - NODEMCU_RECORD.size  # the end is a record's header, too
NODEMCU_CERTIFICATE, NODEMCU_KEY = b"certificate", b"private_key"

_FEWER = {
    "CA": "Keep only the CA certificates that your servers are issued under.",
    "client": "Use EC keys, which make smaller certificates, or a shorter chain.",
}


@dataclass(frozen=True)
class Credentials:
    """What a device is to get, in DER; a set that is empty is not to change.

    `certificates` begin with the client's own. `key` may be empty when they are.
    """

    ca: tuple[bytes, ...] = ()
    certificates: tuple[bytes, ...] = ()
    key: bytes = field(default=b"", repr=False)

    @property
    def sets(self) -> tuple[int, ...]:
        """Return the numbers of the sets that there is something for."""
        return tuple(n for n, given in enumerate((self.ca, self.certificates)) if given)

    def make_records(self, set_number: int) -> bytes:
        """Return the records of a set; raise CertificateError when no sector holds them."""
        certificates, key = (self.ca, b"") if set_number == 0 else (self.certificates, self.key)
        objects = [(CERTIFICATE, der) for der in certificates]
        objects += [(PRIVATE_KEY, key)] if key else []
        sizes = sum(RECORD.size + len(der) for _, der in objects)
        if sizes > ROOM:
            raise _explain_size(SETS[set_number], sizes, ROOM)
        return b"".join(RECORD.pack(kind, 0, len(der)) + der for kind, der in objects)


def make_sector(set_number: int, sequence: int, records: bytes) -> bytes:
    """Return a committed sector of the set 0 (CA) or 1 (client)."""
    start = HEADER.pack(
        MAGIC, VERSION, set_number, 0xFFFF, sequence, len(records), 0, 2**32 - 1, 2**32 - 1, COMMIT
    )
    crc = zlib.crc32(start[:BEFORE_CRC] + records)
    head = start[:BEFORE_CRC] + crc.to_bytes(4, "little") + start[BEFORE_CRC + 4 :]
    return (head + records).ljust(SECTOR, b"\xff")


def make_store(credentials: Credentials) -> bytes:
    """Return what `update_store` makes of an erased store, in less time."""
    sectors = [b"\xff" * SECTOR] * CREDENTIALS_SECTORS
    for number in credentials.sets:
        sectors[2 * number] = make_sector(number, 1, credentials.make_records(number))
    return b"".join(sectors)


def update_store(store: bytes, credentials: Credentials) -> bytes:
    """Return the store, CREDENTIALS_SECTORS sectors, with the credentials in force.

    A set that is in force already stays as it is; otherwise only its other sector changes. Raises
    CertificateError when a set does not fit.
    """
    new = bytearray(store)
    found = read_credentials(store)
    for number in credentials.sets:
        records = credentials.make_records(number)
        if _are_same(find_records(store, number), records):
            continue
        current = found[number].current
        copy = 0 if current is None else 1 - current
        last = 0 if current is None else found[number].sectors[current].sequence
        at = (2 * number + copy) * SECTOR
        new[at : at + SECTOR] = make_sector(number, (last + 1) % 2**32, records)
    return bytes(new)


def make_nodemcu_sector(objects: Sequence[tuple[bytes, bytes]], *, what: str) -> bytes:
    """Return the sector of NodeMCU's firmware with these named objects; `what` of SETS it is.

    Raises CertificateError when they do not fit.
    """
    data = b"".join(NODEMCU_RECORD.pack(name, len(value)) + value for name, value in objects)
    if len(data) > NODEMCU_ROOM:
        raise _explain_size(what, len(data), NODEMCU_ROOM)
    return data.ljust(SECTOR, b"\xff")


def make_nodemcu_certificates(certificates: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the object of certificates where the firmware reads the first one only.

    One is DER, several are text.
    """
    if len(certificates) == 1:
        return NODEMCU_CERTIFICATE, certificates[0]
    return NODEMCU_CERTIFICATE, "".join(map(_make_pem, certificates)).encode("ascii")


def update_nodemcu_store(store: bytes, credentials: Credentials) -> bytes:
    """Return NodeMCU's two sectors with the credentials; raise CertificateError if too large."""
    sectors = [store[:SECTOR], store[SECTOR:]]
    for number in credentials.sets:
        certificates = credentials.certificates if number else credentials.ca
        objects = [make_nodemcu_certificates(certificates)]
        if number and credentials.key:
            objects.append((NODEMCU_KEY, credentials.key))
        sectors[number] = make_nodemcu_sector(objects, what=SETS[number])
    return b"".join(sectors)


def _are_same(stored: bytes | None, wanted: bytes) -> bool:
    """Tell whether records hold the same, a key in whatever form: Lua stores it as it gets it."""
    if stored is None or stored == wanted:
        return stored == wanted
    parts = [split_records(records) for records in (stored, wanted)]
    certificates = [[der for kind, der in part if kind == CERTIFICATE] for part in parts]
    keys = [[load_key_spki(der) for kind, der in part if kind == PRIVATE_KEY] for part in parts]
    return certificates[0] == certificates[1] and keys[0] == keys[1] and None not in keys[0]


def _make_pem(der: bytes) -> str:
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), 64)
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))


def _explain_size(name: str, size: int, room: int) -> CertificateError:
    what = "CA certificates take" if name == "CA" else "client's certificates and key take"
    return CertificateError(
        f"the {what} {size:,} bytes in flash, their sector holds {room:,}", _FEWER[name]
    )
