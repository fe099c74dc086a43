"""Tell what of the certificates in files is sent and what is trusted, and why no way leads up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from nodemcu_tls_build.certs.details import Details, is_signed_by
from nodemcu_tls_build.certs.files import FoundCertificate
from nodemcu_tls_build.certs.finding import Finding
from nodemcu_tls_build.certs.fit import measure_store
from nodemcu_tls_build.certs.usage import check_authority
from nodemcu_tls_build.certs.way import Way, find_way

_ORDER = "Put the key's own certificate first, then the one that issued it, and so on."
_ALONE = "Take it out, or check it by itself."
_ISSUER = "Give the certificate of the issuer that it names."
_RENEWED = "Give the issuer's certificate that it was issued under: the name alone is not enough."
_LONG = "Issue without the intermediate CA, or have the CA's certificate issued again."


@dataclass(frozen=True)
class Chain:
    """Certificates by their indexes, and the way up.

    `sent` is the end's own and what else is in its file; `trusted` are CAs in other files, or,
    where there are none, those in its file that signed themselves. `others` are what remains.
    """

    sent: list[int]
    trusted: list[int]
    others: list[int]
    way: Way


def find_chain(certificates: Sequence[FoundCertificate], first: int, *, now: datetime) -> Chain:
    """Return the chain that the certificate `first` is the end of."""
    own_path = certificates[first].path
    same = [n for n, one in enumerate(certificates) if one.path == own_path and n != first]
    sent = [first, *same]
    elsewhere = [n for n, one in enumerate(certificates) if one.path != own_path]
    trusted = [n for n in elsewhere if _may_be_trusted(certificates[n].details)]
    others = [n for n in elsewhere if n not in set(trusted)]
    if not trusted:
        trusted = [n for n in sent if certificates[n].details.is_self_signed]
    way = find_way(
        [certificates[n].details for n in sent],
        [certificates[n].details for n in trusted],
        now=now,
    )
    return Chain(sent, trusted, others, way)


def _may_be_trusted(details: Details) -> bool:
    return details.is_ca or details.is_self_signed


def list_numbers(certificates: Sequence[FoundCertificate], way: Way) -> list[int]:
    """Return the indexes of the certificates on the way."""
    first: dict[bytes, int] = {}
    for number, one in enumerate(certificates):
        first.setdefault(one.details.der, number)
    return [first[one.der] for one in way.steps]


def list_judged(
    certificates: Sequence[FoundCertificate], chain: Chain, *, is_client: bool
) -> list[int]:
    """Return what the firmware reads: all that is sent, and what it trusts.

    A client does not read what servers trust. Of more CAs than a device has room for, those on
    the way count.
    """
    if is_client:
        return chain.sent
    distinct = {certificates[n].details.der: n for n in reversed(chain.trusted)}
    numbers = sorted(distinct.values())
    size = measure_store([certificates[n].details for n in numbers], None)
    if size.used > size.limit:
        way = {one.der for one in chain.way.steps}
        numbers = [n for n in numbers if certificates[n].details.der in way]
    return sorted({*chain.sent, *numbers})


def check_way(certificates: Sequence[FoundCertificate], chain: Chain) -> Iterator[Finding]:
    """Find why the end's certificate cannot be verified, and what is beside the chain."""
    way = chain.way
    path = certificates[chain.sent[0]].path
    before = [n for n in chain.sent if n < chain.sent[0]]
    if before:
        yield Finding(
            f"{path}: certificate {before[0] + 1} stands before that of the end,"
            f" {name(certificates, chain.sent[0])}",
            _ORDER,
        )
    numbers = list_numbers(certificates, way)
    for one, issuer in pairwise(numbers):
        if certificates[one].details in way.forged:
            yield _explain_forged(certificates, one, issuer)
    if not way.is_trusted:
        yield from _explain_end(certificates, chain, numbers[-1])
    for number in chain.others:
        yield Finding(
            f"{name(certificates, number)} is no part of the chain of"
            f" {name(certificates, chain.sent[0])}",
            _ALONE,
        )


def _explain_end(
    certificates: Sequence[FoundCertificate], chain: Chain, last: int
) -> Iterator[Finding]:
    """Say why the way does not go on from its last certificate; where it may end, nothing."""
    details, below = certificates[last].details, len(chain.way.steps) - 1
    namesakes = [
        n
        for n in dict.fromkeys((*chain.trusted, *chain.sent))
        if n != last and certificates[n].details.subject_id == details.issuer_id
    ]
    for number in namesakes:
        issuer = certificates[number].details
        where = name(certificates, number)
        if not is_signed_by(details, issuer):
            yield _explain_forged(certificates, last, number)
        elif faults := list(_list_faults(issuer, where, below)):
            yield from faults
        else:
            yield Finding(
                f"{certificates[number].path}: certificate {number + 1} issued certificate"
                f" {last + 1}, and stands before it",
                _ORDER,
            )
    is_given = any(n not in chain.sent for n in chain.trusted)
    if not namesakes and (is_given or chain.others):
        yield Finding(
            f"none of the certificates issued {name(certificates, last)}: its issuer is"
            f" {details.issuer}",
            _ISSUER,
        )


def _list_faults(issuer: Details, where: str, below: int) -> Iterator[Finding]:
    yield from check_authority(issuer, where)
    if issuer.path_length is not None and issuer.path_length < below:
        yield Finding(f"{where} allows {issuer.path_length} CAs below it, and has {below}", _LONG)


def _explain_forged(certificates: Sequence[FoundCertificate], one: int, issuer: int) -> Finding:
    return Finding(
        f"{name(certificates, issuer)} has the name of the issuer of {name(certificates, one)}, but"
        " did not sign it",
        _RENEWED,
    )


def note_beside(certificates: Sequence[FoundCertificate], chain: Chain) -> Iterator[str]:
    """Remark on certificates that are sent or trusted, and not on the way."""
    way = {one.der for one in chain.way.steps}
    for number in chain.sent:
        if certificates[number].details.der not in way:
            yield f"{name(certificates, number)} is sent, and not needed"
    beside = [n for n in chain.trusted if certificates[n].details.der not in way]
    if beside and any(n not in chain.sent for n in chain.trusted):
        yield f"{len(beside)} other CA certificates are beside the chain"


def name(certificates: Sequence[FoundCertificate], number: int) -> str:
    """Return what a certificate is called in sentences."""
    return f"certificate {number + 1} ({certificates[number].details.subject})"
