"""Find why a certificate may not be used for what it is meant: usage, CA flag, dates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from nodemcu_tls_build.certs.details import Details
from nodemcu_tls_build.certs.finding import Finding
from nodemcu_tls_build.profile import Profile

_SOON = timedelta(days=30)
_ISSUE = "Have it issued again"


def check_dates(details: Details, where: str, *, now: datetime) -> Iterator[Finding]:
    """Find that a certificate is not valid at the time `now`."""
    if now > details.not_after:
        yield Finding(f"{where} expired on {details.not_after:%Y-%m-%d}", f"{_ISSUE}.")
    if now < details.not_before:
        yield Finding(
            f"{where} is valid only from {details.not_before:%Y-%m-%d %H:%M} UTC",
            "Check this machine's clock, or wait until the certificate is valid.",
        )
    if details.not_after < details.not_before:
        yield Finding(f"{where} ends before it begins", f"{_ISSUE}, with other dates.")


def note_dates(details: Details, where: str, *, now: datetime) -> str | None:
    """Return a remark on a certificate that ends soon."""
    if not now <= details.not_after <= now + _SOON:
        return None
    return f"{where} ends on {details.not_after:%Y-%m-%d}, in less than 30 days"


def check_authority(details: Details, where: str) -> Iterator[Finding]:
    """Find why a certificate cannot be that of a CA."""
    if details.version < 3:
        yield Finding(
            f"{where} is of version {details.version}, which cannot say that it is a CA",
            f"{_ISSUE} as version 3, with basic constraints CA:TRUE.",
        )
    elif not details.is_ca:
        yield Finding(f"{where} is not a CA", "Give the certificate of the CA that issued it.")
    elif details.usage is not None and not details.usage.key_cert_sign:
        yield Finding(
            f"{where} is not allowed to sign certificates by its key usage",
            f"{_ISSUE} with the key usage keyCertSign.",
        )


def check_anchor(details: Details, where: str) -> Iterator[Finding]:
    """Find why nothing could be verified by trusting a certificate.

    It is a CA's, or a server's own that it signed itself; version 1 cannot say which.
    """
    if details.version >= 3 and (details.is_ca or not details.is_self_signed):
        yield from check_authority(details, where)


def note_anchor(details: Details, where: str) -> Iterator[str]:
    """Remark on a certificate that is trusted and says of itself that it is no CA's."""
    if details.version < 3:
        yield f"{where} is of version {details.version}: it is taken for a CA where it is trusted"
    elif not details.is_ca and details.is_self_signed:
        yield f"{where} is no CA: by it only the server is trusted that has this very certificate"
    if details.claims_own_signature and not details.is_self_signed:
        yield f"{where} does not bear its own signature: see that it is not damaged"


def check_path_lengths(chain: Sequence[tuple[Details, str]]) -> Iterator[Finding]:
    """Find CAs that have more CAs below them than they allow; the first is no CA of the chain."""
    for below, (details, where) in enumerate(chain[1:]):
        if details.path_length is not None and below > details.path_length:
            yield Finding(
                f"{where} allows {details.path_length} CAs below it, and has {below}",
                "Issue without the intermediate CA, or have the CA's certificate issued again.",
            )


def check_end(details: Details, where: str, role: str, profile: Profile) -> Iterator[Finding]:
    """Find why a certificate cannot be a server's, or a client's, by its own words."""
    yield from check_purpose(details, where, role)
    exchanges = set(profile.tls.key_exchanges)
    only_rsa = role == "server" and exchanges == {"RSA"} and "1.3" not in profile.tls.versions
    if not (only_rsa and details.usage is not None and details.usage.key_encipherment):
        yield from check_signing(details, where)


def check_purpose(details: Details, where: str, role: str) -> Iterator[Finding]:
    """Find that a certificate is not for that role by its extended key usage."""
    if not is_for(details, role):
        yield Finding(
            f"{where} is not for {role}s by its extended key usage",
            f"{_ISSUE} with the extended key usage {role}Auth.",
        )


def is_for(details: Details, role: str) -> bool:
    """Tell whether a certificate is for that role by its extended key usage.

    What is for any purpose the firmware takes from a server, but OpenSSL not from a client.
    """
    accepted = {role} if role == "client" else {role, "any"}
    return details.purposes is None or bool(details.purposes & accepted)


def check_signing(details: Details, where: str) -> Iterator[Finding]:
    """Find that a certificate's key may not sign a handshake."""
    if details.usage is not None and not details.usage.digital_signature:
        yield Finding(
            f"{where} may not sign a handshake by its key usage",
            f"{_ISSUE} with the key usage digitalSignature.",
        )
