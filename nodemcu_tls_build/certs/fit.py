"""Find what a profile's firmware cannot use of certificates: keys, signatures, lengths, sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nodemcu_tls_build.certs.details import Details
from nodemcu_tls_build.certs.finding import Finding
from nodemcu_tls_build.certs.key_kind import KeyKind
from nodemcu_tls_build.certs.readable import check_readable
from nodemcu_tls_build.certs.strength import (
    BROKEN_DIGESTS,
    SHA2,
    check_digest,
    check_strength,
)
from nodemcu_tls_build.memmap import SECTOR
from nodemcu_tls_build.profile import Profile

STORE_ROOM = SECTOR - 32  # a sector of credentials less its header

_MOST_SIGNING_BITS = 3072  # 4,096 ended as `out of memory` in the profile `default`
_SCHEMES = {"ECDSA", "RSA", "RSA-PSS"}
_CHECKED_DIGESTS = {"SHA-224", "SHA-256", "SHA-384", "SHA-512"}  # tls_verify.c
_EXCHANGES = {"EC": ("ECDHE-ECDSA",), "RSA": ("ECDHE-RSA", "DHE-RSA", "RSA")}
_ANOTHER_KEY = "Use another kind of key, such as EC secp256r1, or add it to the profile."
_SHORTER = "Leave out what is not needed (the root), use EC keys, or raise {key}."


@dataclass(frozen=True)
class Limit:
    """A size or a number that the firmware has a limit for."""

    name: str
    key: str | None
    used: int
    limit: int

    def to_dict(self) -> dict[str, Any]:
        """Return the limit as JSON-able data."""
        return {"name": self.name, "key": self.key, "used": self.used, "limit": self.limit}


def check_key(kind: KeyKind, where: str, profile: Profile) -> Iterator[Finding]:
    """Find why the firmware could not work with a key of this kind."""
    tls = profile.tls
    most = profile.crypto.max_key_bits
    yield from check_strength(kind, where)
    if kind.name == "EC":
        if "ECDSA" not in tls.signatures:
            yield Finding(f"{where} has an EC key, tls.signatures has no ECDSA", _ANOTHER_KEY)
        elif kind.curve not in tls.curves:
            message = f"{where} has a key on {kind.curve}, which tls.curves lacks"
            yield Finding(message, _ANOTHER_KEY)
    elif kind.name == "RSA":
        if not {"RSA", "RSA-PSS"} & set(tls.signatures):
            yield Finding(f"{where} has an RSA key, tls.signatures has no RSA", _ANOTHER_KEY)
        if kind.bits > most:
            message = f"{where} has an RSA key of {kind.bits} bits, crypto.max_key_bits is {most}"
            yield Finding(message, "Use a shorter key, or raise crypto.max_key_bits.")


def check_exchange(kind: KeyKind, where: str, profile: Profile) -> Iterator[Finding]:
    """Find that no key exchange of the profile goes with a server's key."""
    tls = profile.tls
    wanted = _EXCHANGES.get(kind.name, ())
    if "1.3" in tls.versions or not wanted or set(wanted) & set(tls.key_exchanges):
        return
    message = f"{where} has an {kind.name} key, tls.key_exchanges has none for it"
    yield Finding(message, f"Add {wanted[0]} to the profile, or use another kind of key.")


def check_signature(
    details: Details, where: str, profile: Profile, *, is_anchor: bool = False
) -> Iterator[Finding]:
    """Find why the firmware could not read, or would refuse, the signature on a certificate.

    What is trusted (`is_anchor`) has its own read and not checked.
    """
    tls = profile.tls
    if details.signature not in tls.signatures:
        message = f"{where} is signed with {details.signature}, which tls.signatures lacks"
        yield Finding(message, "Have it issued by a CA with another key, or add it to the profile.")
    if details.signature not in _SCHEMES:
        return
    if not is_anchor and details.has_two_digests:
        message = f"{where} is signed with RSA-PSS and two digests, where mbedTLS takes one"
        yield Finding(message, "Have it issued again with the same digest for the mask.")
    if not is_anchor and details.digest in BROKEN_DIGESTS:
        yield from check_digest(details, where)
    elif details.digest not in tls.digests:
        remark = " and is broken" if details.digest in BROKEN_DIGESTS else ""
        message = f"{where} is signed with {details.digest}, which tls.digests lacks{remark}"
        yield Finding(message, SHA2)
    elif details.digest not in _CHECKED_DIGESTS and not is_anchor:
        yield Finding(f"{where} is signed with {details.digest}, which is refused", SHA2)


def check_usable(
    details: Details, where: str, profile: Profile, *, is_anchor: bool = False
) -> Iterator[Finding]:
    """Find why the firmware could not read a certificate, or check the signature on it."""
    yield from check_key(details.key, where, profile)
    yield from check_signature(details, where, profile, is_anchor=is_anchor)
    yield from check_readable(details, where, mbedtls=profile.mbedtls.version)


def check_signing_heap(kind: KeyKind, where: str) -> Iterator[Finding]:
    """Find that a client's key is too long to sign a handshake with in the heap there is."""
    if kind.name == "RSA" and kind.bits > _MOST_SIGNING_BITS:
        yield Finding(
            f"{where} has an RSA key of {kind.bits} bits: to sign with it takes more heap than a"
            " handshake leaves",
            f"Use an EC key (P-256), or an RSA key of {_MOST_SIGNING_BITS} bits at most.",
        )


def measure_message(certificates: Sequence[Details], profile: Profile, *, sent: bool) -> Limit:
    """Return the size of the Certificate message, `sent` by the firmware or received."""
    tls = profile.tls
    extra = 2 if "1.3" in tls.versions else 0  # no extensions, and no context
    size = 7 + extra // 2 + sum(3 + extra + len(one.der) for one in certificates)
    key, room = ("tls.out_buffer", tls.out_buffer) if sent else ("tls.in_buffer", tls.in_buffer)
    # mbedTLS sends a message in one record, and before version 3 takes one in one record only.
    is_whole = sent or not profile.mbedtls.version.startswith("3.")
    if is_whole and tls.max_fragment != "none" and tls.max_fragment < room:
        key, room = "tls.max_fragment", tls.max_fragment
    return Limit("Certificate message", key, size, room)


def measure_store(certificates: Sequence[Details], key_length: int | None) -> Limit:
    """Return how much of a sector of credentials they take, the key of that length with them."""
    size = sum(4 + len(one.der) for one in certificates)
    return Limit("Store sector", None, size + (4 + key_length if key_length else 0), STORE_ROOM)


def check_limit(limit: Limit) -> Iterator[Finding]:
    """Find that a limit is exceeded."""
    if limit.used <= limit.limit:
        return
    if limit.key is None:
        message = f"the certificates take {limit.used:,} bytes, a store sector has {limit.limit:,}"
        hint = "Leave out what is not needed, use EC keys; of a bundle: nodemcu-tls cert minimise."
        yield Finding(message, hint)
    elif limit.key == "tls.max_chain":
        message = f"the chain has {limit.used} intermediate CAs, tls.max_chain is {limit.limit}"
        yield Finding(message, "Use a shorter chain, or raise tls.max_chain.")
    else:
        message = f"the chain does not fit: its Certificate message has {limit.used:,} bytes"
        yield Finding(f"{message}, {limit.key} is {limit.limit:,}", _SHORTER.format(key=limit.key))
