"""Put the certificates of files into the order of a chain, and say what does not belong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nodemcu_tls_build.certs.details import Details, is_signed_by
from nodemcu_tls_build.certs.files import FoundCertificate
from nodemcu_tls_build.certs.finding import Finding

_ORDER = "Put the key's own certificate first, then the one that issued it, and so on."
_ALONE = "Take it out, or check it by itself."
_ISSUER = "Give the certificate of the issuer that it names."
_RENEWED = "Give the issuer's certificate that it was issued under: the name alone is not enough."


@dataclass(frozen=True)
class Chain:
    """Certificates by their indexes.

    `path` goes from the end's own certificate up to the last issuer that is there. `sent` is what
    TLS sends: the path without a root that has a file of its own, and what else is in the end's
    file. `others` are CAs beside the chain, as a file of CA certificates has them.
    """

    path: list[int]
    sent: list[int]
    others: list[int]
    strangers: list[int]


def find_chain(certificates: Sequence[FoundCertificate], first: int) -> Chain:
    """Return the chain that the certificate `first` is the end of."""
    by_name: dict[bytes, list[int]] = {}
    for number, one in enumerate(certificates):
        by_name.setdefault(one.details.subject_id, []).append(number)
    path = _find_path(certificates, by_name, [first])
    own_path = certificates[first].path
    sent = [n for n in path if certificates[n].path == own_path or not _is_root(certificates[n])]
    others: list[int] = []
    strangers: list[int] = []
    for number, one in enumerate(certificates):
        if number in path:
            continue
        if one.path == own_path:
            sent.append(number)
            if not any(_is_same_issuer(one, certificates[n]) for n in path):
                strangers.append(number)
        else:
            (others if one.details.is_ca else strangers).append(number)
    return Chain(path, sent, others, strangers)


def _find_path(
    certificates: Sequence[FoundCertificate], by_name: dict[bytes, list[int]], path: list[int]
) -> list[int]:
    """Return the path gone on with: one that ends in a root if there is one, else the longest."""
    last = certificates[path[-1]].details
    if last.is_self_signed:
        return path
    best = path
    for number in by_name.get(last.issuer_id, ()):
        if number not in path and is_signed_by(last, certificates[number].details):
            found = _find_path(certificates, by_name, [*path, number])
            if certificates[found[-1]].details.is_self_signed:
                return found
            best = max(best, found, key=len)
    return best


def _is_root(one: FoundCertificate) -> bool:
    return one.details.is_self_signed and one.details.is_ca


def _is_same_issuer(one: FoundCertificate, other: FoundCertificate) -> bool:
    """Tell whether two certificates are of one CA, as cross-certificates are."""
    return one.details.subject_id == other.details.subject_id and one.details.spki == (
        other.details.spki
    )


def check_order(
    certificates: Sequence[FoundCertificate], chain: Sequence[int]
) -> Iterator[Finding]:
    """Find certificates of one file that do not stand in the order that TLS sends them in."""
    for one, issuer in pairwise(chain):
        path = certificates[one].path
        if certificates[issuer].path == path and issuer < one:
            yield Finding(
                f"{path}: certificate {issuer + 1} issued certificate {one + 1}, and stands"
                " before it",
                _ORDER,
            )


def check_belonging(certificates: Sequence[FoundCertificate], chain: Chain) -> Iterator[Finding]:
    """Find certificates that are no part of the chain, and a chain that does not go on."""
    last = certificates[chain.path[-1]].details
    has_issuer = any(certificates[n].details.is_ca for n in (*chain.others, *chain.strangers))
    if has_issuer and not last.is_self_signed and not any(_find_namesakes(certificates, last)):
        yield Finding(
            f"none of the certificates issued {name(certificates, chain.path[-1])}: its issuer is"
            f" {last.issuer}",
            _ISSUER,
        )
    for number in chain.strangers:
        yield Finding(
            f"{name(certificates, number)} is no part of the chain of"
            f" {name(certificates, chain.path[0])}",
            _ALONE,
        )


def check_signatures(certificates: Sequence[FoundCertificate]) -> Iterator[Finding]:
    """Find certificates whose issuer, by its name, is there and did not sign them."""
    for number, one in enumerate(certificates):
        details = one.details
        if details.is_self_signed:
            continue
        if details.claims_own_signature:
            message = f"{name(certificates, number)} does not bear its own signature"
            yield Finding(message, "Copy the certificate again.")
            continue
        namesakes = [n for n in _find_namesakes(certificates, details) if n != number]
        if namesakes and not any(is_signed_by(details, certificates[n].details) for n in namesakes):
            yield Finding(
                f"{name(certificates, namesakes[0])} has the name of the issuer of"
                f" {name(certificates, number)}, but did not sign it",
                _RENEWED,
            )


def name(certificates: Sequence[FoundCertificate], number: int) -> str:
    """Return what a certificate is called in sentences."""
    return f"certificate {number + 1} ({certificates[number].details.subject})"


def _find_namesakes(certificates: Sequence[FoundCertificate], one: Details) -> Iterator[int]:
    for number, other in enumerate(certificates):
        if other.details.subject_id == one.issuer_id:
            yield number
