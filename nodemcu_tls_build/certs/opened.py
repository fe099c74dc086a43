"""Open the keys and archives among files of certificates, and find whose each key is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nodemcu_tls_build.certs.archive import open_archive
from nodemcu_tls_build.certs.details import read_details
from nodemcu_tls_build.certs.files import Contents, FoundCertificate, FoundKey
from nodemcu_tls_build.certs.finding import Finding
from nodemcu_tls_build.certs.key_kind import KeyKind, describe_key
from nodemcu_tls_build.certs.keys import AskPassphrase, get_spki, open_key


@dataclass(frozen=True)
class OpenedKey:
    """A private key that could be opened, and the index of its certificate."""

    found: FoundKey
    kind: KeyKind
    key: object = field(repr=False)
    owner: int | None


def open_keys(contents: Contents, ask_passphrase: AskPassphrase) -> list[OpenedKey]:
    """Return the keys that can be opened; why others cannot is a finding.

    What PKCS#12 files hold is added to the contents.
    """
    keys = [*_open_keys(contents, ask_passphrase), *_open_archives(contents, ask_passphrase)]
    return [
        OpenedKey(found, describe_key(key), key, _find_owner(key, contents)) for found, key in keys
    ]


def _open_keys(
    contents: Contents, ask_passphrase: AskPassphrase
) -> Iterator[tuple[FoundKey, object]]:
    """Yield the keys that can be opened; why others cannot is a finding."""
    for found in contents.keys:
        key = open_key(found, ask_passphrase)
        if isinstance(key, Finding):
            contents.findings.append(key)
        else:
            yield found, key


def _open_archives(
    contents: Contents, ask_passphrase: AskPassphrase
) -> Iterator[tuple[FoundKey, object]]:
    """Add the certificates in PKCS#12 files to the contents, and yield the keys in them."""
    for path, data in contents.archives:
        archive = open_archive(path, data, ask_passphrase)
        if isinstance(archive, str):
            contents.notes.append(f"{path} cannot be looked into: {archive}")
            continue
        for der in archive.certificates:
            details = read_details(der)
            if details is not None:
                contents.certificates.append(FoundCertificate(path, 0, details))
        if archive.key is not None:
            found = FoundKey(path, 0, is_encrypted=True)
            contents.keys.append(found)
            yield found, archive.key


def _find_owner(key: object, contents: Contents) -> int | None:
    public = get_spki(key)
    owners = (
        number for number, one in enumerate(contents.certificates) if one.details.spki == public
    )
    return next(owners, None)
