"""Say what a profile's firmware offers to a server: what its ClientHello has in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nodemcu_tls_build.profile.groups import Group, list_groups
from nodemcu_tls_build.profile.signature_algorithms import (
    SignatureAlgorithm,
    list_signature_algorithms,
)
from nodemcu_tls_build.profile.suites import Suite, list_suites

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile, Tls

# Codes of the IANA registry "TLS ExtensionType Values".
EXTENSIONS = {
    "server_name": 0,
    "max_fragment_length": 1,
    "supported_groups": 10,
    "ec_point_formats": 11,
    "signature_algorithms": 13,
    "application_layer_protocol_negotiation": 16,
    "encrypt_then_mac": 22,
    "extended_master_secret": 23,
    "session_ticket": 35,
    "supported_versions": 43,
    "psk_key_exchange_modes": 45,
    "key_share": 51,
}

# Not a suite, but sent as one: renegotiation is not to be had (RFC 5746, section 3.3).
RENEGOTIATION_SCSV = 0x00FF


@dataclass(frozen=True)
class Offer:
    """What a first ClientHello offers; lists in their order, record sizes in bytes.

    `extensions` are in no order, and without what only a resumed session adds. `max_fragment` is
    the record size that is asked for, None when none is.
    """

    versions: tuple[str, ...]
    suites: tuple[Suite, ...]
    groups: tuple[Group, ...]
    signature_algorithms: tuple[SignatureAlgorithm, ...]
    alpn: tuple[str, ...]
    extensions: frozenset[str]
    max_fragment: int | None
    in_buffer: int
    out_buffer: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data, codes beside the names."""
        named: dict[str, tuple[Suite | Group | SignatureAlgorithm, ...]] = {
            "cipher_suites": self.suites,
            "groups": self.groups,
            "signature_algorithms": self.signature_algorithms,
        }
        codes = sorted((EXTENSIONS[name], name) for name in self.extensions)
        return {
            "versions": list(self.versions),
            **{
                key: [{"name": item.name, "code": item.code} for item in items]
                for key, items in named.items()
            },
            "alpn": list(self.alpn),
            "extensions": [{"name": name, "code": code} for code, name in codes],
            "max_fragment": self.max_fragment,
            "in_buffer": self.in_buffer,
            "out_buffer": self.out_buffer,
        }


def describe_offer(profile: Profile) -> Offer:
    """Return what the firmware of a profile offers to a server that it calls by name."""
    tls = profile.tls
    return Offer(
        versions=tuple(sorted(tls.versions, reverse=True)),
        suites=list_suites(tls),
        groups=list_groups(tls),
        signature_algorithms=list_signature_algorithms(tls),
        alpn=tls.alpn,
        extensions=frozenset(_list_extensions(tls)),
        max_fragment=tls.max_fragment
        if tls.max_fragment != "none" and "1.2" in tls.versions
        else None,
        in_buffer=tls.in_buffer,
        out_buffer=tls.out_buffer,
    )


def measure_hello(profile: Profile, *, host: int = 64, ticket: int = 0) -> int:
    """Return the bytes of a ClientHello (RFC 5246, 7.4.1.2; RFC 8446, 4.1.2).

    With lengths in bytes: of the server's name, and of a session's ticket; 0 for a first hello.
    """
    offer = describe_offer(profile)
    has_1_3 = "1.3" in offer.versions
    fixed = 4 + 2 + 32 + 1 + 2 + 2 + 2  # header, version, random, lengths, compression
    fixed += 32 if has_1_3 or ticket else 0  # a session ID, as TLS 1.2 would have it
    contents = {
        "server_name": 2 + 1 + 2 + host,
        "max_fragment_length": 1,
        "supported_groups": 2 + 2 * len(offer.groups),
        "ec_point_formats": 2,
        "signature_algorithms": 2 + 2 * len(offer.signature_algorithms),
        "application_layer_protocol_negotiation": 2 + sum(1 + len(name) for name in offer.alpn),
        "session_ticket": 0 if has_1_3 else ticket,
        "supported_versions": 1 + 2 * len(offer.versions),
        "psk_key_exchange_modes": 1 + 2,  # mbedTLS names one that it is not built with, too
        "key_share": 2 + 2 + 2 + _measure_share(offer),
    }
    extensions = sum(4 + contents.get(name, 0) for name in offer.extensions)
    if has_1_3 and ticket:
        binder = 48 if "SHA-384" in profile.tls.digests else 32
        extensions += 4 + (2 + 2 + ticket + 4) + (2 + 1 + binder)  # pre_shared_key
    return fixed + 2 * (len(offer.suites) + 1) + extensions  # with RENEGOTIATION_SCSV


def _measure_share(offer: Offer) -> int:
    """Return the bytes of the key in a hello of TLS 1.3, which is of the first group."""
    return next((group.share_bytes for group in offer.groups if group.is_in_1_3), 0)


def _list_extensions(tls: Tls) -> Iterator[str]:
    yield "signature_algorithms"
    if tls.sni:
        yield "server_name"
    if tls.alpn:
        yield "application_layer_protocol_negotiation"
    if list_groups(tls):
        yield "supported_groups"
    if "1.2" in tls.versions:
        yield from _list_extensions_of_1_2(tls)
    if "1.3" in tls.versions:
        yield "supported_versions"
        yield "key_share"
        if tls.resumption:
            yield "psk_key_exchange_modes"


def _list_extensions_of_1_2(tls: Tls) -> Iterator[str]:
    yield "extended_master_secret"
    if any((suite.key_exchange or "").startswith("ECDHE") for suite in list_suites(tls)):
        yield "ec_point_formats"
    if tls.max_fragment != "none":
        yield "max_fragment_length"
    if "CBC" in tls.modes:
        yield "encrypt_then_mac"
    if tls.resumption:
        yield "session_ticket"
