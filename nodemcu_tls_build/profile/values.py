"""Define the values that a profile's settings can have: sizes, names, and lists of names."""

from __future__ import annotations

import difflib
import re
from contextlib import suppress
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from nodemcu_tls_build.profile.suites import all_suites, find_suite

_UNITS = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024 * 1024}
PROTOCOL_PATTERN = r"^[!#-\[\]-~]{1,255}$"
_SIZE_EXAMPLE = 'a size is a number of bytes or a string such as "4KiB" or "1MiB"'


def parse_size(value: object) -> int:
    """Return the bytes of a size written as 4096, "4096" or "4KiB"; raise ValueError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"([0-9]{1,12}) *([A-Za-z]*)", value) if isinstance(value, str) else None
    if match is None or match[2] not in _UNITS:
        raise ValueError(_SIZE_EXAMPLE)
    return int(match[1]) * _UNITS[match[2]]


def _parse_fragment_size(value: object) -> object:
    with suppress(ValueError):
        return parse_size(value)
    return value  # "none", or what is then refused with all the choices


def _check_some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("must name at least one")
    return values


def check_unique(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return values that are all different; raise ValueError otherwise."""
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)}: listed more than once")
    return values


def _check_suite(name: str) -> str:
    if find_suite(name) is None:
        nearest = difflib.get_close_matches(name, [suite.name for suite in all_suites()], n=1)
        hint = f'; did you mean "{nearest[0]}"?' if nearest else ""
        raise ValueError(f"no cipher suite that can be offered has this IANA name{hint}")
    return name


def _check_protocol(name: str) -> str:
    if not re.fullmatch(PROTOCOL_PATTERN, name):
        raise ValueError(
            "a protocol name is 1 to 255 printable ASCII characters (RFC 7301), here without"
            " blanks, quotes and backslashes"
        )
    return name


Size = Annotated[int, BeforeValidator(parse_size)]
RecordSize = Annotated[Size, Field(ge=512, le=16384)]
FragmentSize = Annotated[
    Literal[512, 1024, 2048, 4096, "none"], BeforeValidator(_parse_fragment_size)
]

Version = Literal["1.2", "1.3"]
KeyExchange = Literal["ECDHE-ECDSA", "ECDHE-RSA", "DHE-RSA", "RSA"]
Cipher = Literal["AES", "CAMELLIA", "CHACHA20-POLY1305"]
Mode = Literal["GCM", "CBC", "CTR", "CFB", "CCM", "CCM_8"]
Digest = Literal["SHA-256", "SHA-224", "SHA-384", "SHA-512", "SHA-1", "RIPEMD-160"]
Signature = Literal["ECDSA", "RSA", "RSA-PSS"]
Curve = Literal[
    "secp256r1",
    "secp384r1",
    "secp521r1",
    "secp256k1",
    "brainpoolP256r1",
    "brainpoolP384r1",
    "brainpoolP512r1",
    "x25519",
]
CipherSuite = Annotated[str, AfterValidator(_check_suite)]
ProtocolName = Annotated[str, AfterValidator(_check_protocol)]
Goal = Literal["size", "speed"]

Some = AfterValidator(_check_some)  # in place of min_length, which also counts wrong members out
Unique = AfterValidator(check_unique)
