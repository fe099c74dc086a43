"""Put the certificates of files into the order of a chain, and say what does not belong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from nodemcu_tls_build.certs.details import Details, is_signed_by
from nodemcu_tls_build.certs.files import FoundCertificate
from nodemcu_tls_build.certs.finding import Finding

_ORDER = "Put the key's own certificate first, then the one that issued it, and so on."
_ALONE = "Take it out, or check it by itself."
_ISSUER = "Give the certificate of the issuer that it names."
_RENEWED = "Give the issuer's certificate that it was issued under: the name alone is not enough."


def find_chain(certificates: Sequence[FoundCertificate], first: int) -> list[int]:
    """Return the indexes from the certificate `first` on up to the last issuer that is there."""
    chain = [first]
    while not certificates[chain[-1]].details.is_self_signed:
        last = certificates[chain[-1]].details
        issuers = (
            number
            for number, one in enumerate(certificates)
            if number not in chain and is_signed_by(last, one.details)
        )
        issuer = next(issuers, None)
        if issuer is None:
            break
        chain.append(issuer)
    return chain


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


def check_belonging(
    certificates: Sequence[FoundCertificate], chain: Sequence[int]
) -> Iterator[Finding]:
    """Find certificates that are no part of the chain, and a chain that does not go on."""
    last = certificates[chain[-1]].details
    strangers = [number for number in range(len(certificates)) if number not in chain]
    has_issuer = any(certificates[n].details.is_ca for n in strangers)
    if has_issuer and not last.is_self_signed and not list(_find_namesakes(certificates, last)):
        yield Finding(
            f"none of the certificates issued {name(certificates, chain[-1])}: its issuer is"
            f" {last.issuer}",
            _ISSUER,
        )
    for number in strangers:
        yield Finding(
            f"{name(certificates, number)} is no part of the chain of"
            f" {name(certificates, chain[0])}",
            _ALONE,
        )


def check_signatures(certificates: Sequence[FoundCertificate]) -> Iterator[Finding]:
    """Find certificates whose issuer, by its name, is there and did not sign them."""
    for number, one in enumerate(certificates):
        namesakes = list(_find_namesakes(certificates, one.details))
        if not namesakes or any(
            is_signed_by(one.details, certificates[n].details) for n in namesakes
        ):
            continue
        if namesakes == [number]:
            message = f"{name(certificates, number)} does not bear its own signature"
            yield Finding(message, "Copy the certificate again.")
        else:
            issuer = next(n for n in namesakes if n != number)
            yield Finding(
                f"{name(certificates, issuer)} has the name of the issuer of"
                f" {name(certificates, number)}, but did not sign it",
                _RENEWED,
            )


def name(certificates: Sequence[FoundCertificate], number: int) -> str:
    """Return what a certificate is called in sentences."""
    return f"certificate {number + 1} ({certificates[number].details.subject})"


def _find_namesakes(certificates: Sequence[FoundCertificate], one: Details) -> Iterator[int]:
    wanted = one.certificate.issuer
    for number, other in enumerate(certificates):
        if other.details.certificate.subject == wanted:
            yield number
