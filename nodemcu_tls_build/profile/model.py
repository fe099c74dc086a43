"""Define what a profile can say: one field a setting, named by the standards' own terms."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from nodemcu_tls_build.profile.conflicts import find_conflicts
from nodemcu_tls_build.profile.values import (
    Cipher,
    CipherSuite,
    Curve,
    Digest,
    FragmentSize,
    Goal,
    KeyExchange,
    Mode,
    ProtocolName,
    RecordSize,
    Signature,
    Size,
    Some,
    Unique,
    Version,
    parse_size,
)

SCHEMA = 1
SIZE_KEYS = {
    *("board.flash_size", "tls.in_buffer", "tls.out_buffer", "tls.max_fragment"),
    "tls.heap_budget",
}


def _check_schema(value: object) -> object:
    if type(value) is not int or value < SCHEMA:
        raise ValueError(f"must be {SCHEMA}")
    if value > SCHEMA:
        message = "is for a newer version of nodemcu-tls: this one reads schema"
        raise ValueError(f"{message} {SCHEMA}")
    return value


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Board(_Table):
    """What lies under the TLS module."""

    name: Literal["virtual"]
    """Board that the firmware is built for: `virtual` is the emulated ESP8266."""
    flash_size: Annotated[Literal[524288, 1048576], BeforeValidator(parse_size)]
    """Size of the flash chip; the virtual board maps at most 1 MiB."""
    flash_mode: Literal["qio", "qout", "dio", "dout"]
    """How the chip reads the flash: on four or two lines, the address on as many or on one."""
    flash_frequency: Literal["20MHz", "26MHz", "40MHz", "80MHz"]
    """Clock of the flash chip."""


class Mbedtls(_Table):
    """Which mbedTLS is built."""

    version: Literal["3.6.6", "2.28.3", "2.16.3"]
    """Release of mbedTLS; 2.28.3 and 2.16.3, NodeMCU's own, get no more security fixes."""
    debug: StrictBool
    """Build mbedTLS's debugging output in, and `tls.setDebug` that turns it on."""


class Optimise(_Table):
    """What the compiler makes of each component: `size` is its -Os, `speed` its -O2."""

    mbedtls: Goal
    """mbedTLS: handshakes take a third less with `speed`, the flash more."""
    lwip: Goal
    """The TCP/IP stack."""
    lua: Goal
    """Lua's virtual machine and libraries."""
    firmware: Goal
    """The firmware's own modules."""


class Crypto(_Table):
    """Memory against speed in mbedTLS's arithmetic."""

    aes_tables: Literal["flash", "ram"]
    """Where AES has its tables: in flash, or computed into RAM at the first use."""
    aes_fewer_tables: StrictBool
    """One table of AES in each direction in place of four, a rotation more each time."""
    small_digests: StrictBool
    """The rounds of SHA-256 and SHA-512 in loops: less flash, slower."""
    small_camellia: StrictBool
    """Camellia with fewer tables: less flash, slower."""
    max_key_bits: Literal[2048, 3072, 4096, 8192]
    """Longest RSA key or DHE group, in bits."""
    mpi_window: Annotated[int, Field(strict=True, ge=1, le=6)]
    """Window of modular exponentiation: 2^(n-1) numbers of heap in RSA and DHE."""
    ecp_window: Annotated[int, Field(strict=True, ge=2, le=7)]
    """Window of curve multiplication: 2^(n-1) points of heap."""
    ecp_fixed_point: StrictBool
    """Keep multiples of the base point: faster ECDHE and ECDSA, more heap."""
    nist_reduction: StrictBool
    """Fast reduction for the secp r1 curves: several times faster, a few KiB of flash."""


class Tls(_Table):
    """What the client offers to a server, and the memory a connection takes."""

    versions: Annotated[tuple[Version, ...], Some, Unique]
    """Protocol versions; 1.3 needs mbedTLS 3.6."""
    key_exchanges: Annotated[tuple[KeyExchange, ...], Some, Unique]
    """Key exchanges of TLS 1.2, each with the kind of server key that signs it."""
    ciphers: Annotated[tuple[Cipher, ...], Some, Unique]
    """Ciphers; AES and Camellia with keys of 128 and 256 bits."""
    modes: Annotated[tuple[Mode, ...], Some, Unique]
    """Modes of the block ciphers; TLS itself uses GCM, CCM and, up to 1.2, CBC."""
    digests: Annotated[tuple[Digest, ...], Some, Unique]
    """Digests, for cipher suites, signatures and certificates."""
    signatures: Annotated[tuple[Signature, ...], Some, Unique]
    """Signatures on handshakes and certificates; ECDSA signs deterministically (RFC 6979)."""
    curves: Annotated[tuple[Curve, ...], Unique]
    """Elliptic curves, the preferred one first."""
    cipher_suites: Annotated[tuple[CipherSuite, ...], Unique]
    """Cipher suites by IANA name, the preferred one first; none: all that the rest allows."""
    in_buffer: RecordSize
    """Longest record that can be received; a server's whole certificate message must fit."""
    out_buffer: RecordSize
    """Longest record that can be sent."""
    max_fragment: FragmentSize
    """Longest record that the server is asked to send (RFC 6066), or `none` to ask nothing."""
    idle_buffers: Literal["keep", "shrink", "release"]
    """Record buffers after the handshake: kept, cut to `max_fragment`, or gone between records."""
    resumption: StrictBool
    """Keep sessions (tickets of RFC 5077, or session IDs) for a shorter handshake the next time."""
    sessions: Annotated[int, Field(strict=True, ge=1, le=16)]
    """Servers whose sessions are kept at once."""
    alpn: Annotated[tuple[ProtocolName, ...], Unique]
    """Application protocols to offer, the preferred one first (RFC 7301), such as `mqtt`."""
    sni: StrictBool
    """Tell the server which of its names is meant (RFC 6066, server_name)."""
    verify: StrictBool
    """Verify servers from boot on; without it a script does so by `tls.cert.verify(true)`."""
    verify_dates: StrictBool
    """Refuse certificates that are not yet, or no longer, valid."""
    keep_peer_certificate: StrictBool
    """Keep the server's chain in the heap for as long as TLS 1.2 lasts, or TLS 1.3's handshake."""
    max_chain: Annotated[int, Field(strict=True, ge=0, le=8)]
    """Intermediate CAs that a chain may have."""
    heap_budget: Annotated[Size, Field(ge=4096, le=81920)]
    """Heap that one handshake may take at its peak; 30 KB is what a script of ten lines has."""


class Profile(_Table):
    """One TLS configuration of the firmware, complete."""

    schema_version: Annotated[Literal[1], BeforeValidator(_check_schema), Field(alias="schema")]
    """Version of the profile's own format."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,47}$")]
    """Name of the profile: up to 48 letters, digits, dots, dashes and underscores."""
    description: str = ""
    """Whom the profile is for."""
    extends: Annotated[str, Field(exclude=True)] = "default"
    """Preset or file whose settings hold where this profile says nothing."""
    board: Board
    """What lies under the TLS module."""
    mbedtls: Mbedtls
    """Which mbedTLS is built."""
    optimise: Optimise
    """What the compiler makes of each component."""
    crypto: Crypto
    """Memory against speed in mbedTLS's arithmetic."""
    tls: Tls
    """What the client offers to a server, and the memory a connection takes."""

    @model_validator(mode="after")
    def _check_conflicts(self) -> Profile:
        conflicts = find_conflicts(self)
        if conflicts:
            text = "; ".join(conflict.message for conflict in conflicts)
            raise PydanticCustomError("conflict", "{text}", {"text": text, "conflicts": conflicts})
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as JSON-able data, sizes in bytes."""
        return self.model_dump(mode="json", by_alias=True)

    def digest(self) -> str:
        """Return the SHA-256 of the profile's canonical JSON in hexadecimal."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
