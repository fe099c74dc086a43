"""Show what `cert check` found: a block for each certificate and key, the limits, the findings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from nodemcu_tls_build.commands.show import Row, format_table

if TYPE_CHECKING:
    from nodemcu_tls_build.certs.files import FoundCertificate
    from nodemcu_tls_build.certs.inspect import Inspection
    from nodemcu_tls_build.certs.opened import OpenedKey

_WIDTH = 79
_TITLE = 15  # columns
_PURPOSES = {
    "server": "a server's chain, which the firmware verifies",
    "client": "the device's own certificate and chain, which the firmware sends",
    "ca": "CA certificates, which the firmware trusts",
}


def format_inspection(found: Inspection, profile_name: str, *, now: datetime) -> str:
    """Lay out what is in the files, and what is wrong with it."""
    blocks = [
        _format_certificate(number, one, now)
        for number, one in enumerate(found.contents.certificates, 1)
    ]
    blocks += map(_format_key, found.keys)
    if found.contents.certificates:
        blocks.append(_format_use(found))
    if found.limits:
        blocks.append(_format_limits(found))
    if found.notes:
        blocks.append("\n".join(line for note in found.notes for line in _wrap(f"Note: {note}")))
    blocks.append("\n".join(_describe_findings(found, profile_name)))
    return "\n\n".join(blocks)


def inspection_to_dict(found: Inspection, profile_name: str) -> dict[str, Any]:
    """Return the same as JSON-able data; of a private key, only its kind and place."""
    return {
        "profile": profile_name,
        "purpose": found.purpose.value,
        "certificates": [_to_dict(one) for one in found.contents.certificates],
        "keys": [
            {
                "file": str(key.found.path),
                "line": key.found.line or None,
                "key": str(key.kind),
                "encrypted": key.found.is_encrypted,
                "certificate": None if key.owner is None else key.owner + 1,
            }
            for key in found.keys
        ],
        "chain": [number + 1 for number in found.chain],
        "limits": [limit.to_dict() for limit in found.limits],
        "notes": found.notes,
        "findings": [{"message": it.message, "hint": it.hint} for it in found.findings],
    }


def _to_dict(one: FoundCertificate) -> dict[str, Any]:
    it = one.details
    return {
        "file": str(one.path),
        "line": one.line or None,
        "subject": it.subject,
        "issuer": it.issuer,
        "serial_number": it.serial_number,
        "not_before": it.not_before.isoformat(),
        "not_after": it.not_after.isoformat(),
        "version": it.version,
        "key": str(it.key),
        "signature": it.signature,
        "digest": it.digest,
        "ca": it.is_ca,
        "path_length": it.path_length,
        "key_usage": it.usages,
        "extended_key_usage": None if it.purposes is None else sorted(it.purposes),
        "names": list(it.names),
        "sha256": it.fingerprint,
        "size": len(it.der),
    }


def _format_certificate(number: int, one: FoundCertificate, now: datetime) -> str:
    it = one.details
    days = (it.not_after - now).days
    left = f" ({days:,} days left)" if days >= 0 else " (over)"
    role = "no"
    if it.is_ca:
        below = it.path_length
        role = "yes" if below is None else f"yes, with {below} CAs below it at most"
    rows = {
        "Subject": it.subject,
        "Issuer": "itself" if it.is_self_signed else it.issuer,
        "Serial": it.serial_number,
        "Valid": f"{it.not_before:%Y-%m-%d} to {it.not_after:%Y-%m-%d}{left}",
        "Key": str(it.key),
        "Signature": f"{it.signature} with {it.digest}",
        "CA": role,
        "Key usage": "anything" if it.usages is None else ", ".join(it.usages),
        "For": "anything" if it.purposes is None else ", ".join(sorted(it.purposes)),
        "Names": "" if it.is_ca else ", ".join(it.names) or "none",
        "SHA-256": it.fingerprint,
        "Size": f"{len(it.der):,} bytes",
    }
    title = click.style(f"{f'Certificate {number}':{_TITLE}}{one.place}", bold=True)
    return "\n".join((title, *_list_rows(rows)))


def _format_key(key: OpenedKey) -> str:
    rows = {
        "Key": str(key.kind) + (", encrypted" if key.found.is_encrypted else ""),
        "Certificate": "none of these" if key.owner is None else f"{key.owner + 1}",
    }
    title = click.style(f"{'Private key':{_TITLE}}{key.found.place}", bold=True)
    return "\n".join((title, *_list_rows(rows)))


def _list_rows(rows: dict[str, str]) -> Iterator[str]:
    for title, value in rows.items():
        if not value:
            continue
        first, *more = textwrap.wrap(value, _WIDTH - _TITLE) or [""]
        yield f"  {title:{_TITLE - 2}}{first}"
        yield from (" " * _TITLE + line for line in more)


def _format_use(found: Inspection) -> str:
    rows = {"Checked as": _PURPOSES[found.purpose]}
    if found.chain:
        rows["Chain"] = " <- ".join(str(number + 1) for number in found.chain)
    return "\n".join(line[2:] for line in _list_rows(rows))


def _format_limits(found: Inspection) -> str:
    rows = [
        Row(
            (it.name, f"{it.used:,}", f"{it.limit:,}", it.key or ""),
            "red" if it.used > it.limit else None,
        )
        for it in found.limits
    ]
    return format_table(("Limit", "used", "limit", ""), rows, "<>><")


def _describe_findings(found: Inspection, profile_name: str) -> Iterator[str]:
    count = len(found.findings)
    if not count:
        yield f"The firmware of the profile {profile_name} can use this."
        return
    what = "1 finding" if count == 1 else f"{count} findings"
    yield click.style(f"{what}, for the profile {profile_name}:", fg="red", bold=True)
    for finding in found.findings:
        yield from _wrap(f"  {finding.message}")
        yield from _wrap(f"    {finding.hint}")


def _wrap(text: str) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
