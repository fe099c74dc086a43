"""What a server says was agreed on in a handshake, read from its own report."""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass, fields

_SIGNATURE_KINDS = {1: "RSA", 3: "ECDSA"}  # RFC 5246, section 7.4.1.4.1
_PRF_DIGESTS = {"CAMELLIA-128-GCM": "SHA256", "CAMELLIA-256-GCM": "SHA384"}  # RFC 6367
_DIGESTS = {1: "MD5", 2: "SHA-1", 3: "SHA-224", 4: "SHA-256", 5: "SHA-384", 6: "SHA-512"}


@dataclass(frozen=True)
class Negotiated:
    """One handshake, in the words of the RFCs."""

    peer: str
    key_exchange: str
    cipher_suite: str
    group: str
    signature: str
    certificate: str  # its key, and the algorithm it was signed with


def read_openssl_trace(log: str) -> Negotiated:
    """Read what `openssl s_server -trace` shows of one handshake."""
    suite = _find(r"^      cipher_suite \{.*\} TLS_(\S+)$", log)
    code = int(_find(r"^      Signature Algorithm: .* \((0x\w{4})\)$", log), 16)
    return Negotiated(
        "OpenSSL",
        suite.partition("_WITH_")[0].replace("_", "-"),
        suite.partition("_WITH_")[2].replace("_", "-"),
        _describe_openssl_group(log),
        f"{_SIGNATURE_KINDS[code & 0xFF]} {_DIGESTS[code >> 8]}",
        _describe_openssl_certificate(log),
    )


def _describe_openssl_group(log: str) -> str:
    if _find(r"^      KeyExchangeAlgorithm=(\S+)$", log) == "ECDHE":
        return _find(r"^        named_curve: (\S+)", log)
    length = int(_find(r"^        dh_p \(len=(\d+)\)", log))
    return f"{8 * length} bits"


def _describe_openssl_certificate(log: str) -> str:
    kind = _find(r"^            Public Key Algorithm: (\S+)$", log)
    size = _find(r"Public-Key: \((\d+) bit\)$", log)
    name = f"RSA {size}" if kind == "rsaEncryption" else _find(r"^ +ASN1 OID: (\S+)$", log)
    algorithm = _find(r"^        Signature Algorithm: (\S+)", log)
    return f"{name}, signed with {algorithm}"


def read_gnutls_report(log: str) -> Negotiated:
    """Read what `gnutls-serv` says of one handshake.

    It leaves out the suite's digest, which follows from the cipher, and its certificate.
    """
    exchange = _find(r"^- Key Exchange: (\S+)$", log)
    curve = re.search(r"^ - Using curve: (\S+)$", log, re.MULTILINE)
    cipher = _find(r"^- Cipher: (\S+)$", log)
    kind, _, digest = _find(r"^- Server Signature: (\S+)$", log).partition("-SHA")
    return Negotiated(
        "GnuTLS",
        exchange,
        f"{cipher}-{_PRF_DIGESTS[cipher]}",
        curve[1].lower() if curve else _find(r"^ - Using prime: (\d+ bits)$", log),
        f"{kind} SHA-{digest}",
        "not told",
    )


def format_table(rows: list[Negotiated]) -> str:
    """Return a text table with a head."""
    names = [field.name.replace("_", " ") for field in fields(Negotiated)]
    table = [tuple(names), *(astuple(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "".join("  ".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in table)


def _find(pattern: str, log: str) -> str:
    match = re.search(pattern, log, re.MULTILINE)
    assert match, f"no {pattern!r} in:\n{log}"
    return match[1]
