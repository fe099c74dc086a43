"""Make what a device gets: key, certificate and store image, or the certificate for its request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from nodemcu_tls_build.certs.issue import (
    Issued,
    Issuer,
    load_key_spki,
    load_request,
    make_key,
    make_pem_chain,
    split_pem_chain,
)
from nodemcu_tls_build.certs.keys import get_spki
from nodemcu_tls_build.certs.seal import Sealer
from nodemcu_tls_build.certs.store_write import STORE_SIZE, Credentials, make_store
from nodemcu_tls_build.certs.stored import read_store
from nodemcu_tls_build.certs.subject import SubjectTemplate
from nodemcu_tls_build.files import read_file, stage_file
from nodemcu_tls_build.fleet.manifest import find_staged
from nodemcu_tls_build.fleet.table import CSR, Row

STORES, CERTIFICATES = "stores", "certificates"
_MAX_PEM = 64 * 1024


@dataclass(frozen=True)
class Recipe:
    """How to make everything: `ca` goes into each store; requests lie below `request_dir`."""

    directory: Path
    issuer: Issuer = field(repr=False)
    template: SubjectTemplate
    request_dir: Path
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

    def check(self, row: Row) -> str | None:
        """Return why nothing can be made for a row."""
        try:
            self.template.make(row.values)
            request = self.find_request(row)
            if request:
                load_request(request)
        except ValueError as error:
            return str(error)
        return None


@dataclass(frozen=True)
class Made:
    """A line for the manifest, and the file that it tells of; `adopted`: it was there already."""

    line: str
    file: str
    adopted: bool = False


def make_devices(recipe: Recipe, rows: list[Row]) -> Iterator[Made]:
    """Make the file of each row, under the name that it has before it is in the manifest.

    One that a manifest has lost its line of is taken as it is. Raises OSError.
    """
    for row in rows:
        file = recipe.find_file(row)
        path = recipe.directory / file
        found = _adopt(recipe, row, path) if path.exists() else None
        if found:
            yield Made(_write_line(row, found[0], file, found[1]), file, adopted=True)
            continue
        issued, data = _make(recipe, row)
        stage_file(find_staged(path), data, mode=0o600 if path.suffix == ".bin" else 0o644)
        yield Made(_write_line(row, issued, file, data), file)


def _make(recipe: Recipe, row: Row) -> tuple[Issued, bytes]:
    subject = recipe.template.make(row.values)
    request = recipe.find_request(row)
    if request:
        issued = recipe.issuer.issue(subject, load_request(request))
        return issued, make_pem_chain((issued.der, *recipe.issuer.chain))
    public_key, key = make_key()
    issued = recipe.issuer.issue(subject, public_key)
    credentials = Credentials(recipe.ca, (issued.der, *recipe.issuer.chain), key)
    store = make_store(credentials)
    return issued, recipe.sealer.seal(store) if recipe.sealer else store


def _adopt(recipe: Recipe, row: Row, path: Path) -> tuple[Issued, bytes] | None:
    """Return what a file without a line holds if it is what would be made, and can be read."""
    data = read_file(path, max(STORE_SIZE, _MAX_PEM))
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
    if chain[1:] != recipe.issuer.chain:
        return None
    issued = recipe.issuer.find_issued(chain[0], recipe.template.make(row.values), spki)
    return (issued, data) if issued else None


def _write_line(row: Row, issued: Issued, file: str, data: bytes) -> str:
    entry = {
        "device": row.device,
        "serial_number": issued.serial_number,
        "fingerprint": issued.fingerprint,
        "file": file,
        "sha256": sha256(data).hexdigest(),
    }
    return json.dumps(entry, ensure_ascii=False)
