"""Lay CA certificates out as NodeMCU's firmware reads them: one flash sector of records."""

from __future__ import annotations

from nodemcu_tls_build.certs import CaBundle
from nodemcu_tls_build.certs.store_write import (
    NODEMCU_CERTIFICATE,
    make_nodemcu_certificates,
    make_nodemcu_sector,
)
from nodemcu_tls_build.errors import CertificateError


def make_area(bundle: CaBundle, *, takes_pem: bool) -> bytes:
    """Return the sector that holds the certificates; raise CertificateError if they do not fit.

    Each has a record with its DER. Where `takes_pem` says that the firmware reads the first record
    only, several are text in one.
    """
    objects = [(NODEMCU_CERTIFICATE, der) for der in bundle.der]
    if takes_pem:
        objects = [make_nodemcu_certificates(bundle.der)]
    try:
        return make_nodemcu_sector(objects, what="CA")
    except CertificateError as error:
        if len(bundle.der) > 1 and takes_pem:
            raise CertificateError(
                f"{error.message}: this firmware needs several as text", error.hint
            ) from error
        raise
