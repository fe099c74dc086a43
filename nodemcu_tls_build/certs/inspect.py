"""Check files of certificates and keys: what is wrong, and what a firmware cannot use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from nodemcu_tls_build.certs.chain import (
    check_belonging,
    check_order,
    check_signatures,
    find_chain,
    name,
)
from nodemcu_tls_build.certs.details import Details
from nodemcu_tls_build.certs.files import Contents, read_files
from nodemcu_tls_build.certs.finding import Finding
from nodemcu_tls_build.certs.fit import (
    Limit,
    check_exchange,
    check_key,
    check_limit,
    check_signing_heap,
    check_usable,
    measure_chain,
    measure_message,
    measure_store,
)
from nodemcu_tls_build.certs.host import check_host
from nodemcu_tls_build.certs.keys import AskPassphrase, encode_key
from nodemcu_tls_build.certs.opened import OpenedKey, open_keys
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


@dataclass
class Inspection:
    """What is in the files, what it is for, and everything that is wrong with it.

    `chain` has the indexes of the certificates that TLS would send, the end's own first; it is
    empty for CA certificates.
    """

    contents: Contents
    purpose: Purpose
    keys: list[OpenedKey] = field(default_factory=list)
    chain: list[int] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def inspect_files(request: CheckRequest) -> Inspection:
    """Return what is in the files, with every finding."""
    with warnings.catch_warnings():  # about encodings that cryptography will refuse one day
        warnings.simplefilter("ignore")
        contents = read_files(request.paths, allow_pipe=True)
        keys = open_keys(contents, request.ask_passphrase)
        found = Inspection(contents, request.purpose or Purpose.SERVER, keys, notes=contents.notes)
        found.findings += contents.findings
        found.purpose = request.purpose or _guess_purpose(found, request.hosts)
        _check(found, request)
    found.findings = list(dict.fromkeys(found.findings))
    return found


def _guess_purpose(found: Inspection, hosts: Sequence[str]) -> Purpose:
    certificates = [one.details for one in found.contents.certificates]
    ends = [one for one in certificates if not one.is_ca]
    if hosts:
        return Purpose.SERVER
    if certificates and not ends:
        return Purpose.CA
    purposes = [one.purposes for one in ends if one.purposes is not None]
    if any("client" in those for those in purposes):
        return Purpose.CLIENT
    if any("server" in those for those in purposes) or any(
        one.alternative_names is not None for one in ends
    ):
        return Purpose.SERVER
    return Purpose.CLIENT if found.contents.keys or purposes else Purpose.SERVER


def _check(found: Inspection, request: CheckRequest) -> None:
    certificates, profile = found.contents.certificates, request.profile
    found.findings += _check_keys(found, profile)
    if not certificates:
        return
    named = [(one.details, name(certificates, n)) for n, one in enumerate(certificates)]
    for details, where in named:
        found.findings += check_usable(details, where, profile)
    found.findings += check_signatures(certificates)
    if found.purpose is Purpose.CA:
        dated = named
        for details, where in named:
            found.findings += check_authority(details, where)
        found.limits = [measure_store([details for details, _ in named], None)]
    else:
        dated = _check_chain(found, request, named)
    if profile.tls.verify_dates or found.purpose is Purpose.CLIENT:
        for details, where in dated:
            found.findings += check_dates(details, where, now=request.now)
            if note := note_dates(details, where, now=request.now):
                found.notes.append(note)
    for limit in found.limits:
        found.findings += check_limit(limit)


def _check_chain(
    found: Inspection, request: CheckRequest, named: Sequence[tuple[Details, str]]
) -> list[tuple[Details, str]]:
    """Check a chain, and return those of its certificates whose dates count."""
    certificates, profile = found.contents.certificates, request.profile
    first = _find_first(found)
    if first is None:
        message = f"there is no certificate of a {found.purpose} among them, only of CAs"
        found.findings.append(Finding(message, _LEAF))
        first = 0
    chain = find_chain(certificates, first)
    found.chain = chain.path
    path = [named[number] for number in chain.path]
    own, where = path[0]
    found.findings += check_order(certificates, chain.path)
    found.findings += check_belonging(certificates, chain)
    for details, its_name in path[1:]:
        found.findings += check_authority(details, its_name)
    found.findings += check_path_lengths(path)
    found.findings += check_end(own, where, found.purpose, profile)
    if chain.others:
        found.notes.append(f"{len(chain.others)} other CA certificates are beside the chain")
    sent = [named[number][0] for number in chain.sent]
    if found.purpose is Purpose.CLIENT:
        _check_client(found, sent, where, profile)
        return path
    found.limits = [measure_message(sent, profile, sent=False)]
    found.limits.append(measure_chain([details for details, _ in path], profile))
    found.findings += check_exchange(own.key, where, profile)
    for host in request.hosts:
        if finding := check_host(own, host, mbedtls=profile.mbedtls.version):
            found.findings.append(finding)
    return path


def _check_client(found: Inspection, sent: Sequence[Details], where: str, profile: Profile) -> None:
    lengths = [len(encode_key(key.key)) for key in found.keys[:1]]
    found.limits = [
        measure_message(sent, profile, sent=True),
        measure_store(sent, lengths[0] if lengths else None),
    ]
    found.findings += check_signing_heap(sent[0].key, where)
    if not found.contents.keys:
        found.notes.append("no private key is among the files: a device needs it, too")


def _find_first(found: Inspection) -> int | None:
    """Return the certificate that the chain begins with: the key's, or the first of no CA."""
    certificates = found.contents.certificates
    owner = next((key.owner for key in found.keys if key.owner is not None), None)
    if owner is not None:
        return owner
    ends = (n for n, one in enumerate(certificates) if not one.details.is_ca)
    alone = 0 if len(certificates) == 1 else None  # a server may have signed its own
    return next(ends, alone)


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
