"""Find settings that are each valid but do not go together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nodemcu_tls_build.profile.conflict import Conflict, lacks
from nodemcu_tls_build.profile.dead_ends import find_dead_ends
from nodemcu_tls_build.profile.offer import measure_hello
from nodemcu_tls_build.profile.suites import find_suite, list_missing

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile, Tls

# What a ClientHello has room for in bytes: a host name of usual length, and a ticket of OpenSSL's.
_HOST = 64
_TICKET = 224


def find_conflicts(profile: Profile) -> list[Conflict]:
    """Return every conflict between the settings."""
    tls = profile.tls
    return [
        *_key_exchange_conflicts(tls),
        *_cipher_conflicts(tls),
        *_suite_conflicts(tls),
        *find_dead_ends(tls),
        *_size_conflicts(profile),
        *_release_conflicts(profile),
    ]


def _key_exchange_conflicts(tls: Tls) -> Iterator[Conflict]:
    exchanges = tls.key_exchanges if "1.2" in tls.versions else ()  # TLS 1.3 has one of its own
    for exchange in exchanges:
        signature = exchange.rpartition("-")[2]
        if signature not in tls.signatures:
            yield lacks("key_exchanges", exchange, "signatures", signature)
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
        yield lacks("signatures", "RSA-PSS", "signatures", "RSA")


def _cipher_conflicts(tls: Tls) -> Iterator[Conflict]:
    if "SHA-256" not in tls.digests:
        yield Conflict("tls.digests", 'TLS needs "SHA-256" for its handshake')
    if "AES" not in tls.ciphers:
        yield Conflict("tls.ciphers", 'needs "AES": the random generator is made of it')


def _suite_conflicts(tls: Tls) -> Iterator[Conflict]:
    for name in tls.cipher_suites:
        suite = find_suite(name)
        for key, value in list_missing(suite, tls) if suite else ():
            yield lacks("cipher_suites", name, key, value)


def _size_conflicts(profile: Profile) -> Iterator[Conflict]:
    tls = profile.tls
    yield from _hello_conflicts(profile)
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


def _hello_conflicts(profile: Profile) -> Iterator[Conflict]:
    """Yield what is missing in the send buffer: a ClientHello is in one record."""
    tls, ticket = profile.tls, _TICKET if profile.tls.resumption else 0
    hello = measure_hello(profile, host=_HOST, ticket=ticket)
    if hello > tls.out_buffer:
        parts = [f"a host name of {_HOST}"] if tls.sni else []
        parts += [f"a ticket of {ticket}"] if ticket else []
        told = f", with {' and '.join(parts)}" if parts else ""
        message = f"{tls.out_buffer:,} bytes hold no ClientHello of {hello:,}{told}"
        yield Conflict("tls.out_buffer", message, "tls.alpn" if tls.alpn else "tls.versions")


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
