"""Define what a profile can say: one field a setting, named by the standards' own terms."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    model_validator,
)
from pydantic_core import PydanticCustomError

from nodemcu_tls_build.profile.conflicts import find_conflicts

SCHEMA = 1

_UNITS = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024 * 1024}
_SIZE_EXAMPLE = 'a size is a number of bytes or a string such as "4KiB" or "1MiB"'


def parse_size(value: object) -> int:
    """Return the bytes of a size written as 4096, "4096" or "4KiB"; raise ValueError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"([0-9]{1,12}) *([A-Za-z]*)", value) if isinstance(value, str) else None
    if match is None or match[2] not in _UNITS:
        raise ValueError(_SIZE_EXAMPLE)
    return int(match[1]) * _UNITS[match[2]]


def _check_schema(value: object) -> object:
    if type(value) is not int or value != SCHEMA:
        raise ValueError(f"must be {SCHEMA}")
    return value


def _check_some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("must name at least one")
    return values


def _check_unique(values: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)}: listed more than once")
    return values


RecordSize = Annotated[int, BeforeValidator(parse_size), Field(ge=512, le=16384)]

Version = Literal["1.2"]
KeyExchange = Literal["ECDHE-ECDSA", "ECDHE-RSA", "DHE-RSA"]
Cipher = Literal["AES", "CAMELLIA"]
Mode = Literal["GCM", "CBC", "CTR", "CFB"]
Digest = Literal["SHA-256", "SHA-224", "SHA-384", "SHA-512", "SHA-1", "RIPEMD-160"]
Signature = Literal["ECDSA", "RSA"]
Curve = Literal["secp256r1", "secp384r1", "secp256k1", "brainpoolP256r1", "brainpoolP384r1"]

_Some = AfterValidator(_check_some)  # in place of min_length, which also counts wrong members out
_Unique = AfterValidator(_check_unique)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Board(_Table):
    """What lies under the TLS module."""

    name: Literal["virtual"]
    """Board that the firmware is built for: `virtual` is the emulated ESP8266."""
    flash_size: Annotated[Literal[524288, 1048576], BeforeValidator(parse_size)]
    """Size of the flash chip; the virtual board maps at most 1 MiB."""


class Mbedtls(_Table):
    """Which mbedTLS is built, and for what."""

    version: Literal["3.6.6", "2.28.3"]
    """Release of mbedTLS; 2.28.3 gets no more security fixes."""
    optimise: Literal["size", "speed"]
    """What its code is compiled for: `size` also takes the small tables and narrow windows."""
    debug: StrictBool
    """Build mbedTLS's debugging output in, and `tls.setDebug` that turns it on."""

    @property
    def compiler_flag(self) -> str:
        """Return the compiler's flag for `optimise`."""
        return {"size": "-Os", "speed": "-O2"}[self.optimise]


class Tls(_Table):
    """What the client offers to a server, and the memory a connection takes."""

    versions: Annotated[tuple[Version, ...], _Some, _Unique]
    """Protocol versions."""
    key_exchanges: Annotated[tuple[KeyExchange, ...], _Some, _Unique]
    """Key exchanges, each with the kind of server key that signs it."""
    ciphers: Annotated[tuple[Cipher, ...], _Some, _Unique]
    """Block ciphers, with keys of 128 and 256 bits."""
    modes: Annotated[tuple[Mode, ...], _Some, _Unique]
    """Modes of the block ciphers; TLS 1.2 itself uses GCM and CBC."""
    digests: Annotated[tuple[Digest, ...], _Some, _Unique]
    """Digests, for cipher suites, signatures and certificates."""
    signatures: Annotated[tuple[Signature, ...], _Some, _Unique]
    """Signatures on handshakes and certificates; ECDSA signs deterministically (RFC 6979)."""
    curves: Annotated[tuple[Curve, ...], _Unique]
    """Elliptic curves, the preferred one first."""
    in_buffer: RecordSize
    """Longest record that can be received; a server's whole certificate message must fit."""
    out_buffer: RecordSize
    """Longest record that can be sent."""
    max_fragment: Annotated[Literal[512, 1024, 2048, 4096], BeforeValidator(parse_size)]
    """Longest record that the server is asked to send (RFC 6066, max_fragment_length)."""
    idle_buffers: Literal["keep", "shrink", "release"]
    """Record buffers after the handshake: kept, cut to `max_fragment`, or gone between records."""
    resumption: StrictBool
    """Keep sessions (tickets of RFC 5077, or session IDs) for a shorter handshake the next time."""

    @model_validator(mode="after")
    def _check_conflicts(self) -> Tls:
        conflicts = find_conflicts(self)
        if conflicts:
            text = "; ".join(conflict.message for conflict in conflicts)
            raise PydanticCustomError("conflict", "{text}", {"text": text, "conflicts": conflicts})
        return self


class Profile(_Table):
    """One TLS configuration of the firmware, complete."""

    schema_version: Annotated[Literal[1], BeforeValidator(_check_schema), Field(alias="schema")]
    """Version of the profile's own format."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,47}$")]
    """Name of the profile: up to 48 letters, digits, dots, dashes and underscores."""
    description: str = ""
    """Whom the profile is for."""
    board: Board
    """What lies under the TLS module."""
    mbedtls: Mbedtls
    """Which mbedTLS is built, and for what."""
    tls: Tls
    """What the client offers to a server, and the memory a connection takes."""

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as JSON-able data, sizes in bytes."""
        return self.model_dump(mode="json", by_alias=True)

    def digest(self) -> str:
        """Return the SHA-256 of the profile's canonical JSON in hexadecimal."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
