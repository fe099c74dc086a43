"""Walk DER, as far as a certificate's names and its key's form need it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SEQUENCE, SET, OBJECT_ID = 0x30, 0x31, 0x06
_VERSION = 0xA0
_UTF8, _PRINTABLE = 0x0C, 0x13


@dataclass(frozen=True)
class Element:
    """An element: its tag, what it holds, and the whole of it."""

    tag: int
    body: bytes
    whole: bytes


def split_der(data: bytes) -> Iterator[Element]:
    """Yield the elements that stand one after another; the data are whole."""
    at = 0
    while at < len(data):
        start, length = at + 2, data[at + 1]
        if length >= 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[at + 2 : start], "big")
        yield Element(data[at], data[start : start + length], data[at : start + length])
        at = start + length


def fold_name(name: bytes) -> bytes:
    """Return a name in DER so that names are equal when mbedTLS takes them for equal.

    The case of ASCII letters does not count in a UTF8String and a PrintableString, nor which of
    the two it is.
    """
    folded = bytearray(name)
    at = 0
    while at < len(folded):
        tag, start, length = folded[at], at + 2, folded[at + 1]
        if length >= 0x80:
            start += length & 0x7F
            length = int.from_bytes(folded[at + 2 : start], "big")
        if tag in {SEQUENCE, SET}:
            at = start
            continue
        if tag in {_UTF8, _PRINTABLE}:
            folded[at] = _UTF8
            folded[start : start + length] = folded[start : start + length].lower()
        at = start + length
    return bytes(folded)


def find_key(certificate: bytes) -> Element:
    """Return the SubjectPublicKeyInfo of a certificate as it stands there."""
    [whole] = split_der(certificate)
    tbs = next(split_der(whole.body))
    fields = [field for field in split_der(tbs.body) if field.tag != _VERSION]
    return fields[5]  # behind serial number, signature, issuer, validity and subject


def list_name_tags(name: bytes) -> set[int]:
    """Return the tags of the values that a name in DER is made of."""
    [whole] = split_der(name)
    parts = (part for group in split_der(whole.body) for part in split_der(group.body))
    return {[*split_der(part.body)][1].tag for part in parts}
