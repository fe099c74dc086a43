"""What is stored for the firmware, for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodemcu_tls_build.certs.store import read_credentials
from nodemcu_tls_build.commands.show import Row, format_table
from nodemcu_tls_build.commands.show_device import format_credentials
from nodemcu_tls_build.provision.layout import Format

if TYPE_CHECKING:
    from nodemcu_tls_build.certs.stored import StoredSet
    from nodemcu_tls_build.provision.result import Provisioned, Stored


def describe_provisioned(result: Provisioned) -> str:
    """Lay out what is stored now, and say what was written for it."""
    where = result.stored.where
    if result.written:
        places = ", ".join(f"{at:#x}" for at in result.written)
        sectors = "sector" if len(result.written) == 1 else "sectors"
        end = f"{where}: wrote the {sectors} at {places}."
    else:
        end = f"{where}: all of it was stored already."
    return f"{format_stored(result.stored)}\n\n{end}"


def format_stored(stored: Stored) -> str:
    """Lay out the sectors and what is in force in them."""
    tables = []
    if stored.layout is Format.NTLS:
        tables.append(format_credentials(read_credentials(stored.store), stored.offset or 0))
    tables += [_format_set(found) for found in stored.describe()]
    return "\n\n".join(tables)


def _format_set(found: StoredSet) -> str:
    rows = []
    for certificate in found.certificates:
        if certificate is None:
            rows.append(Row(("certificate", "unreadable"), "yellow"))
            continue
        rows += [
            Row(("certificate", certificate.subject)),
            Row(("  issued by", certificate.issuer)),
            Row(("  serial number", certificate.serial_number)),
            Row(("  valid to", f"{certificate.not_after:%Y-%m-%d}")),
            Row(("  SHA-256", certificate.fingerprint[:32])),
            Row(("", certificate.fingerprint[32:])),
        ]
    if found.key:
        remark = "the certificate's" if found.key_fits else "not the certificate's"
        rows.append(
            Row(("private key", f"{found.key}, {remark}"), None if found.key_fits else "red")
        )
    title = f"{found.name} in force"
    return format_table((title, "" if rows else "nothing"), rows, "<<")
