"""Read what a fleet is issued from, and check all of it before anything is issued."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from nodemcu_tls_build.certs import load_ca_file
from nodemcu_tls_build.certs.issue import Issuer, load_issuer, make_key
from nodemcu_tls_build.certs.keys import AskPassphrase
from nodemcu_tls_build.certs.seal import load_recipient
from nodemcu_tls_build.certs.store import RECORD
from nodemcu_tls_build.certs.store_write import ROOM, Credentials
from nodemcu_tls_build.certs.subject import SubjectTemplate
from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.fleet.make import Recipe
from nodemcu_tls_build.fleet.table import Table, load_table


@dataclass(frozen=True)
class FleetRequest:
    """What a fleet is made from; `days` is how long certificates are to be valid."""

    csv_path: Path
    issuer_cert_path: Path
    issuer_key_path: Path
    out_dir: Path
    subject: str
    days: int
    ca_path: Path | None = None
    recipient_path: Path | None = None


def prepare_fleet(request: FleetRequest, *, ask_passphrase: AskPassphrase) -> tuple[Recipe, Table]:
    """Return how to make each device's file, and the devices.

    Raises CertificateError, and ConfigError with every problem of the list.
    """
    now = datetime.now(UTC)
    template = SubjectTemplate(request.subject)
    issuer = _load_issuer(request, now, ask_passphrase)
    ca = load_ca_file(request.ca_path, now=now, allow_pipe=True).der if request.ca_path else ()
    sealer = load_recipient(request.recipient_path) if request.recipient_path else None
    recipe = Recipe(
        directory=request.out_dir,
        issuer=issuer,
        template=template,
        request_dir=_find_request_dir(request.csv_path),
        options={
            "issuer_cert": _list_digests((issuer.der, *issuer.chain)),
            "subject": request.subject,
            "days": request.days,
            "ca": _list_digests(ca),
            "encrypt_to": sealer.fingerprint if sealer else None,
        },
        most_subject=_measure_room(issuer),
        ca=ca,
        sealer=sealer,
    )
    Credentials(recipe.ca).make_records(0)
    table = load_table(request.csv_path, template.columns, recipe.check)
    if table.count > 1 and not template.columns:
        raise ConfigError(
            f"every device would have the same subject, {request.subject}",
            "Name a column in the template: CN={device}.",
        )
    return recipe, table


def _find_request_dir(csv_path: Path) -> Path:
    """Return where requests lie: beside the list, or here for one that lies nowhere.

    That is a pipe, or a file without a name any more, such as a shell's here-document.
    """
    path = Path(os.path.realpath(csv_path))
    try:
        status = csv_path.stat()
        is_there = stat.S_ISREG(status.st_mode) and os.path.samestat(status, path.stat())
    except OSError:
        is_there = False
    return path.parent if is_there else Path()


def _list_digests(certificates: Sequence[bytes]) -> list[str]:
    return [sha256(der).hexdigest() for der in dict.fromkeys(certificates)]


def _measure_room(issuer: Issuer) -> int:
    """Return how long a subject may be in DER, so that its store has room for the rest."""
    _, key = make_key()
    lengths = [*map(len, issuer.chain), len(key), issuer.measure_certificate()]
    return ROOM - sum(RECORD.size + length for length in lengths)


def _load_issuer(request: FleetRequest, now: datetime, ask_passphrase: AskPassphrase) -> Issuer:
    issuer = load_issuer(
        request.issuer_cert_path,
        request.issuer_key_path,
        days=request.days,
        now=now,
        ask_passphrase=ask_passphrase,
    )
    Credentials(certificates=issuer.chain).make_records(1)
    return issuer
