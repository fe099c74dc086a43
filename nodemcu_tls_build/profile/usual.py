"""Say which handshake a profile makes with a server that has the certificate it likes best.

That is one with an ECDSA key, on P-256 if the profile has that, or one with an RSA key of 2048
bits; issued by a CA with a key like it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nodemcu_tls_build.profile.chain import (
    Certificate,
    Chain,
    find_room,
    list_usable_suites,
    measure_message,
)
from nodemcu_tls_build.profile.dead_ends import list_idle_exchanges
from nodemcu_tls_build.profile.groups import list_groups
from nodemcu_tls_build.profile.signature_algorithms import list_signature_algorithms
from nodemcu_tls_build.profile.suites import list_suites

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile, Tls

_RSA = "rsa-2048"
_FAVOURITE = "secp256r1"


@dataclass(frozen=True)
class UsualHandshake:
    """A key exchange, the group that it is done in, if in one, and the server's kind of key."""

    exchange: str
    group: str | None
    key: str

    @property
    def kind(self) -> str | None:
        """Return the kind of arithmetic, as the table of costs has it; None for others."""
        if self.exchange.startswith("ECDHE"):
            return {_FAVOURITE: "ecdsa", _RSA: "rsa"}.get(self.key)
        return "dhe" if self.exchange == "DHE-RSA" else None

    def __str__(self) -> str:
        key = "" if self.key in {_FAVOURITE, _RSA} else f", a key on {self.key}"
        return f"{self.exchange}{'' if self.group is None else f' on {self.group}'}{key}"


def find_usual(profile: Profile) -> UsualHandshake:
    """Return the handshake that a profile is for first of all."""
    tls = profile.tls
    if "1.3" in tls.versions:
        key = _find_key_of_1_3(tls)
        groups = [group.name for group in list_groups(tls) if group.is_in_1_3]
        return UsualHandshake(f"ECDHE-{'RSA' if key == _RSA else 'ECDSA'}", groups[0], key)
    idle = list_idle_exchanges(tls)
    found = [it.key_exchange for it in list_suites(tls) if it.key_exchange not in idle]
    exchange = "ECDHE-ECDSA" if "ECDHE-ECDSA" in found else found[0] or ""
    group = list_groups(tls)[0].name if exchange.startswith("ECDHE") else None
    key = next(_list_curves(tls)) if exchange == "ECDHE-ECDSA" else _RSA
    return UsualHandshake(exchange, group, key)


def list_usual_chains(profile: Profile) -> Iterator[Chain]:
    """Yield the shortest chains that a profile could meet, one for each kind of key."""
    tls = profile.tls
    keys = [*_list_curves(tls)] if "ECDSA" in tls.signatures else []
    for key in [*keys, *([_RSA] if "RSA" in tls.signatures else [])]:
        yield make_chain(key)


def describe_misfit(profile: Profile) -> str | None:
    """Say that no usual certificate fits the buffers; None when one does."""
    room = find_room(profile)
    sizes = {}
    for chain in list_usual_chains(profile):
        suites = list_usable_suites(profile, chain)
        if suites:
            key = chain.certificates[0].key
            sizes["RSA of 2048 bits" if key == _RSA else key] = measure_message(chain, suites[0])
    if not sizes or min(sizes.values()) <= room:
        return None
    key = "tls.in_buffer" if room == profile.tls.in_buffer else "tls.max_fragment"
    told = ", ".join(f"{size:,} with {kind}" for kind, size in sizes.items())
    return (
        f"{key}: no usual certificate fits: {room:,} bytes are there for a server's, which are"
        f" {told}, even with nothing but a short name in it"
    )


def make_chain(key: str) -> Chain:
    """Return a chain of one certificate and of a CA like it, each as short as they usually are."""
    size = 800 if key == _RSA else 450 + 4 * (_count_bytes(key) - 32)
    server = Certificate("the server", size, key, "SHA-256")
    ca = Certificate("the CA", size, key, "SHA-256")
    return Chain((server,), (ca,), ca, 1)


def _find_key_of_1_3(tls: Tls) -> str:
    curves = [algorithm.curve for algorithm in list_signature_algorithms(tls)]
    return next((curve for curve in curves if curve is not None), _RSA)


def _list_curves(tls: Tls) -> Iterator[str]:
    """Yield the curves that a key can be on, the favourite first."""
    curves = [curve for curve in tls.curves if curve != "x25519"]
    yield from sorted(curves, key=lambda curve: curve != _FAVOURITE)


def _count_bytes(curve: str) -> int:
    bits = re.search(r"[0-9]{3}", curve)
    return 0 if bits is None else (int(bits[0]) + 7) // 8
