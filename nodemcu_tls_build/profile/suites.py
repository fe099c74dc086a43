"""List the cipher suites that a profile's settings allow, by IANA name and in order.

Source: the IANA registry "TLS Cipher Suites"; RFC 5246, 5288, 5289, 6367, 6655, 7251, 7905, 8446.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Tls

# In the order in which they are offered, mbedTLS 3.6's own: forward secrecy, then long keys.
_NAMES = {
    0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0x1302: "TLS_AES_256_GCM_SHA384",
    0x1301: "TLS_AES_128_GCM_SHA256",
    0x1304: "TLS_AES_128_CCM_SHA256",
    0x1305: "TLS_AES_128_CCM_8_SHA256",
    0xCCA8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    0xCCA9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    0xCCAA: "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    0xC02C: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    0xC030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    0x009F: "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
    0xC0AD: "TLS_ECDHE_ECDSA_WITH_AES_256_CCM",
    0xC09F: "TLS_DHE_RSA_WITH_AES_256_CCM",
    0xC024: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
    0xC028: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
    0x006B: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
    0xC00A: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    0xC014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    0x0039: "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
    0xC0AF: "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8",
    0xC0A3: "TLS_DHE_RSA_WITH_AES_256_CCM_8",
    0xC087: "TLS_ECDHE_ECDSA_WITH_CAMELLIA_256_GCM_SHA384",
    0xC08B: "TLS_ECDHE_RSA_WITH_CAMELLIA_256_GCM_SHA384",
    0xC07D: "TLS_DHE_RSA_WITH_CAMELLIA_256_GCM_SHA384",
    0xC073: "TLS_ECDHE_ECDSA_WITH_CAMELLIA_256_CBC_SHA384",
    0xC077: "TLS_ECDHE_RSA_WITH_CAMELLIA_256_CBC_SHA384",
    0x00C4: "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA256",
    0x0088: "TLS_DHE_RSA_WITH_CAMELLIA_256_CBC_SHA",
    0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    0x009E: "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    0xC0AC: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
    0xC09E: "TLS_DHE_RSA_WITH_AES_128_CCM",
    0xC023: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    0xC027: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    0x0067: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256",
    0xC009: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    0xC013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    0x0033: "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
    0xC0AE: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
    0xC0A2: "TLS_DHE_RSA_WITH_AES_128_CCM_8",
    0xC086: "TLS_ECDHE_ECDSA_WITH_CAMELLIA_128_GCM_SHA256",
    0xC08A: "TLS_ECDHE_RSA_WITH_CAMELLIA_128_GCM_SHA256",
    0xC07C: "TLS_DHE_RSA_WITH_CAMELLIA_128_GCM_SHA256",
    0xC072: "TLS_ECDHE_ECDSA_WITH_CAMELLIA_128_CBC_SHA256",
    0xC076: "TLS_ECDHE_RSA_WITH_CAMELLIA_128_CBC_SHA256",
    0x00BE: "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA256",
    0x0045: "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA",
    0x009D: "TLS_RSA_WITH_AES_256_GCM_SHA384",
    0xC09D: "TLS_RSA_WITH_AES_256_CCM",
    0x003D: "TLS_RSA_WITH_AES_256_CBC_SHA256",
    0x0035: "TLS_RSA_WITH_AES_256_CBC_SHA",
    0xC0A1: "TLS_RSA_WITH_AES_256_CCM_8",
    0xC07B: "TLS_RSA_WITH_CAMELLIA_256_GCM_SHA384",
    0x00C0: "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA256",
    0x0084: "TLS_RSA_WITH_CAMELLIA_256_CBC_SHA",
    0x009C: "TLS_RSA_WITH_AES_128_GCM_SHA256",
    0xC09C: "TLS_RSA_WITH_AES_128_CCM",
    0x003C: "TLS_RSA_WITH_AES_128_CBC_SHA256",
    0x002F: "TLS_RSA_WITH_AES_128_CBC_SHA",
    0xC0A0: "TLS_RSA_WITH_AES_128_CCM_8",
    0xC07A: "TLS_RSA_WITH_CAMELLIA_128_GCM_SHA256",
    0x00BA: "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA256",
    0x0041: "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA",
}


@dataclass(frozen=True)
class Suite:
    """One cipher suite: its IANA code and name, and what it is made of, as profiles name it."""

    code: int
    name: str
    version: str
    key_exchange: str | None
    cipher: str
    mode: str | None
    digest: str

    @property
    def macro(self) -> str:
        """Return mbedTLS's name of the suite."""
        if self.version == "1.3":
            return f"MBEDTLS_TLS1_3_{self.name.removeprefix('TLS_')}"
        return f"MBEDTLS_{self.name}"


@cache
def all_suites() -> tuple[Suite, ...]:
    """Return every suite that a profile can offer, the most wanted first."""
    return tuple(_parse(code, name) for code, name in _NAMES.items())


def find_suite(name: str) -> Suite | None:
    """Return the suite of that IANA name."""
    return next((suite for suite in all_suites() if suite.name == name), None)


def list_suites(tls: Tls) -> tuple[Suite, ...]:
    """Return the suites that are offered, in order: those named, or all that the rest allows."""
    if tls.cipher_suites:
        return tuple(suite for name in tls.cipher_suites if (suite := find_suite(name)))
    return tuple(suite for suite in all_suites() if not any(list_missing(suite, tls)))


def list_missing(suite: Suite, tls: Tls) -> Iterator[tuple[str, str]]:
    """Yield what a suite needs and the settings lack: a key of the [tls] table and its value."""
    if suite.version not in tls.versions:
        yield "versions", suite.version
    if suite.key_exchange is not None and suite.key_exchange not in tls.key_exchanges:
        yield "key_exchanges", suite.key_exchange
    if suite.cipher not in tls.ciphers:
        yield "ciphers", suite.cipher
    if suite.mode is not None and suite.mode not in tls.modes:
        yield "modes", suite.mode
    if suite.digest not in tls.digests:
        yield "digests", suite.digest


def _parse(code: int, name: str) -> Suite:
    exchange, _, rest = name.removeprefix("TLS_").rpartition("_WITH_")
    match = re.fullmatch(
        r"(AES|CAMELLIA|CHACHA20_POLY1305)(?:_\d+)?(?:_(GCM|CBC|CCM_8|CCM))?(?:_(SHA\d*))?", rest
    )
    if match is None:
        raise AssertionError(f"{name} cannot be taken apart")
    cipher, mode, digest = match.groups()
    return Suite(
        code=code,
        name=name,
        version="1.2" if exchange else "1.3",
        key_exchange=exchange.replace("_", "-") or None,
        cipher=cipher.replace("_", "-"),
        mode=mode,
        digest={"SHA": "SHA-1", "SHA384": "SHA-384"}.get(digest, "SHA-256"),
    )
