"""Say why the firmware leaves an option of mbedTLS out, for those that no profile sets."""

from __future__ import annotations

import re

# They name the files that are being read: a header that unset them would take itself away.
FILE_NAMES = frozenset(
    f"MBEDTLS_{name}"
    for name in (
        "CONFIG_FILE",
        "USER_CONFIG_FILE",
        "PSA_CRYPTO_CONFIG_FILE",
        "PSA_CRYPTO_USER_CONFIG_FILE",
        "PSA_CRYPTO_PLATFORM_FILE",
        "PSA_CRYPTO_STRUCT_FILE",
    )
)

UNKNOWN = "Not known to this program: as if mbedTLS had never heard of them"
_VALUE = "Values that stay as the library has them"

# The first that matches counts; names without MBEDTLS_.
_REASONS = (
    (
        "Weak, broken or withdrawn",
        r"ARC4_C|DES_C|BLOWFISH_C|XTEA_C|MD[245]_C|SSL_PROTO_(SSL3|TLS1|TLS1_1)"
        r"|ENABLE_WEAK_CIPHERSUITES|CIPHER_NULL_CIPHER|SSL_TRUNCATED_HMAC(_COMPAT)?|ZLIB_SUPPORT"
        r"|SSL_RENEGOTIATION|TLS_DEFAULT_ALLOW_SHA1_\w+|ECP_DP_SECP(192|224)[RK]1_ENABLED"
        r"|X509_ALLOW_\w+|SSL_CLI_ALLOW_\w+|SSL_PROTO_TLS1_3_EXPERIMENTAL|RSA_NO_CRT",
    ),
    (
        "Against faults of protocols and ciphers that are not built",
        r"REMOVE_\w+|SSL_CBC_RECORD_SPLITTING|SSL_FALLBACK_SCSV",
    ),
    (
        "Servers only",
        r"SSL_SRV_\w+|SSL_CACHE_\w+|SSL_COOKIE_\w+|SSL_TICKET_C|SSL_ASYNC_PRIVATE"
        r"|SSL_DEFAULT_TICKET_LIFETIME|SSL_MAX_EARLY_DATA_SIZE|SSL_TLS1_3_TICKET_\w+"
        r"|SSL_TLS1_3_DEFAULT_NEW_SESSION_TICKETS",
    ),
    (
        "Datagrams: TLS runs over TCP here",
        r"SSL_(PROTO_)?DTLS\w*|SSL_CID_\w+|TLS_EXT_CID|SSL_RECORD_CHECKING",
    ),
    (
        "Need an operating system: files, sockets, threads, its random numbers",
        r"FS_IO|NET_C|TIMING_C|THREADING_\w+|HAVEGE_C|PSA_ITS_FILE_C|PSA_CRYPTO_STORAGE_C"
        r"|PLATFORM_DEV_RANDOM|X509_MAX_FILE_PATH_LEN",
    ),
    (
        "The firmware gathers the seed of its generator itself",
        r"ENTROPY_\w+|NO_DEFAULT_ENTROPY_SOURCES|TEST_NULL_ENTROPY|PLATFORM(_STD)?_NV_SEED\w*"
        r"|PSA_INJECT_ENTROPY",
    ),
    (
        "Of other processors",
        r"HAVE_ASM|HAVE_SSE2|AESNI_C|AESCE_C|PADLOCK_C|SHA\d+_USE_\w+|AES_USE_HARDWARE_ONLY"
        r"|NO_64BIT_MULTIPLICATION|ECP_WITH_MPI_UINT|SSL_HW_RECORD_ACCEL",
    ),
    (
        "No part of mbedTLS is replaced by other code",
        r"(?!PLATFORM_)\w+_ALT|ECP_NO_FALLBACK|ECDH_VARIANT_EVEREST_ENABLED"
        r"|PSA_P256M_DRIVER_ENABLED|PKCS11_C|PK_RSA_ALT_SUPPORT",
    ),
    (
        "Functions of the C library: what the firmware replaces, it replaces at run time",
        r"PLATFORM_\w+_(ALT|MACRO)|PLATFORM_STD_\w+|PLATFORM_NO_STD_FUNCTIONS"
        r"|MEMORY_BUFFER_ALLOC_C|MEMORY_ALIGN_MULTIPLE|PRINTF_MS_TIME",
    ),
    (
        "Key exchanges without certificates, or without fresh keys",
        r"KEY_EXCHANGE_\w+|ECJPAKE_C|PSK_MAX_LEN|SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_ENABLED"
        r"|SSL_EARLY_DATA",
    ),
    (
        "Ciphers, modes, digests and curves that no suite of this firmware has",
        r"ARIA_C|CMAC_C|NIST_KW_C|CIPHER_MODE_(OFB|XTS)|CIPHER_PADDING_\w+|SHA3_C|LMS_\w+"
        r"|ECP_DP_CURVE448_ENABLED|HKDF_C|BLOCK_CIPHER_NO_DECRYPT|GCM_LARGE_TABLE"
        r"|AES_ONLY_128_BIT_KEY_LENGTH|CTR_DRBG_USE_128_BIT_KEY",
    ),
    (
        "Writing keys and certificates, lists of revoked ones, and forms that the module has not",
        r"X509_(CRL_PARSE|CSR_PARSE|CREATE|CRT_WRITE|CSR_WRITE)_C|PEM_(PARSE|WRITE)_C|PK_WRITE_C"
        r"|PKCS(5|7|12)_C|PK_PARSE_EC_(EXTENDED|COMPRESSED)|GENPRIME|RSA_GEN_KEY_MIN_BITS"
        r"|X509_TRUSTED_CERTIFICATE_CALLBACK",
    ),
    (
        "The module has no function for them",
        r"SSL_(EXPORT_KEYS|KEYING_MATERIAL_EXPORT|CONTEXT_SERIALIZATION|RECORD_SIZE_LIMIT)"
        r"|ECP_RESTARTABLE|ECP_NO_INTERNAL_RNG|ECDH_LEGACY_CONTEXT",
    ),
    (
        "PSA, where mbedTLS's older interfaces do",
        r"PSA_\w+|USE_PSA_CRYPTO",
    ),
    (
        "Texts, checks and tests for developers",
        r"ERROR_C|ERROR_STRERROR_DUMMY|VERSION_\w+|SELF_TEST|CERTS_C|TEST_\w+|DEPRECATED_\w+"
        r"|CHECK_\w+|PARAM_FAILED|IGNORE_RETURN|MEMORY_(DEBUG|BACKTRACE)|SSL_DEBUG_ALL",
    ),
)


def find_reason(name: str, key: str | None, *, has_value: bool) -> str:
    """Return why an option is left out; `key` is the profile's key that could ask for it."""
    if key is not None:
        return f"Not asked for by the profile: {key}"
    plain = name.removeprefix("MBEDTLS_")
    for reason, pattern in _REASONS:
        if re.fullmatch(pattern, plain):
            return reason
    return _VALUE if has_value else UNKNOWN
