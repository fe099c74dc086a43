"""Translate a profile into mbedTLS's configuration macros, one line of reason each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, get_args

from nodemcu_tls_build.profile.firmware_macros import list_firmware_macros, list_suite_macros
from nodemcu_tls_build.profile.load import load_profile
from nodemcu_tls_build.profile.macro import Macro, Section, measured, switched
from nodemcu_tls_build.profile.macros_crypto import (
    cipher_macros,
    curve_macros,
    digest_macros,
    key_macros,
)
from nodemcu_tls_build.profile.macros_tls import protocol_macros, record_macros
from nodemcu_tls_build.profile.model import Profile
from nodemcu_tls_build.profile.values import Cipher, Curve, Digest, KeyExchange, Mode, Signature

# What some releases have and others have not, or do without being asked.
_ONLY_IN = {
    "MBEDTLS_PLATFORM_MS_TIME_ALT": {"3.6.6"},
    "MBEDTLS_X509_REMOVE_INFO": {"3.6.6"},
    "MBEDTLS_X509_CHECK_KEY_USAGE": {"2.28.3", "2.16.3"},
    "MBEDTLS_X509_CHECK_EXTENDED_KEY_USAGE": {"2.28.3", "2.16.3"},
    "MBEDTLS_SHA512_NO_SHA384": {"2.28.3"},
    "MBEDTLS_SHA512_SMALLER": {"3.6.6", "2.28.3"},
    "MBEDTLS_SSL_KEEP_PEER_CERTIFICATE": {"3.6.6", "2.28.3"},
    "MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH": {"3.6.6", "2.28.3"},
}


def list_macros(profile: Profile) -> list[Section]:
    """Return the macros that make the profile's mbedTLS what the profile says."""
    sections = [
        ("Platform", _platform_macros(profile)),
        ("Random numbers", _random_macros()),
        ("Digests", digest_macros(profile)),
        ("Ciphers", cipher_macros(profile)),
        ("Large numbers and public keys", key_macros(profile)),
        ("Elliptic curves", curve_macros(profile)),
        ("Certificates", _certificate_macros(profile)),
        ("TLS", protocol_macros(profile)),
        ("Record sizes", record_macros(profile)),
        ("Cipher suites", list_suite_macros(profile)),
        ("Read by the firmware, not by mbedTLS", list_firmware_macros(profile)),
    ]
    version = profile.mbedtls.version
    return [
        Section(title, kept)
        for title, macros in sections
        if (kept := tuple(_merge(_keep_known(macros, version))))
    ]


@cache
def find_choices(version: str) -> dict[str, Macro]:
    """Return by name every macro that some profile for this mbedTLS sets."""
    default = load_profile("default")
    most: dict[str, Any] = {
        "versions": ("1.2", "1.3") if version.startswith("3.") else ("1.2",),
        "key_exchanges": get_args(KeyExchange),
        "ciphers": get_args(Cipher),
        "modes": get_args(Mode),
        "digests": get_args(Digest),
        "signatures": get_args(Signature),
        "curves": get_args(Curve),
        "alpn": ("any",),
        "idle_buffers": "release",
        "max_fragment": 512,
        **dict.fromkeys(("resumption", "sni", "verify", "keep_peer_certificate"), True),
        "verify_dates": False,
    }
    updates: list[dict[str, Any]] = [{}, {"digests": ("SHA-512",)}]
    found: dict[str, Macro] = {}
    for update in updates:
        profile = default.model_copy(
            update={
                "mbedtls": default.mbedtls.model_copy(update={"version": version, "debug": True}),
                "tls": default.tls.model_copy(update=most | update),
            }
        )
        for section in list_macros(profile):
            found = {macro.name: macro for macro in section.macros} | found
    return found


def _keep_known(macros: Iterable[Macro], version: str) -> Iterator[Macro]:
    return (macro for macro in macros if version in _ONLY_IN.get(macro.name, {version}))


def _merge(macros: Iterable[Macro]) -> Iterable[Macro]:
    """Join macros of one name, which have several reasons of the same key."""
    by_name: dict[str, Macro] = {}
    for macro in macros:
        first = by_name.setdefault(macro.name, macro)
        if first is not macro and first.key == macro.key and isinstance(macro.choice, str):
            asked = f"{first.key}: {first.choice}"
            reason = first.reason.replace(asked, f"{asked}, {macro.choice}", 1)
            by_name[macro.name] = Macro(first.name, reason, first.value, first.key, first.choice)
    return by_name.values()


def _platform_macros(profile: Profile) -> Iterator[Macro]:
    yield Macro("MBEDTLS_PLATFORM_C", "the firmware puts functions of the board in place")
    yield Macro("MBEDTLS_PLATFORM_MEMORY", "the firmware notes when the heap is exhausted")
    yield Macro("MBEDTLS_HAVE_TIME", "the board has a clock")
    yield Macro("MBEDTLS_HAVE_TIME_DATE", "certificates are valid for a time only")
    yield Macro("MBEDTLS_PLATFORM_TIME_ALT", "the firmware's time() is never before its build")
    yield Macro("MBEDTLS_PLATFORM_GMTIME_R_ALT", "the firmware's dates go on after 2038")
    yield Macro("MBEDTLS_PLATFORM_MS_TIME_ALT", "the firmware defines mbedtls_ms_time()")
    if profile.mbedtls.debug:
        yield switched("MBEDTLS_DEBUG_C", "mbedtls.debug", "tls.setDebug turns it on")


def _random_macros() -> Iterator[Macro]:
    yield Macro("MBEDTLS_NO_PLATFORM_ENTROPY", "no operating system is there to ask")
    yield Macro("MBEDTLS_CTR_DRBG_C", "the generator, seeded by the firmware from the board")


def _certificate_macros(profile: Profile) -> Iterator[Macro]:
    tls = profile.tls
    yield Macro("MBEDTLS_BASE64_C", "scripts give certificates and keys as PEM")
    yield Macro("MBEDTLS_X509_USE_C", "what certificates of all kinds have in common")
    yield Macro("MBEDTLS_X509_CRT_PARSE_C", "the server's chain and the CA")
    note = "all of a chain has to fit a record"
    yield measured("MBEDTLS_X509_MAX_INTERMEDIATE_CA", "tls.max_chain", tls.max_chain, note)
    yield Macro("MBEDTLS_X509_CHECK_KEY_USAGE", "a certificate serves what it was issued for")
    yield Macro("MBEDTLS_X509_CHECK_EXTENDED_KEY_USAGE", "a server's certificate is a server's")
    yield Macro("MBEDTLS_X509_REMOVE_INFO", "no texts for people about certificates")
    if "RSA-PSS" in tls.signatures:
        note = "tls.signatures: RSA-PSS, in certificates"
        yield Macro("MBEDTLS_X509_RSASSA_PSS_SUPPORT", note, key="tls.signatures", choice="RSA-PSS")
