"""Translate what a profile says of the protocol into mbedTLS's macros."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nodemcu_tls_build.profile.macro import Macro, chosen, measured, switched

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile


_IN = "the longest record that is received, in bytes"
_OUT = "the longest record that is sent, in bytes"
_EXCHANGES = {
    "ECDHE-ECDSA": "fresh keys on a curve, signed by an ECDSA key",
    "ECDHE-RSA": "fresh keys on a curve, signed by an RSA key",
    "DHE-RSA": "fresh keys without a curve, signed by an RSA key",
    "RSA": "the secret goes to the server's RSA key: recorded traffic is open to who gets that",
}


def protocol_macros(profile: Profile) -> Iterator[Macro]:
    """Yield what the handshake needs."""
    tls = profile.tls
    yield Macro("MBEDTLS_SSL_TLS_C", "the protocol")
    yield Macro("MBEDTLS_SSL_CLI_C", "the client's side of it")
    if "1.2" in tls.versions:
        yield from _tls12_macros(profile)
    if "1.3" in tls.versions:
        yield from _tls13_macros(profile)
    if tls.sni:
        yield switched("MBEDTLS_SSL_SERVER_NAME_INDICATION", "tls.sni", "a server has many names")
    if tls.alpn:
        note = "tls.alpn: the server chooses a protocol, RFC 7301"
        yield Macro("MBEDTLS_SSL_ALPN", note, key="tls.alpn")
    yield Macro("MBEDTLS_SSL_ALL_ALERT_MESSAGES", "the server is told what went wrong")
    if tls.resumption:
        yield switched(
            "MBEDTLS_SSL_SESSION_TICKETS", "tls.resumption", "the server keeps nothing, RFC 5077"
        )
    if tls.keep_peer_certificate:
        note = "the chain stays in the heap"
        yield switched("MBEDTLS_SSL_KEEP_PEER_CERTIFICATE", "tls.keep_peer_certificate", note)


def _tls12_macros(profile: Profile) -> Iterator[Macro]:
    tls = profile.tls
    yield chosen("MBEDTLS_SSL_PROTO_TLS1_2", "tls.versions", "1.2", "RFC 5246")
    for exchange in tls.key_exchanges:
        name = f"MBEDTLS_KEY_EXCHANGE_{exchange.replace('-', '_')}_ENABLED"
        yield chosen(name, "tls.key_exchanges", exchange, _EXCHANGES[exchange])
    yield Macro("MBEDTLS_SSL_EXTENDED_MASTER_SECRET", "RFC 7627, against the triple handshake")
    if "CBC" in tls.modes:
        note = "RFC 7366, against padding oracles"
        yield chosen("MBEDTLS_SSL_ENCRYPT_THEN_MAC", "tls.modes", "CBC", note)


def _tls13_macros(profile: Profile) -> Iterator[Macro]:
    def needed(name: str, note: str) -> Macro:
        return chosen(name, "tls.versions", "1.3", note)

    mode = "MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE"
    yield chosen("MBEDTLS_SSL_PROTO_TLS1_3", "tls.versions", "1.3", "RFC 8446")
    yield needed(f"{mode}_EPHEMERAL_ENABLED", "certificates and fresh keys")
    if profile.tls.resumption:
        yield needed(f"{mode}_PSK_EPHEMERAL_ENABLED", "tls.resumption: with fresh keys")
    yield needed("MBEDTLS_SSL_TLS1_3_COMPATIBILITY_MODE", "looks like 1.2 to what is in between")
    yield needed("MBEDTLS_PSA_CRYPTO_C", "mbedTLS has it on PSA alone")
    yield needed("MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG", "PSA asks the firmware's generator")
    yield needed("MBEDTLS_PSA_KEY_STORE_DYNAMIC", "no room for keys when there are none")
    yield needed("MBEDTLS_HKDF_C", "keys are derived with it")
    yield needed("MBEDTLS_PK_WRITE_C", "keys go to PSA as DER")


def record_macros(profile: Profile) -> Iterator[Macro]:
    """Yield what the record buffers need."""
    tls = profile.tls
    yield measured("MBEDTLS_SSL_IN_CONTENT_LEN", "tls.in_buffer", tls.in_buffer, _IN)
    yield measured("MBEDTLS_SSL_OUT_CONTENT_LEN", "tls.out_buffer", tls.out_buffer, _OUT)
    if tls.max_fragment != "none":
        note = "tls.max_fragment: the server is asked for it"
        yield Macro("MBEDTLS_SSL_MAX_FRAGMENT_LENGTH", note, key="tls.max_fragment")
    if tls.idle_buffers != "keep":
        for name in ("MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH", "MBEDTLS_SSL_MAX_FRAGMENT_LENGTH"):
            note = "buffers change after the handshake"
            yield chosen(name, "tls.idle_buffers", tls.idle_buffers, note)
