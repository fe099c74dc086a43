"""Translate what a profile says of digests, ciphers, keys and curves into mbedTLS's macros."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nodemcu_tls_build.profile.groups import find_group
from nodemcu_tls_build.profile.macro import Macro, chosen, measured, switched

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile

_DIGESTS = {
    "SHA-256": "MBEDTLS_SHA256_C",
    "SHA-224": "MBEDTLS_SHA224_C",
    "SHA-384": "MBEDTLS_SHA384_C",
    "SHA-512": "MBEDTLS_SHA512_C",
    "SHA-1": "MBEDTLS_SHA1_C",
    "RIPEMD-160": "MBEDTLS_RIPEMD160_C",
}
# mbedTLS 2 builds SHA-224 with SHA-256 and SHA-384 with SHA-512.
_DIGESTS_2 = _DIGESTS | {"SHA-224": "MBEDTLS_SHA256_C", "SHA-384": "MBEDTLS_SHA512_C"}

_CIPHERS = {
    "AES": ("MBEDTLS_AES_C",),
    "CAMELLIA": ("MBEDTLS_CAMELLIA_C",),
    "CHACHA20-POLY1305": ("MBEDTLS_CHACHAPOLY_C", "MBEDTLS_CHACHA20_C", "MBEDTLS_POLY1305_C"),
}

_MODES = {
    "GCM": "MBEDTLS_GCM_C",
    "CBC": "MBEDTLS_CIPHER_MODE_CBC",
    "CTR": "MBEDTLS_CIPHER_MODE_CTR",
    "CFB": "MBEDTLS_CIPHER_MODE_CFB",
    "CCM": "MBEDTLS_CCM_C",
    "CCM_8": "MBEDTLS_CCM_C",
}
_CIPHER_NOTES = {
    "AES": "of suites, and of the random generator",
    "CAMELLIA": "of suites beside AES",
    "CHACHA20-POLY1305": "of suites without AES",
}
_MODE_NOTES = {
    "GCM": "encrypts and authenticates at once",
    "CBC": "suites that older servers have",
    "CTR": "the module's documentation has it, no suite does",
    "CFB": "the module's documentation has it, no suite does",
    "CCM": "encrypts and authenticates at once, by AES alone",
    "CCM_8": "as CCM, with tags of 8 bytes",
}


def digest_macros(profile: Profile) -> Iterator[Macro]:
    """Yield what the digests need."""
    digests = profile.tls.digests
    names = _DIGESTS if profile.mbedtls.version.startswith("3.") else _DIGESTS_2
    yield Macro("MBEDTLS_MD_C", "one interface to all digests")
    for digest in digests:
        yield chosen(names[digest], "tls.digests", digest, "for suites and signatures")
    if "SHA-512" in digests and "SHA-384" not in digests:
        note = "tls.digests: without SHA-384"
        yield Macro("MBEDTLS_SHA512_NO_SHA384", note, key="tls.digests")
    if profile.crypto.small_digests:
        yield switched("MBEDTLS_SHA256_SMALLER", "crypto.small_digests", "rounds in a loop")
        if {"SHA-384", "SHA-512"} & set(digests):
            yield switched("MBEDTLS_SHA512_SMALLER", "crypto.small_digests", "rounds in a loop")


def cipher_macros(profile: Profile) -> Iterator[Macro]:
    """Yield what the ciphers and their modes need."""
    tls, crypto = profile.tls, profile.crypto
    yield Macro("MBEDTLS_CIPHER_C", "one interface to all ciphers")
    for cipher in tls.ciphers:
        for name in _CIPHERS[cipher]:
            yield chosen(name, "tls.ciphers", cipher, _CIPHER_NOTES[cipher])
    if crypto.aes_tables == "flash":
        note = "the tables stay in flash"
        yield switched("MBEDTLS_AES_ROM_TABLES", "crypto.aes_tables", note, on="flash")
    if crypto.aes_fewer_tables:
        yield switched("MBEDTLS_AES_FEWER_TABLES", "crypto.aes_fewer_tables", "one table in four")
    if crypto.small_camellia and "CAMELLIA" in tls.ciphers:
        yield switched("MBEDTLS_CAMELLIA_SMALL_MEMORY", "crypto.small_camellia", "fewer tables")
    for mode in tls.modes:
        yield chosen(_MODES[mode], "tls.modes", mode, _MODE_NOTES[mode])


def key_macros(profile: Profile) -> Iterator[Macro]:
    """Yield what RSA, DHE and keys of every kind need."""
    tls, crypto = profile.tls, profile.crypto
    yield Macro("MBEDTLS_BIGNUM_C", "the arithmetic of public keys")
    yield Macro(
        "MBEDTLS_NO_UDBL_DIVISION", "lx106: four small multiplications beat a call each time"
    )
    yield measured(
        "MBEDTLS_MPI_MAX_SIZE", "crypto.max_key_bits", crypto.max_key_bits // 8, "in bytes"
    )
    note = "heap of an exponentiation"
    yield measured("MBEDTLS_MPI_WINDOW_SIZE", "crypto.mpi_window", crypto.mpi_window, note)
    yield Macro("MBEDTLS_ASN1_PARSE_C", "keys, signatures and certificates are ASN.1")
    yield Macro("MBEDTLS_ASN1_WRITE_C", "signatures are written as ASN.1")
    yield Macro("MBEDTLS_OID_C", "names of algorithms in ASN.1")
    yield Macro("MBEDTLS_PK_C", "one interface to all kinds of keys")
    yield Macro("MBEDTLS_PK_PARSE_C", "certificates hold public keys")
    if "RSA" in tls.signatures:
        yield chosen("MBEDTLS_RSA_C", "tls.signatures", "RSA", "keys of servers and of CAs")
        yield chosen("MBEDTLS_PKCS1_V15", "tls.signatures", "RSA", "as most certificates have it")
    if "RSA-PSS" in tls.signatures:
        yield chosen("MBEDTLS_PKCS1_V21", "tls.signatures", "RSA-PSS", "the padding of it")
    if "DHE-RSA" in tls.key_exchanges and "1.2" in tls.versions:
        yield chosen("MBEDTLS_DHM_C", "tls.key_exchanges", "DHE-RSA", "its arithmetic")


def curve_macros(profile: Profile) -> Iterator[Macro]:
    """Yield what elliptic curves need."""
    tls = profile.tls
    if tls.curves:
        yield from _arithmetic_macros(profile)
    for exchange in tls.key_exchanges:
        if exchange.startswith("ECDHE"):
            yield chosen("MBEDTLS_ECDH_C", "tls.key_exchanges", exchange, "their arithmetic")
    if "1.3" in tls.versions:
        yield chosen("MBEDTLS_ECDH_C", "tls.versions", "1.3", "the only key exchange of it")
    if "ECDSA" in tls.signatures:
        yield chosen("MBEDTLS_ECDSA_C", "tls.signatures", "ECDSA", "keys of servers and of CAs")
        note = "a weak random source must not give a key away"
        yield chosen("MBEDTLS_ECDSA_DETERMINISTIC", "tls.signatures", "ECDSA", note)
        yield chosen("MBEDTLS_HMAC_DRBG_C", "tls.signatures", "ECDSA", "made deterministic by it")
        if profile.mbedtls.version == "2.16.3":
            note = "mbedTLS 2.16 has no ECDSA in TLS without it"
            yield chosen("MBEDTLS_ECDH_C", "tls.signatures", "ECDSA", note)


def _arithmetic_macros(profile: Profile) -> Iterator[Macro]:
    crypto = profile.crypto
    yield Macro("MBEDTLS_ECP_C", "tls.curves: the arithmetic of all of them", key="tls.curves")
    for curve in profile.tls.curves:
        name = f"MBEDTLS_ECP_DP_{find_group(curve).curve_macro}_ENABLED"
        yield chosen(name, "tls.curves", curve, "to agree on keys, and in certificates")
    if crypto.nist_reduction:
        note = "fast reduction for the secp r1 curves"
        yield switched("MBEDTLS_ECP_NIST_OPTIM", "crypto.nist_reduction", note)
    note = "heap of a multiplication"
    yield measured("MBEDTLS_ECP_WINDOW_SIZE", "crypto.ecp_window", crypto.ecp_window, note)
    note = "precomputed multiples of the base point"
    value = int(crypto.ecp_fixed_point)
    yield measured("MBEDTLS_ECP_FIXED_POINT_OPTIM", "crypto.ecp_fixed_point", value, note)
