"""Describe a server's certificates by what a handshake needs of them, and check that it can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.profile.signature_algorithms import list_signature_algorithms
from nodemcu_tls_build.profile.suites import list_suites

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile
    from nodemcu_tls_build.profile.suites import Suite

_MIN_RSA_BITS = 2048  # less is refused by the firmware


@dataclass(frozen=True)
class Certificate:
    """One certificate.

    `key` is a curve's name or `rsa-` with the bits; `digest` that of its signature. `more_names`
    counts what its two names have beyond one attribute each, `more_items` the same of its lists
    of host names, uses and policies: mbedTLS has a block of heap for each.
    """

    subject: str
    size: int
    key: str
    digest: str
    more_names: int = 0
    more_items: int = 0

    @property
    def rsa_bits(self) -> int | None:
        """Return the size of its RSA key, None for another kind of key."""
        return int(self.key.removeprefix("rsa-")) if self.key.startswith("rsa-") else None


@dataclass(frozen=True)
class Chain:
    """What a server sends, its own certificate first, and the CA certificates it is checked with.

    `ca` is the one of them that signed the last of the first `length` certificates.
    """

    certificates: tuple[Certificate, ...]
    trusted: tuple[Certificate, ...]
    ca: Certificate
    length: int

    @property
    def verifiers(self) -> tuple[Certificate, ...]:
        """Return whose keys the signatures are verified with, in their order."""
        return (*self.certificates[1 : self.length], self.ca)


def measure_message(chain: Chain, suite: Suite) -> int:
    """Return the bytes of the server's Certificate message (RFC 5246, 7.4.2; RFC 8446, 4.4.2)."""
    size = 4 + 3 + sum(3 + certificate.size for certificate in chain.certificates)
    return size + 1 + 2 * len(chain.certificates) if suite.version == "1.3" else size


def list_usable_suites(profile: Profile, chain: Chain) -> list[Suite]:
    """Return the suites of the profile that a server with this chain can do, in order."""
    leaf = chain.certificates[0]
    kind = "ECDSA" if leaf.rsa_bits is None else "RSA"
    usable = [
        suite
        for suite in list_suites(profile.tls)
        if suite.key_exchange is None or suite.key_exchange.rpartition("-")[2] == kind
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


def check_chain(profile: Profile, chain: Chain) -> None:
    """Raise CertificateError unless the profile's firmware can verify the chain."""
    problems = list(_list_problems(profile, chain))
    if problems:
        lines = [f"the profile {profile.name} cannot verify the chain:"]
        lines += [f"  {message}" for message, _ in problems]
        text = "\n".join(lines) if len(problems) > 1 else f"{lines[0]} {problems[0][0]}"
        raise CertificateError(text, " ".join(dict.fromkeys(hint for _, hint in problems)))


def _list_problems(profile: Profile, chain: Chain) -> Iterator[tuple[str, str]]:
    tls = profile.tls
    seen = dict.fromkeys((*chain.certificates[: chain.length], *chain.trusted))
    for certificate in seen:
        yield from _list_key_problems(profile, certificate)
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
        kind = "ECDSA" if chain.certificates[0].rsa_bits is None else "RSA"
        yield (
            f"the server has an {kind} key, for which tls.key_exchanges has nothing",
            f"Add a key exchange for {kind} (in TLS 1.3: RSA-PSS), or take another kind of key.",
        )
        return
    yield from _list_size_problems(profile, measure_message(chain, suites[0]))


def _list_key_problems(profile: Profile, certificate: Certificate) -> Iterator[tuple[str, str]]:
    tls, bits, who = profile.tls, certificate.rsa_bits, certificate.subject
    kind = "ECDSA" if bits is None else "RSA"
    hint = "Change the profile, or use certificates with another kind of key."
    if kind not in tls.signatures:
        yield f"{who} has an {kind} key, tls.signatures has no {kind}", hint
    elif bits is None and certificate.key not in tls.curves:
        yield f"{who} has a key on {certificate.key}, which tls.curves lacks", hint
    elif bits is not None and bits > profile.crypto.max_key_bits:
        most = profile.crypto.max_key_bits
        yield f"{who} has an RSA key of {bits} bits, crypto.max_key_bits is {most}", hint
    elif bits is not None and bits < _MIN_RSA_BITS:
        yield f"{who} has an RSA key of {bits} bits, the firmware wants {_MIN_RSA_BITS}", hint


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
