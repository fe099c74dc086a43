"""Render the templates: the one Jinja environment."""

from __future__ import annotations

import re
import shlex
import struct
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nodemcu_tls_build.profile import FILE_NAMES, Profile, list_left_out, list_macros
from nodemcu_tls_build.resources import templates_dir

if TYPE_CHECKING:
    from pathlib import Path

    from nodemcu_tls_build.certs import CaBundle

_BYTES_A_LINE = 12
_CERTIFICATE = 1  # TLS_RECORD_CERTIFICATE


def render_template(name: str, **values: Any) -> str:
    """Return the text of the template with these values; an undefined one is an error."""
    return _environment().get_template(name).render(values)


def render_user_mbedtls(profile: Profile, include_dir: Path) -> str:
    """Return the profile's configuration header for the mbedTLS whose headers are there."""
    sections = list_macros(profile)
    return render_template(
        "user_mbedtls.h.j2",
        profile=profile,
        digest=profile.digest(),
        sections=sections,
        left_out=list_left_out(profile, sections, include_dir),
        file_names=sorted(FILE_NAMES),
        checks_itself=profile.mbedtls.version.startswith("3."),
    )


def render_server_ca(bundle: CaBundle | None) -> str:
    """Return the C source that holds the CA certificates; without a bundle it holds none."""
    if bundle is None:
        return render_template("server_ca.c.j2", certificates=[], lines=[])
    records = b"".join(map(_make_record, bundle.der))
    return render_template(
        "server_ca.c.j2", certificates=_describe(bundle), lines=_format_bytes(records)
    )


def render_ca_area(bundle: CaBundle, area: bytes) -> str:
    """Return the C header that holds a sector of CA certificates for NodeMCU's firmware."""
    return render_template(
        "server_ca.crt.h.j2",
        certificates=_describe(bundle),
        size=len(area),
        lines=_format_bytes(area),
    )


def make_comment_safe(text: str) -> str:
    """Return the text as ASCII that cannot end a C comment, continue its line or open another."""
    ascii_text = text.encode("ascii", "backslashreplace").decode()
    printable = re.sub(r"[^ -~]", "?", ascii_text)
    return re.sub(r"(?<=\*)(?=/)|(?<=/)(?=\*)|(?<=\?)(?=\?)", " ", printable)


def _describe(bundle: CaBundle) -> list[dict[str, Any]]:
    return [
        {
            "subject": make_comment_safe(one.subject),
            "size": len(one.der),
            "not_after": f"{one.not_after:%Y-%m-%d}",
        }
        for one in bundle.certificates
    ]


def _make_record(der: bytes) -> bytes:
    """Return a certificate as the firmware's store has it: see app/tls/tls_store.h."""
    return struct.pack("<BxH", _CERTIFICATE, len(der)) + der


def _format_bytes(data: bytes) -> list[str]:
    rows = (data[start : start + _BYTES_A_LINE] for start in range(0, len(data), _BYTES_A_LINE))
    return [", ".join(f"0x{byte:02x}" for byte in row) for row in rows]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(templates_dir()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 -- the templates are C and ninja, not HTML
    )
    environment.filters["command"] = _quote_command
    environment.filters["path"] = _quote_path
    return environment


def _quote_command(value: object) -> str:
    """Return one word of a shell command as build.ninja spells it."""
    return shlex.quote(str(value)).replace("$", "$$")


def _quote_path(value: object) -> str:
    """Return one path of a build statement as build.ninja spells it."""
    return re.sub(r"([$ :])", r"$\1", str(value))
