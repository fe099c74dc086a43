"""Say how large mbedTLS's record buffers are, and what the allocator makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile

# Before a record's payload: its number and header, and room for the longest IV.
_HEADER = 5
_START = 8 + _HEADER
_BEFORE = _START + 16
_TAG = 16
_LAST_PART = _HEADER + 1 + _TAG  # what tls_idle.c leaves room for behind a message in parts
_PADDING = 256  # of CBC, at most


def measure_block(size: int) -> int:
    """Return what a block of the heap takes: picolibc's header of 4 bytes, in steps of 8."""
    return (size + 4 + 7) // 8 * 8


def measure_overhead(profile: Profile) -> int:
    """Return the bytes that a record buffer has beside the payload."""
    tls = profile.tls
    if "CBC" not in tls.modes:
        return _BEFORE + _TAG
    has_long = {"SHA-384", "SHA-512"} & set(tls.digests)
    return _BEFORE + (48 if has_long else 32) + _PADDING


def measure_buffers(profile: Profile) -> tuple[int, int]:
    """Return what the buffers take that a handshake starts with, that for input first."""
    overhead = measure_overhead(profile)
    incoming = _find_longest_record(profile) + overhead
    return measure_block(incoming), measure_block(profile.tls.out_buffer + overhead)


def measure_input(profile: Profile, message: int) -> tuple[int, int]:
    """Return what the input buffer takes for a message of so many bytes, and while it grows to it.

    Then there are two of them: what has come of the message is copied.
    """
    record = _find_longest_record(profile)
    length = record + measure_overhead(profile)
    if message <= record or _START + message + _HEADER <= length:
        return measure_block(length), measure_block(length)
    grown = measure_block(_START + message + _LAST_PART)
    return grown, measure_block(length) + grown


def _find_longest_record(profile: Profile) -> int:
    """Return the payload that the input buffer has room for before it grows.

    Where buffers are not kept, that is what servers are asked for.
    """
    tls = profile.tls
    if profile.mbedtls.version == "2.16.3" or tls.idle_buffers == "keep":
        return tls.in_buffer
    return tls.in_buffer if tls.max_fragment == "none" else min(tls.max_fragment, tls.in_buffer)


def measure_idle(profile: Profile) -> int:
    """Return what the buffers take while a connection is open and nothing comes or goes."""
    tls, overhead = profile.tls, measure_overhead(profile)
    if tls.idle_buffers == "release":
        return 0
    if tls.idle_buffers == "keep" or tls.max_fragment == "none":
        return sum(measure_buffers(profile))
    longest = tls.max_fragment
    return sum(measure_block(min(it, longest) + overhead) for it in (tls.in_buffer, tls.out_buffer))
