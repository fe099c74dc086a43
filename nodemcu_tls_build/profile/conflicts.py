"""Find settings that are each valid but do not go together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nodemcu_tls_build.profile.suites import find_suite, list_missing, list_suites

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile, Tls


@dataclass(frozen=True)
class Conflict:
    """A dotted key, what is wrong with its value, and the key that it does not go with."""

    key: str
    message: str
    other: str | None = None


def find_conflicts(profile: Profile) -> list[Conflict]:
    """Return every conflict between the settings."""
    tls = profile.tls
    return [
        *_key_exchange_conflicts(tls),
        *_cipher_conflicts(tls),
        *_suite_conflicts(tls),
        *_size_conflicts(tls),
        *_release_conflicts(profile),
    ]


def _key_exchange_conflicts(tls: Tls) -> Iterator[Conflict]:
    for exchange in tls.key_exchanges:
        signature = exchange.rpartition("-")[2]
        if signature not in tls.signatures:
            yield _needs("key_exchanges", exchange, "signatures", signature)
        if exchange.startswith("ECDHE") and not tls.curves:
            yield Conflict(
                "tls.key_exchanges", f'"{exchange}" needs a curve in tls.curves', "tls.curves"
            )
    if "ECDSA" in tls.signatures and not tls.curves:
        yield Conflict("tls.signatures", '"ECDSA" needs a curve in tls.curves', "tls.curves")
    if "ECDSA" in tls.signatures and tls.curves == ("x25519",):
        message = '"ECDSA" needs a curve other than "x25519" in tls.curves'
        yield Conflict("tls.signatures", message, "tls.curves")
    if "RSA-PSS" in tls.signatures and "RSA" not in tls.signatures:
        yield _needs("signatures", "RSA-PSS", "signatures", "RSA")


def _cipher_conflicts(tls: Tls) -> Iterator[Conflict]:
    if "SHA-256" not in tls.digests:
        yield Conflict("tls.digests", 'TLS needs "SHA-256" for its handshake')
    if "AES" not in tls.ciphers:
        yield Conflict("tls.ciphers", 'needs "AES": the random generator is made of it')
    has_mode = {"GCM", "CBC", "CCM", "CCM_8"} & set(tls.modes)
    if "1.2" in tls.versions and not has_mode and "CHACHA20-POLY1305" not in tls.ciphers:
        yield Conflict("tls.modes", 'TLS 1.2 needs "GCM", "CCM" or "CBC": no cipher suite is left')
    if "1.3" in tls.versions:
        if not tls.curves:
            yield Conflict("tls.versions", '"1.3" needs a curve in tls.curves', "tls.curves")
        if not tls.cipher_suites and all(suite.version != "1.3" for suite in list_suites(tls)):
            message = (
                '"1.3" needs "GCM" or "CCM" in tls.modes, or "CHACHA20-POLY1305" in tls.ciphers'
            )
            yield Conflict("tls.versions", message, "tls.modes")
        if "RSA" in tls.signatures and "RSA-PSS" not in tls.signatures:
            message = '"1.3" needs "RSA-PSS" in tls.signatures when it has "RSA"'
            yield Conflict("tls.versions", message, "tls.signatures")


def _suite_conflicts(tls: Tls) -> Iterator[Conflict]:
    for name in tls.cipher_suites:
        suite = find_suite(name)
        for key, value in list_missing(suite, tls) if suite else ():
            yield _needs("cipher_suites", name, key, value)
    for version in tls.versions if tls.cipher_suites else ():
        if all(suite.version != version for suite in list_suites(tls)):
            message = f"names no suite of TLS {version}, which tls.versions has"
            yield Conflict("tls.cipher_suites", message, "tls.versions")


def _size_conflicts(tls: Tls) -> Iterator[Conflict]:
    if tls.max_fragment == "none":
        if tls.idle_buffers == "shrink":
            message = '"shrink" needs a tls.max_fragment: records of any size may come'
            yield Conflict("tls.idle_buffers", message, "tls.max_fragment")
    elif tls.max_fragment > tls.in_buffer:
        message = f"asks for records of {tls.max_fragment} bytes, tls.in_buffer holds"
        yield Conflict("tls.max_fragment", f"{message} {tls.in_buffer}", "tls.in_buffer")
    elif tls.idle_buffers == "shrink" and tls.max_fragment >= max(tls.in_buffer, tls.out_buffer):
        message = '"shrink" needs a tls.max_fragment below tls.in_buffer or tls.out_buffer'
        yield Conflict("tls.idle_buffers", message, "tls.max_fragment")


def _release_conflicts(profile: Profile) -> Iterator[Conflict]:
    """Yield what the release of mbedTLS cannot do."""
    tls, version = profile.tls, profile.mbedtls.version
    if "1.3" in tls.versions:
        if version != "3.6.6":
            message = f'"1.3" needs mbedtls.version = "3.6.6", found "{version}"'
            yield Conflict("tls.versions", message, "mbedtls.version")
        if not tls.keep_peer_certificate:
            message = '"1.3" needs tls.keep_peer_certificate = true'
            yield Conflict("tls.versions", message, "tls.keep_peer_certificate")
        if tls.versions == ("1.3",) and tls.max_fragment != "none":
            message = '"1.3" without "1.2" needs tls.max_fragment = "none": mbedTLS does not ask'
            yield Conflict("tls.versions", message, "tls.max_fragment")
    if version == "2.16.3":
        if "x25519" in tls.curves:
            message = '"x25519" needs mbedtls.version = "2.28.3" or "3.6.6"'
            yield Conflict("tls.curves", message, "mbedtls.version")
        if tls.idle_buffers != "keep":
            message = f'"{tls.idle_buffers}" needs mbedtls.version = "2.28.3" or "3.6.6"'
            yield Conflict("tls.idle_buffers", message, "mbedtls.version")
        if not tls.keep_peer_certificate:
            message = '"2.16.3" always keeps it: needs tls.keep_peer_certificate = true'
            yield Conflict("mbedtls.version", message, "tls.keep_peer_certificate")


def _needs(key: str, value: str, other: str, needed: str) -> Conflict:
    return Conflict(f"tls.{key}", f'"{value}" needs "{needed}" in tls.{other}', f"tls.{other}")
