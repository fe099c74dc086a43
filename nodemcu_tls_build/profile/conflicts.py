"""Find settings that are each valid but do not go together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Tls


@dataclass(frozen=True)
class Conflict:
    """A key of the [tls] table, what is wrong with it, and the key that it does not go with."""

    key: str
    message: str
    other: str | None = None


def find_conflicts(tls: Tls) -> list[Conflict]:
    """Return every conflict between the settings of the [tls] table."""
    return [*_key_exchange_conflicts(tls), *_cipher_conflicts(tls), *_size_conflicts(tls)]


def _key_exchange_conflicts(tls: Tls) -> Iterator[Conflict]:
    for exchange in tls.key_exchanges:
        signature = exchange.rpartition("-")[2]
        if signature not in tls.signatures:
            yield Conflict(
                "key_exchanges", f'"{exchange}" needs "{signature}" in tls.signatures', "signatures"
            )
        if exchange.startswith("ECDHE") and not tls.curves:
            yield Conflict("key_exchanges", f'"{exchange}" needs a curve in tls.curves', "curves")
    if "ECDSA" in tls.signatures and not tls.curves:
        yield Conflict("signatures", '"ECDSA" needs a curve in tls.curves', "curves")


def _cipher_conflicts(tls: Tls) -> Iterator[Conflict]:
    if not {"GCM", "CBC"} & set(tls.modes):
        yield Conflict("modes", 'TLS 1.2 needs "GCM" or "CBC": no cipher suite is left')
    if "SHA-256" not in tls.digests:
        yield Conflict("digests", 'TLS 1.2 needs "SHA-256" for its handshake')
    if "AES" not in tls.ciphers:
        yield Conflict("ciphers", 'needs "AES": the random generator is made of it')


def _size_conflicts(tls: Tls) -> Iterator[Conflict]:
    if tls.max_fragment > tls.in_buffer:
        message = f"asks for records of {tls.max_fragment} bytes, tls.in_buffer holds"
        yield Conflict("max_fragment", f"{message} {tls.in_buffer}", "in_buffer")
    elif tls.idle_buffers == "shrink" and tls.max_fragment >= max(tls.in_buffer, tls.out_buffer):
        message = '"shrink" needs a tls.max_fragment below tls.in_buffer or tls.out_buffer'
        yield Conflict("idle_buffers", message, "max_fragment")
