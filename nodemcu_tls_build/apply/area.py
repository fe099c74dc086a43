"""Lay CA certificates out as NodeMCU's firmware reads them: one flash sector of records.

A record is a name of 32 bytes, the length of 16 bits, little-endian, and the data. The length
0xffff, which erased flash has, ends them.
"""

from __future__ import annotations

import base64
import struct
import textwrap
from collections.abc import Sequence

from nodemcu_tls_build.certs import CaBundle
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.memmap import SECTOR

_HEADER = struct.Struct("<32sH")
_NAME = b"certificate"
_ROOM = SECTOR - _HEADER.size  # the end is a record's header, too


def make_area(bundle: CaBundle, *, takes_pem: bool) -> bytes:
    """Return the sector that holds the certificates; raise CertificateError if they do not fit.

    Each has a record with its DER. Where `takes_pem` says that the firmware reads the first record
    only, several are text in one.
    """
    records: Sequence[bytes] = bundle.der
    as_text = takes_pem and len(bundle.der) > 1
    if as_text:
        records = ["".join(map(_make_pem, bundle.der)).encode("ascii")]
    data = b"".join(_HEADER.pack(_NAME, len(record)) + record for record in records)
    if len(data) > _ROOM:
        form = "as text, which this firmware needs for several, " if as_text else ""
        raise CertificateError(
            f"the CA certificates take {len(data)} bytes {form}in the firmware's sector, which"
            f" holds {_ROOM}",
            "Keep only the CA certificates that your servers are issued under.",
        )
    return data.ljust(SECTOR, b"\xff")


def _make_pem(der: bytes) -> str:
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), 64)
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))
