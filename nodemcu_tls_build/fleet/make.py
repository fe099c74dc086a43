"""Make what a device gets: key, certificate and store image, or the certificate for its request."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from nodemcu_tls_build.certs.issue import (
    Issued,
    Issuer,
    make_key,
    make_pem_chain,
    split_pem_chain,
)
from nodemcu_tls_build.certs.keys import get_spki, load_key_spki
from nodemcu_tls_build.certs.seal import Sealer
from nodemcu_tls_build.certs.signing_request import load_request
from nodemcu_tls_build.certs.store_write import ROOM, STORE_SIZE, Credentials, make_store
from nodemcu_tls_build.certs.stored import read_store
from nodemcu_tls_build.certs.subject import SubjectTemplate
from nodemcu_tls_build.errors import OutputError
from nodemcu_tls_build.files import read_file, stage_file
from nodemcu_tls_build.fleet.manifest import find_staged, load_devices
from nodemcu_tls_build.fleet.names import Names
from nodemcu_tls_build.fleet.options import Options
from nodemcu_tls_build.fleet.table import CSR, Row

STORES, CERTIFICATES = "stores", "certificates"
_MAX_PEM = 64 * 1024


@dataclass(frozen=True)
class Recipe:
    """How to make everything: `ca` goes into each store; requests lie below `request_dir`.

    `most_subject` is the length in DER of the longest subject that a store has room for.
    """

    directory: Path
    issuer: Issuer = field(repr=False)
    template: SubjectTemplate
    request_dir: Path
    options: Options
    most_subject: int
    ca: tuple[bytes, ...] = ()
    sealer: Sealer | None = None

    def find_request(self, row: Row) -> Path | None:
        """Return the certificate request of a row; None when its key is to be made."""
        name = row.values.get(CSR)
        return self.request_dir / name if name else None

    def find_file(self, row: Row) -> str:
        """Return the path in the directory of a row's file."""
        if self.find_request(row):
            return f"{CERTIFICATES}/{row.file_name}.pem"
        return f"{STORES}/{row.file_name}.bin{'.cms' if self.sealer else ''}"

    def list_files(self, row: Row) -> tuple[str, ...]:
        """Return the paths in the directory of all files that a row could have, or have had."""
        store = f"{STORES}/{row.file_name}.bin"
        return store, f"{store}.cms", f"{CERTIFICATES}/{row.file_name}.pem"

    def name_subject(self, row: Row) -> str:
        """Return the subject of a row's certificate in RFC 4514 form."""
        return self.template.make(row.values).rfc4514_string()

    def check(self, row: Row) -> str | None:
        """Return a digest of the key in a row's request, None when the key is to be made.

        Raises ValueError saying why nothing can be made for the row.
        """
        subject = self.template.make(row.values).public_bytes()
        if self.find_request(row):
            return self.find_key(row)
        if len(subject) > self.most_subject:
            raise ValueError(
                f"its certificates and key would take {ROOM + len(subject) - self.most_subject:,} "
                f"bytes in flash, their sector holds {ROOM:,}"
            )
        return None

    def find_key(self, row: Row) -> str | None:
        """Return a digest of the key in a row's request, None when there is no request.

        That of a device which has its certificate may be gone. Raises ValueError saying why it
        cannot be used.
        """
        request = self.find_request(row)
        if request is None or (not os.path.lexists(request) and row.device in self._devices):
            return None
        return _digest(get_spki(load_request(request)))

    @cached_property
    def _devices(self) -> Names:
        """Return those of earlier runs."""
        return load_devices(self.directory)


@dataclass(frozen=True)
class Made:
    """A line for the manifest, and the file that it tells of; `adopted`: it was there already."""

    line: str
    file: str
    adopted: bool = False


class _Found(NamedTuple):
    """What a device gets: a certificate, the digest of its public key, and the file's bytes."""

    issued: Issued
    public_key: str
    data: bytes


def make_devices(recipe: Recipe, rows: list[Row]) -> Iterator[Made]:
    """Make the file of each row, under the name that it has before it is in the manifest.

    One that a manifest has lost its line of is taken as it is. Raises OSError, and OutputError for
    a file that cannot be.
    """
    for row in rows:
        file = recipe.find_file(row)
        path = recipe.directory / file
        is_there = os.path.lexists(path)
        found = _adopt(recipe, row, path) if is_there else _make(recipe, row)
        if found is None:
            raise OutputError(f"{path} is there, and was not a moment ago", "Move it away.")
        mode = 0o600 if path.suffix == ".bin" else 0o644
        if not is_there:
            stage_file(find_staged(path), found.data, mode=mode)
        elif path.suffix == ".bin":
            path.chmod(mode)
        line = _write_line(row, recipe.name_subject(row), found, file)
        yield Made(line, file, adopted=is_there)


def find_stray(recipe: Recipe, row: Row) -> str | None:
    """Return a file of a device without a line that is not what would be made, if there is one."""
    start = f"{recipe.directory}/"  # a Path takes longer to make than the system to look
    there = [file for file in recipe.list_files(row) if os.path.lexists(start + file)]
    for file in there:
        is_wanted = file == recipe.find_file(row)
        if not is_wanted or _adopt(recipe, row, recipe.directory / file) is None:
            return file
    return None


def _make(recipe: Recipe, row: Row) -> _Found:
    subject = recipe.template.make(row.values)
    request = recipe.find_request(row)
    if request:
        public_key = load_request(request)
        issued = recipe.issuer.issue(subject, public_key)
        data = make_pem_chain((issued.der, *recipe.issuer.chain))
        return _Found(issued, _digest(get_spki(public_key)), data)
    public_key, key = make_key()
    issued = recipe.issuer.issue(subject, public_key)
    credentials = Credentials(recipe.ca, (issued.der, *recipe.issuer.chain), key)
    store = make_store(credentials)
    data = recipe.sealer.seal(store) if recipe.sealer else store
    return _Found(issued, _digest(get_spki(public_key)), data)


def _adopt(recipe: Recipe, row: Row, path: Path) -> _Found | None:
    """Return what a file without a line holds if it is what would be made, and can be read."""
    try:
        data = read_file(path, max(STORE_SIZE, _MAX_PEM))
    except OSError:
        return None
    request = recipe.find_request(row)
    if request:
        chain, spki = split_pem_chain(data), get_spki(load_request(request))
    elif len(data) == STORE_SIZE:
        credentials = read_store(data)
        chain, known = credentials.certificates, load_key_spki(credentials.key)
        if known is None or credentials.ca != recipe.ca:
            return None
        spki = known
    else:
        return None
    if not chain or chain[1:] != recipe.issuer.chain:
        return None
    issued = recipe.issuer.find_issued(chain[0], recipe.template.make(row.values), spki)
    return _Found(issued, _digest(spki), data) if issued else None


def _write_line(row: Row, subject: str, found: _Found, file: str) -> str:
    entry = {
        "device": row.device,
        "subject": subject,
        "serial_number": found.issued.serial_number,
        "fingerprint": found.issued.fingerprint,
        "public_key": found.public_key,
        "file": file,
        "sha256": _digest(found.data),
    }
    return json.dumps(entry, ensure_ascii=False)


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
