"""Describe a server's certificates by what a handshake needs of them, and check that it can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.profile.signature_algorithms import list_signature_algorithms
from nodemcu_tls_build.profile.suites import list_suites

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile
    from nodemcu_tls_build.profile.suites import Suite

_MIN_RSA_BITS = 2048  # less is refused by the firmware
# Of a Certificate message beside the certificates, and beside each, at most (that of TLS 1.3).
_AROUND, _AROUND_EACH = 4 + 3 + 1 + 3 + 2, 3 + 2
_KEY_HINT = "Change the profile, or use certificates with another kind of key."


@dataclass(frozen=True)
class Certificate:
    """One certificate.

    `key` is a curve's name or `rsa-` with the bits; `digest` that of its signature, and `signature`
    the kind of that, None for the kind of its own key. `more_names`
    counts what its two names have beyond one attribute each, `more_items` the same of its lists
    of host names, uses and policies: mbedTLS has a block of heap for each. The dates are None for
    a certificate that is not at hand.
    """

    subject: str
    size: int
    key: str
    digest: str
    signature: str | None = None
    more_names: int = 0
    more_items: int = 0
    not_before: datetime | None = None
    not_after: datetime | None = None

    @property
    def rsa_bits(self) -> int | None:
        """Return the size of its RSA key, None for another kind of key."""
        return int(self.key.removeprefix("rsa-")) if self.key.startswith("rsa-") else None

    @property
    def kind(self) -> str:
        """Return the kind of its key, by the names of signatures."""
        return "ECDSA" if self.rsa_bits is None else "RSA"


@dataclass(frozen=True)
class Chain:
    """What a server sends, its own certificate first, and the CA certificates it is checked with.

    The first `length` certificates lead to `ca`, which signed the last of them; the others are
    sent, but nothing is verified with them.
    """

    certificates: tuple[Certificate, ...]
    trusted: tuple[Certificate, ...]
    ca: Certificate
    length: int

    def cut(self, room: int) -> Chain:
        """Return it with a server's certificate short enough for a message of so many bytes."""
        server, *others = self.certificates
        most = room - _AROUND - sum(one.size + _AROUND_EACH for one in others)
        return replace(self, certificates=(replace(server, size=min(server.size, most)), *others))

    @property
    def verifiers(self) -> tuple[Certificate, ...]:
        """Return whose keys the signatures are verified with, in their order."""
        return (*self.certificates[1 : self.length], self.ca)


def list_parsed(profile: Profile, chain: Chain) -> list[Certificate]:
    """Return what mbedTLS keeps of what is sent: all but certificates of unknown signatures."""
    tls = profile.tls
    others = [
        one
        for one in chain.certificates[chain.length :]
        if (one.signature or one.kind) in tls.signatures and one.digest in tls.digests
    ]
    return [*chain.certificates[: chain.length], *others]


def measure_message(chain: Chain, suite: Suite) -> int:
    """Return the bytes of the server's Certificate message (RFC 5246, 7.4.2; RFC 8446, 4.4.2)."""
    size = 4 + 3 + sum(3 + certificate.size for certificate in chain.certificates)
    return size + 1 + 2 * len(chain.certificates) if suite.version == "1.3" else size


def find_room(profile: Profile) -> int:
    """Return the bytes that the server's Certificate message can have."""
    tls = profile.tls
    if profile.mbedtls.version.startswith("3.") or tls.max_fragment == "none":
        return tls.in_buffer
    return min(tls.in_buffer, tls.max_fragment)  # it has to come in one record


def list_usable_suites(profile: Profile, chain: Chain) -> list[Suite]:
    """Return the suites of the profile that a server with this chain can do, in order."""
    leaf = chain.certificates[0]
    usable = [
        suite
        for suite in list_suites(profile.tls)
        if suite.key_exchange is None or suite.key_exchange.rpartition("-")[2] == leaf.kind
    ]
    if not _can_sign_1_3(profile, leaf):
        usable = [suite for suite in usable if suite.version != "1.3"]
    return usable


def _can_sign_1_3(profile: Profile, leaf: Certificate) -> bool:
    """Tell whether a signature of TLS 1.3 that is offered is for this key (RFC 8446, 4.2.3)."""
    return any(
        algorithm.signature == "RSA-PSS" if leaf.rsa_bits else algorithm.curve == leaf.key
        for algorithm in list_signature_algorithms(profile.tls)
    )


def check_chain(profile: Profile, chain: Chain, *, now: datetime | None = None) -> None:
    """Raise CertificateError unless the profile's firmware can verify the chain.

    With `now`, it has to be valid at that time, too.
    """
    problems = list(_list_problems(profile, chain))
    if now is not None:
        problems += list_date_problems(profile, chain, now)
    if problems:
        lines = [f"the profile {profile.name} cannot verify the chain:"]
        lines += [f"  {message}" for message, _ in problems]
        text = "\n".join(lines) if len(problems) > 1 else f"{lines[0]} {problems[0][0]}"
        raise CertificateError(text, " ".join(dict.fromkeys(hint for _, hint in problems)))


def list_date_problems(profile: Profile, chain: Chain, now: datetime) -> list[tuple[str, str]]:
    """Return what is not valid at a time, each with a hint; nothing where dates do not count."""
    problems = []
    today = f"and it is {now:%Y-%m-%d %H:%M} UTC"
    way = (*chain.certificates[: chain.length], chain.ca) if profile.tls.verify_dates else ()
    for one in dict.fromkeys(way):
        if one.not_after is not None and now > one.not_after:
            message = f"{one.subject} expired on {one.not_after:%Y-%m-%d %H:%M}, {today}"
            problems.append((message, "Have it issued again."))
        if one.not_before is not None and now < one.not_before:
            message = f"{one.subject} is valid from {one.not_before:%Y-%m-%d %H:%M} on, {today}"
            problems.append((message, "Check this machine's clock, or wait until it is valid."))
    return problems


def _list_problems(profile: Profile, chain: Chain) -> Iterator[tuple[str, str]]:
    tls = profile.tls
    for certificate in dict.fromkeys((*chain.certificates[: chain.length], *chain.trusted)):
        yield from _list_key_problems(profile, certificate)
    for certificate in dict.fromkeys(list_parsed(profile, chain)[chain.length :]):
        yield from _list_parse_problems(profile, certificate)
    for certificate in chain.certificates[: chain.length]:
        if certificate.digest not in tls.digests or certificate.digest == "SHA-1":
            yield (
                f"{certificate.subject} is signed with {certificate.digest}",
                "Add the digest to tls.digests, unless it is SHA-1, or have it issued anew.",
            )
    if chain.length - 1 > tls.max_chain:
        yield (
            f"it has {chain.length - 1} intermediate CAs, tls.max_chain allows {tls.max_chain}",
            "Raise tls.max_chain.",
        )
    suites = list_usable_suites(profile, chain)
    if not suites:
        kind = chain.certificates[0].kind
        yield (
            f"the server has an {kind} key, for which tls.key_exchanges has nothing",
            f"Add a key exchange for {kind} (in TLS 1.3: RSA-PSS), or take another kind of key.",
        )
        return
    yield from _list_size_problems(profile, measure_message(chain, suites[0]))


def _list_key_problems(profile: Profile, certificate: Certificate) -> Iterator[tuple[str, str]]:
    bits, who = certificate.rsa_bits, certificate.subject
    unreadable = list(_list_parse_problems(profile, certificate))
    yield from unreadable
    if unreadable or bits is None:
        return
    if bits > profile.crypto.max_key_bits:
        most = profile.crypto.max_key_bits
        yield f"{who} has an RSA key of {bits} bits, crypto.max_key_bits is {most}", _KEY_HINT
    elif bits < _MIN_RSA_BITS:
        yield f"{who} has an RSA key of {bits} bits, the firmware wants {_MIN_RSA_BITS}", _KEY_HINT


def _list_parse_problems(profile: Profile, certificate: Certificate) -> Iterator[tuple[str, str]]:
    """Yield why mbedTLS cannot read a certificate; no handshake goes on then."""
    tls, who, kind = profile.tls, certificate.subject, certificate.kind
    if kind not in tls.signatures:
        yield f"{who} has an {kind} key, tls.signatures has no {kind}", _KEY_HINT
    elif certificate.rsa_bits is None and certificate.key not in tls.curves:
        yield f"{who} has a key on {certificate.key}, which tls.curves lacks", _KEY_HINT


def _list_size_problems(profile: Profile, message: int) -> Iterator[tuple[str, str]]:
    tls = profile.tls
    if message > tls.in_buffer:
        yield (
            f"its message takes {message} bytes, tls.in_buffer has {tls.in_buffer}",
            "Raise tls.in_buffer, or have the server send fewer certificates.",
        )
    elif (
        not profile.mbedtls.version.startswith("3.")
        and tls.max_fragment != "none"
        and message > tls.max_fragment
    ):
        yield (
            f"its message takes {message} bytes, more than one record of tls.max_fragment, and"
            f" mbedTLS {profile.mbedtls.version} puts none together again",
            "Raise tls.max_fragment, or take mbedTLS 3.6.",
        )
