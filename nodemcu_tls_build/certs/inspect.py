"""Check files of certificates and keys: what is wrong, and what a firmware cannot use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from nodemcu_tls_build.certs.chain import (
    check_way,
    find_chain,
    list_judged,
    list_numbers,
    name,
    note_beside,
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
    measure_message,
    measure_store,
)
from nodemcu_tls_build.certs.host import check_host
from nodemcu_tls_build.certs.keys import AskPassphrase, encode_key
from nodemcu_tls_build.certs.opened import OpenedKey, open_keys
from nodemcu_tls_build.certs.usage import (
    check_anchor,
    check_dates,
    check_end,
    check_purpose,
    note_anchor,
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
        _check(found, request)
    found.findings = list(dict.fromkeys(found.findings))
    return found


def _guess_purpose(found: Inspection, first: int | None, hosts: Sequence[str]) -> Purpose:
    """Return what the certificate `first` is for; what has clients' usage alone is a client's."""
    certificates = found.contents.certificates
    if hosts or first is None:
        return Purpose.SERVER if hosts else Purpose.CA
    own = certificates[first].details
    if own.is_ca:
        return Purpose.CA
    if own.purposes is not None:
        is_client = "client" in own.purposes and "server" not in own.purposes
        return Purpose.CLIENT if is_client else Purpose.SERVER
    if own.alternative_names is None and found.contents.keys:
        return Purpose.CLIENT
    return Purpose.SERVER


def _check(found: Inspection, request: CheckRequest) -> None:
    certificates = found.contents.certificates
    found.findings += _check_keys(found, request.profile)
    first = _find_first(found)
    found.purpose = request.purpose or _guess_purpose(found, first, request.hosts)
    if not certificates:
        return
    if found.purpose is Purpose.CA:
        _check_anchors(found, request)
    else:
        if first is None:
            message = f"there is no certificate of a {found.purpose} among them, only of CAs"
            found.findings.append(Finding(message, _LEAF))
        _check_chain(found, request, first or 0)
    for limit in found.limits:
        found.findings += check_limit(limit)


def _check_anchors(found: Inspection, request: CheckRequest) -> None:
    """Check certificates that are to be trusted."""
    certificates = found.contents.certificates
    for number, one in enumerate(certificates):
        where = name(certificates, number)
        found.findings += check_usable(one.details, where, request.profile, is_anchor=True)
        found.findings += check_anchor(one.details, where)
        found.notes += note_anchor(one.details, where)
        _check_dates(found, one.details, where, request)
    distinct = {one.details.der: one.details for one in certificates}
    found.limits = [measure_store(list(distinct.values()), None)]


def _check_chain(found: Inspection, request: CheckRequest, first: int) -> None:
    certificates, profile = found.contents.certificates, request.profile
    chain = find_chain(certificates, first, now=request.now)
    found.chain = list_numbers(certificates, chain.way)
    anchor = found.chain[-1] if chain.way.is_trusted else None
    own, where = certificates[first].details, name(certificates, first)
    found.findings += check_way(certificates, chain)
    found.notes += note_beside(certificates, chain)
    for number in list_judged(certificates, chain, is_client=found.purpose is Purpose.CLIENT):
        is_checked = number in found.chain and number != anchor
        found.findings += check_usable(
            certificates[number].details,
            name(certificates, number),
            profile,
            is_anchor=not is_checked,
        )
    for number in found.chain:
        _check_dates(found, certificates[number].details, name(certificates, number), request)
    found.findings += check_end(own, where, found.purpose, profile)
    sent = [certificates[number].details for number in chain.sent]
    if found.purpose is Purpose.CLIENT:
        for number in found.chain[1:]:
            usage = certificates[number].details, name(certificates, number)
            found.findings += check_purpose(*usage, found.purpose)
        _check_client(found, sent, where, profile)
        return
    found.limits = [
        measure_message(sent, profile, sent=False),
        Limit("Intermediate CAs", "tls.max_chain", chain.way.intermediates, profile.tls.max_chain),
    ]
    found.findings += check_exchange(own.key, where, profile)
    for host in request.hosts:
        if finding := check_host(own, host, mbedtls=profile.mbedtls.version):
            found.findings.append(finding)


def _check_dates(found: Inspection, details: Details, where: str, request: CheckRequest) -> None:
    """Check dates where somebody does: servers do, firmware if its profile says so."""
    if request.profile.tls.verify_dates or found.purpose is Purpose.CLIENT:
        found.findings += check_dates(details, where, now=request.now)
        if note := note_dates(details, where, now=request.now):
            found.notes.append(note)


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
    # A server may have signed its own.
    alone = 0 if len({one.details.der for one in certificates}) == 1 else None
    return next(ends, alone)


def _check_keys(found: Inspection, profile: Profile) -> Iterator[Finding]:
    certificates = found.contents.certificates
    if len(found.contents.keys) > 1:
        places = ", ".join(key.place for key in found.contents.keys)
        yield Finding(f"there are {len(found.contents.keys)} private keys: {places}", _ONE_KEY)
    for key in found.keys:
        path = key.found.path
        yield from check_key(key.kind, f"the private key in {path}", profile)
        if key.owner is None and certificates and not found.contents.unreadable:
            what = "the certificate" if len(certificates) == 1 else "any of the certificates"
            yield Finding(f"the key in {path} is not that of {what}", _OWN_KEY)
