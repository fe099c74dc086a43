"""Name the elliptic curves of TLS as the IANA registry and as mbedTLS do.

Source: the IANA registry "TLS Supported Groups"; RFC 7027, 8422.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from nodemcu_tls_build.profile.suites import list_suites

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Tls


@dataclass(frozen=True)
class Group:
    """One curve: its IANA code and name, and the names of mbedTLS's macros for it."""

    code: int
    name: str
    iana_macro: str  # behind MBEDTLS_SSL_IANA_TLS_GROUP_
    curve_macro: str  # behind MBEDTLS_ECP_DP_

    @property
    def is_in_1_3(self) -> bool:
        """Tell whether TLS 1.3 has the group."""
        return self.name in _IN_TLS_1_3

    @property
    def share_bytes(self) -> int:
        """Return the bytes of a key for TLS 1.3 (RFC 8446, section 4.2.8.2)."""
        return _IN_TLS_1_3[self.name]


_GROUPS = (
    Group(0x0016, "secp256k1", "SECP256K1", "SECP256K1"),
    Group(0x0017, "secp256r1", "SECP256R1", "SECP256R1"),
    Group(0x0018, "secp384r1", "SECP384R1", "SECP384R1"),
    Group(0x0019, "secp521r1", "SECP521R1", "SECP521R1"),
    Group(0x001A, "brainpoolP256r1", "BP256R1", "BP256R1"),
    Group(0x001B, "brainpoolP384r1", "BP384R1", "BP384R1"),
    Group(0x001C, "brainpoolP512r1", "BP512R1", "BP512R1"),
    Group(0x001D, "x25519", "X25519", "CURVE25519"),
)
# RFC 8446, section 4.2.7; each with the bytes of a key.
_IN_TLS_1_3 = {"secp256r1": 65, "secp384r1": 97, "secp521r1": 133, "x25519": 32}


@cache
def find_group(curve: str) -> Group:
    """Return the group of a curve."""
    return next(group for group in _GROUPS if group.name == curve)


def list_groups_of_1_3() -> tuple[Group, ...]:
    """Return the groups that TLS 1.3 has."""
    return tuple(group for group in _GROUPS if group.is_in_1_3)


def list_groups(tls: Tls) -> tuple[Group, ...]:
    """Return the groups that are offered, in order: none when no cipher suite needs one."""
    if any((suite.key_exchange or "").startswith("ECDHE") for suite in list_suites(tls)):
        return tuple(map(find_group, tls.curves))
    if "1.3" in tls.versions:
        return tuple(group for group in map(find_group, tls.curves) if group.is_in_1_3)
    return ()
