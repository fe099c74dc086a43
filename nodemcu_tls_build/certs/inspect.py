"""Check files of certificates and keys: what is wrong, and what a firmware cannot use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from nodemcu_tls_build.certs.archive import open_archive
from nodemcu_tls_build.certs.chain import (
    check_belonging,
    check_order,
    check_signatures,
    find_chain,
    name,
)
from nodemcu_tls_build.certs.details import Details, KeyKind, describe_key, read_details
from nodemcu_tls_build.certs.files import Contents, FoundCertificate, FoundKey, read_files
from nodemcu_tls_build.certs.finding import Finding
from nodemcu_tls_build.certs.fit import (
    Limit,
    check_exchange,
    check_key,
    check_limit,
    check_signature,
    measure_chain,
    measure_message,
    measure_store,
)
from nodemcu_tls_build.certs.host import check_host
from nodemcu_tls_build.certs.keys import AskPassphrase, encode_key, get_spki, open_key
from nodemcu_tls_build.certs.usage import (
    check_authority,
    check_dates,
    check_end,
    check_path_lengths,
    note_dates,
)
from nodemcu_tls_build.profile import Profile

_ONE_KEY = "Give a file with the one that is meant."
_OWN_KEY = "Give the key that the certificate was issued for."
_LEAF = "Give the server's own certificate, too, or check these with --purpose ca."


class Purpose(StrEnum):
    """What certificates are for: a server's, the device's own, or those it trusts."""

    SERVER = "server"
    CLIENT = "client"
    CA = "ca"


@dataclass(frozen=True)
class CheckRequest:
    """Files, and what they have to do for whom; `purpose` None is to be found out."""

    paths: Sequence[Path]
    profile: Profile
    hosts: Sequence[str]
    purpose: Purpose | None
    now: datetime
    ask_passphrase: AskPassphrase = field(repr=False)


@dataclass(frozen=True)
class InspectedKey:
    """A private key that could be opened, and the index of its certificate."""

    found: FoundKey
    kind: KeyKind
    key: object = field(repr=False)
    owner: int | None


@dataclass
class Inspection:
    """What is in the files, what it is for, and everything that is wrong with it.

    `chain` has the indexes of the certificates that TLS would send, the end's own first; it is
    empty for CA certificates.
    """

    contents: Contents
    purpose: Purpose
    keys: list[InspectedKey] = field(default_factory=list)
    chain: list[int] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def inspect_files(request: CheckRequest) -> Inspection:
    """Return what is in the files, with every finding."""
    with warnings.catch_warnings():  # about encodings that cryptography will refuse one day
        warnings.simplefilter("ignore")
        contents = read_files(request.paths, allow_pipe=True)
        keys = [*_open_keys(contents, request.ask_passphrase)]
        keys += _open_archives(contents, request.ask_passphrase)
        purpose = request.purpose or _guess_purpose(contents, request.hosts)
        found = Inspection(contents, purpose, notes=list(contents.notes))
        found.findings += contents.findings
        found.keys = [
            InspectedKey(key, describe_key(opened), opened, _find_owner(opened, contents))
            for key, opened in keys
        ]
        _check(found, request)
    found.findings = list(dict.fromkeys(found.findings))
    return found


def _guess_purpose(contents: Contents, hosts: Sequence[str]) -> Purpose:
    ends = [one.details for one in contents.certificates if not one.details.is_ca]
    if hosts:
        return Purpose.SERVER
    if not ends and not contents.keys and contents.certificates:
        return Purpose.CA
    purposes = [one.purposes for one in ends if one.purposes is not None]
    if any("server" in those and "client" not in those for those in purposes):
        return Purpose.SERVER
    is_client = contents.keys or any("server" not in those for those in purposes)
    return Purpose.CLIENT if is_client else Purpose.SERVER


def _check(found: Inspection, request: CheckRequest) -> None:
    certificates, profile = found.contents.certificates, request.profile
    found.findings += _check_keys(found, profile)
    named = [(one.details, name(certificates, n)) for n, one in enumerate(certificates)]
    for details, where in named:
        found.findings += check_dates(details, where, now=request.now)
        found.findings += check_key(details.key, where, profile)
        found.findings += check_signature(details, where, profile)
        if note := note_dates(details, where, now=request.now):
            found.notes.append(note)
    if not certificates:
        return
    found.findings += check_signatures(certificates)
    if found.purpose is Purpose.CA:
        for details, where in named:
            found.findings += check_authority(details, where)
        found.limits = [measure_store([details for details, _ in named], None)]
    else:
        _check_chain(found, request, named)
    for limit in found.limits:
        found.findings += check_limit(limit)


def _check_chain(
    found: Inspection, request: CheckRequest, named: Sequence[tuple[Details, str]]
) -> None:
    certificates, profile = found.contents.certificates, request.profile
    first = _find_first(found)
    if first is None:
        message = f"there is no certificate of a {found.purpose} among them, only of CAs"
        found.findings.append(Finding(message, _LEAF))
        first = 0
    found.chain = find_chain(certificates, first)
    own, where = named[first]
    found.findings += check_order(certificates, found.chain)
    found.findings += check_belonging(certificates, found.chain)
    for number in found.chain[1:]:
        found.findings += check_authority(*named[number])
    found.findings += check_path_lengths([named[number] for number in found.chain])
    found.findings += check_end(own, where, found.purpose, profile)
    chain = [named[number][0] for number in found.chain]
    sent = found.purpose is Purpose.CLIENT
    found.limits = [measure_message(chain, profile, sent=sent)]
    if sent:
        lengths = [len(encode_key(key.key)) for key in found.keys[:1]]
        found.limits.append(measure_store(chain, lengths[0] if lengths else None))
        if not found.contents.keys:
            found.notes.append("no private key is among the files: a device needs it, too")
        return
    found.limits.append(measure_chain(chain, profile))
    found.findings += check_exchange(own.key, where, profile)
    for host in request.hosts:
        if finding := check_host(own, host, mbedtls=profile.mbedtls.version):
            found.findings.append(finding)


def _find_first(found: Inspection) -> int | None:
    """Return the certificate that the chain begins with: the key's, or the first of no CA."""
    certificates = found.contents.certificates
    owner = next((key.owner for key in found.keys if key.owner is not None), None)
    if owner is not None:
        return owner
    ends = (n for n, one in enumerate(certificates) if not one.details.is_ca)
    alone = 0 if len(certificates) == 1 else None  # a server may have signed its own
    return next(ends, alone)


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
        number
        for number, one in enumerate(contents.certificates)
        if get_spki(one.details.certificate) == public
    )
    return next(owners, None)


def _check_keys(found: Inspection, profile: Profile) -> Iterator[Finding]:
    certificates = found.contents.certificates
    if len(found.contents.keys) > 1:
        places = ", ".join(key.place for key in found.contents.keys)
        yield Finding(f"there are {len(found.contents.keys)} private keys: {places}", _ONE_KEY)
    for key in found.keys:
        path = key.found.path
        yield from check_key(key.kind, f"the private key in {path}", profile)
        if key.owner is None and certificates:
            what = "the certificate" if len(certificates) == 1 else "any of the certificates"
            yield Finding(f"the key in {path} is not that of {what}", _OWN_KEY)
