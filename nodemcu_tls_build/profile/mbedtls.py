"""Translate a profile into mbedTLS's configuration macros, one line of reason each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nodemcu_tls_build.profile.model import Profile


@dataclass(frozen=True)
class Macro:
    """One `#define`, with a value or without."""

    name: str
    reason: str
    value: str | None = None


@dataclass(frozen=True)
class Section:
    """Macros that belong together."""

    title: str
    macros: tuple[Macro, ...]


# What one release has and the other has not, or does without being asked.
_ONLY_IN = {
    "MBEDTLS_PLATFORM_MS_TIME_ALT": "3.6.6",
    "MBEDTLS_X509_REMOVE_INFO": "3.6.6",
    "MBEDTLS_X509_CHECK_KEY_USAGE": "2.28.3",
    "MBEDTLS_X509_CHECK_EXTENDED_KEY_USAGE": "2.28.3",
}

# 2.28 builds SHA-224 with SHA-256 and SHA-384 with SHA-512.
_DIGESTS = {
    "3.6.6": {
        "SHA-256": "MBEDTLS_SHA256_C",
        "SHA-224": "MBEDTLS_SHA224_C",
        "SHA-384": "MBEDTLS_SHA384_C",
        "SHA-512": "MBEDTLS_SHA512_C",
        "SHA-1": "MBEDTLS_SHA1_C",
        "RIPEMD-160": "MBEDTLS_RIPEMD160_C",
    },
    "2.28.3": {
        "SHA-256": "MBEDTLS_SHA256_C",
        "SHA-224": "MBEDTLS_SHA256_C",
        "SHA-384": "MBEDTLS_SHA512_C",
        "SHA-512": "MBEDTLS_SHA512_C",
        "SHA-1": "MBEDTLS_SHA1_C",
        "RIPEMD-160": "MBEDTLS_RIPEMD160_C",
    },
}

_CIPHERS = {"AES": "MBEDTLS_AES_C", "CAMELLIA": "MBEDTLS_CAMELLIA_C"}

_MODES = {
    "GCM": "MBEDTLS_GCM_C",
    "CBC": "MBEDTLS_CIPHER_MODE_CBC",
    "CTR": "MBEDTLS_CIPHER_MODE_CTR",
    "CFB": "MBEDTLS_CIPHER_MODE_CFB",
}

_CURVES = {
    "secp256r1": "SECP256R1",
    "secp384r1": "SECP384R1",
    "secp256k1": "SECP256K1",
    "brainpoolP256r1": "BP256R1",
    "brainpoolP384r1": "BP384R1",
}

# How a release wants its list of curves: type and prefix of the members.
_GROUPS = {
    "3.6.6": ("uint16_t", "MBEDTLS_SSL_IANA_TLS_GROUP_"),
    "2.28.3": ("mbedtls_ecp_group_id", "MBEDTLS_ECP_DP_"),
}


def list_macros(profile: Profile) -> list[Section]:
    """Return the macros that make the profile's mbedTLS what the profile says."""
    sections = [
        ("Platform", _platform_macros(profile)),
        ("Random numbers", _random_macros()),
        ("Digests", _digest_macros(profile)),
        ("Ciphers", _cipher_macros(profile)),
        ("Large numbers and public keys", _key_macros(profile)),
        ("Elliptic curves", _curve_macros(profile)),
        ("Certificates", _certificate_macros(profile)),
        ("TLS", _tls_macros(profile)),
        ("Record sizes", _record_macros(profile)),
        ("Read by the firmware, not by mbedTLS", _firmware_macros(profile)),
    ]
    return [
        Section(title, kept)
        for title, macros in sections
        if (kept := _keep_known(macros, profile.mbedtls.version))
    ]


def _keep_known(macros: Iterable[Macro], version: str) -> tuple[Macro, ...]:
    return tuple(macro for macro in macros if _ONLY_IN.get(macro.name, version) == version)


def _platform_macros(profile: Profile) -> Iterator[Macro]:
    yield Macro("MBEDTLS_PLATFORM_C", "the firmware puts functions of the board in place")
    yield Macro("MBEDTLS_PLATFORM_MEMORY", "the firmware notes when the heap is exhausted")
    yield Macro("MBEDTLS_HAVE_TIME", "the board has a clock")
    yield Macro("MBEDTLS_HAVE_TIME_DATE", "certificates are valid for a time only")
    yield Macro("MBEDTLS_PLATFORM_TIME_ALT", "the firmware's time() is never before its build")
    yield Macro("MBEDTLS_PLATFORM_GMTIME_R_ALT", "the firmware's dates go on after 2038")
    yield Macro("MBEDTLS_PLATFORM_MS_TIME_ALT", "the firmware defines mbedtls_ms_time()")
    if profile.mbedtls.debug:
        yield Macro("MBEDTLS_DEBUG_C", "mbedtls.debug")


def _random_macros() -> Iterator[Macro]:
    yield Macro("MBEDTLS_NO_PLATFORM_ENTROPY", "no operating system is there to ask")
    yield Macro("MBEDTLS_CTR_DRBG_C", "the generator, seeded by the firmware from the board")


def _digest_macros(profile: Profile) -> Iterator[Macro]:
    digests = profile.tls.digests
    names = _DIGESTS[profile.mbedtls.version]
    yield Macro("MBEDTLS_MD_C", "one interface to all digests")
    for name in dict.fromkeys(names[digest] for digest in digests):
        wanted = [digest for digest in digests if names[digest] == name]
        yield Macro(name, f"tls.digests: {', '.join(wanted)}")
    if profile.mbedtls.version == "2.28.3" and "SHA-512" in digests and "SHA-384" not in digests:
        yield Macro("MBEDTLS_SHA512_NO_SHA384", "tls.digests: without SHA-384")
    if profile.mbedtls.optimise == "size":
        yield Macro("MBEDTLS_SHA256_SMALLER", "mbedtls.optimise: rounds in a loop")
        if {"SHA-384", "SHA-512"} & set(digests):
            yield Macro("MBEDTLS_SHA512_SMALLER", "mbedtls.optimise: rounds in a loop")


def _cipher_macros(profile: Profile) -> Iterator[Macro]:
    tls = profile.tls
    yield Macro("MBEDTLS_CIPHER_C", "one interface to all ciphers")
    for cipher in tls.ciphers:
        yield Macro(_CIPHERS[cipher], f"tls.ciphers: {cipher}")
    yield Macro("MBEDTLS_AES_ROM_TABLES", "the tables stay in flash")
    if profile.mbedtls.optimise == "size":
        yield Macro("MBEDTLS_AES_FEWER_TABLES", "mbedtls.optimise: one table in four")
        if "CAMELLIA" in tls.ciphers:
            yield Macro("MBEDTLS_CAMELLIA_SMALL_MEMORY", "mbedtls.optimise: fewer tables")
    for mode in tls.modes:
        yield Macro(_MODES[mode], f"tls.modes: {mode}")


def _key_macros(profile: Profile) -> Iterator[Macro]:
    tls = profile.tls
    window = "2" if profile.mbedtls.optimise == "size" else "3"
    yield Macro("MBEDTLS_BIGNUM_C", "the arithmetic of public keys")
    yield Macro(
        "MBEDTLS_NO_UDBL_DIVISION", "lx106: four small multiplications beat a call each time"
    )
    yield Macro("MBEDTLS_MPI_MAX_SIZE", "keys and DHE groups of up to 4096 bits, in bytes", "512")
    yield Macro(
        "MBEDTLS_MPI_WINDOW_SIZE",
        "mbedtls.optimise: heap of an exponentiation, 2^n numbers",
        window,
    )
    yield Macro("MBEDTLS_ASN1_PARSE_C", "keys, signatures and certificates are ASN.1")
    yield Macro("MBEDTLS_ASN1_WRITE_C", "signatures are written as ASN.1")
    yield Macro("MBEDTLS_OID_C", "names of algorithms in ASN.1")
    yield Macro("MBEDTLS_PK_C", "one interface to all kinds of keys")
    yield Macro("MBEDTLS_PK_PARSE_C", "certificates hold public keys")
    if "RSA" in tls.signatures:
        yield Macro("MBEDTLS_RSA_C", "tls.signatures: RSA")
        yield Macro("MBEDTLS_PKCS1_V15", "tls.signatures: RSA, as most certificates have it")
        yield Macro("MBEDTLS_PKCS1_V21", "tls.signatures: RSA, as RSASSA-PSS")
    if "DHE-RSA" in tls.key_exchanges:
        yield Macro("MBEDTLS_DHM_C", "tls.key_exchanges: DHE")


def _curve_macros(profile: Profile) -> Iterator[Macro]:
    tls = profile.tls
    if not tls.curves:
        return
    size = profile.mbedtls.optimise == "size"
    yield Macro("MBEDTLS_ECP_C", "the arithmetic of curves")
    for curve in tls.curves:
        yield Macro(f"MBEDTLS_ECP_DP_{_CURVES[curve]}_ENABLED", f"tls.curves: {curve}")
    yield Macro("MBEDTLS_ECP_NIST_OPTIM", "fast reduction for the secp r1 curves")
    yield Macro(
        "MBEDTLS_ECP_WINDOW_SIZE",
        "mbedtls.optimise: heap of a multiplication",
        "2" if size else "4",
    )
    yield Macro(
        "MBEDTLS_ECP_FIXED_POINT_OPTIM",
        "mbedtls.optimise: precomputed multiples of the base point",
        "0" if size else "1",
    )
    if any(exchange.startswith("ECDHE") for exchange in tls.key_exchanges):
        yield Macro("MBEDTLS_ECDH_C", "tls.key_exchanges: ECDHE")
    if "ECDSA" in tls.signatures:
        yield Macro("MBEDTLS_ECDSA_C", "tls.signatures: ECDSA")
        yield Macro("MBEDTLS_ECDSA_DETERMINISTIC", "a weak random source must not give a key away")
        yield Macro("MBEDTLS_HMAC_DRBG_C", "deterministic ECDSA is made of it")


def _certificate_macros(profile: Profile) -> Iterator[Macro]:
    yield Macro("MBEDTLS_BASE64_C", "scripts give certificates and keys as PEM")
    yield Macro("MBEDTLS_X509_USE_C", "certificates")
    yield Macro("MBEDTLS_X509_CRT_PARSE_C", "the server's chain and the CA")
    yield Macro("MBEDTLS_X509_MAX_INTERMEDIATE_CA", "all of a chain has to fit a record", "4")
    yield Macro("MBEDTLS_X509_CHECK_KEY_USAGE", "a certificate serves what it was issued for")
    yield Macro("MBEDTLS_X509_CHECK_EXTENDED_KEY_USAGE", "a server's certificate is a server's")
    yield Macro("MBEDTLS_X509_REMOVE_INFO", "no texts for people about certificates")
    if "RSA" in profile.tls.signatures:
        yield Macro("MBEDTLS_X509_RSASSA_PSS_SUPPORT", "tls.signatures: RSA, as RSASSA-PSS")


def _tls_macros(profile: Profile) -> Iterator[Macro]:
    yield Macro("MBEDTLS_SSL_TLS_C", "the protocol")
    yield Macro("MBEDTLS_SSL_CLI_C", "the client's side of it")
    yield Macro("MBEDTLS_SSL_PROTO_TLS1_2", "tls.versions: 1.2")
    for exchange in profile.tls.key_exchanges:
        name = exchange.replace("-", "_")
        yield Macro(f"MBEDTLS_KEY_EXCHANGE_{name}_ENABLED", f"tls.key_exchanges: {exchange}")
    yield Macro("MBEDTLS_SSL_SERVER_NAME_INDICATION", "a server may have many names")
    yield Macro("MBEDTLS_SSL_EXTENDED_MASTER_SECRET", "RFC 7627, against the triple handshake")
    if "CBC" in profile.tls.modes:
        yield Macro("MBEDTLS_SSL_ENCRYPT_THEN_MAC", "RFC 7366, against padding oracles of CBC")
    yield Macro("MBEDTLS_SSL_ALL_ALERT_MESSAGES", "the server is told what went wrong")
    if profile.tls.resumption:
        yield Macro("MBEDTLS_SSL_SESSION_TICKETS", "tls.resumption: RFC 5077")


def _record_macros(profile: Profile) -> Iterator[Macro]:
    tls = profile.tls
    yield Macro("MBEDTLS_SSL_IN_CONTENT_LEN", "tls.in_buffer", str(tls.in_buffer))
    yield Macro("MBEDTLS_SSL_OUT_CONTENT_LEN", "tls.out_buffer", str(tls.out_buffer))
    yield Macro("MBEDTLS_SSL_MAX_FRAGMENT_LENGTH", "the server is asked for tls.max_fragment")
    if tls.idle_buffers != "keep":
        reason = "tls.idle_buffers: of tls.max_fragment after the handshake"
        yield Macro("MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH", reason)


def _firmware_macros(profile: Profile) -> Iterator[Macro]:
    kind, prefix = _GROUPS[profile.mbedtls.version]
    groups = [prefix + name for name in (*map(_CURVES.__getitem__, profile.tls.curves), "NONE")]
    yield Macro(
        "NODEMCU_TLS_MAX_FRAGMENT",
        "tls.max_fragment, as its code",
        f"MBEDTLS_SSL_MAX_FRAG_LEN_{profile.tls.max_fragment}",
    )
    yield Macro("NODEMCU_TLS_GROUP_TYPE", "what the next list is made of", kind)
    yield Macro("NODEMCU_TLS_GROUPS", "tls.curves in their order, ended", ", ".join(groups))
    if profile.tls.resumption:
        yield Macro("NODEMCU_TLS_SESSIONS", "tls.resumption: servers remembered", "4")
    if profile.tls.idle_buffers == "release":
        yield Macro("NODEMCU_TLS_RELEASE_BUFFERS", "tls.idle_buffers: none between records")
