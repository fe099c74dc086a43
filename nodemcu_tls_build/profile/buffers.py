"""Say how large mbedTLS's record buffers are, and what the allocator makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile

# Before a record's payload: its number and header, and room for the longest IV.
_BEFORE = 8 + 5 + 16
_TAG = 16
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
    """Return what the buffers take that mbedTLS starts with, that for input first."""
    tls, overhead = profile.tls, measure_overhead(profile)
    return measure_block(tls.in_buffer + overhead), measure_block(tls.out_buffer + overhead)


def measure_input(profile: Profile, message: int) -> tuple[int, int]:
    """Return what the input buffer takes for a message of so many bytes, and while it grows to it.

    Where buffers are not kept it is as long as `max_fragment` until more comes, and what there is
    of the message is copied into a larger one.
    """
    tls, overhead = profile.tls, measure_overhead(profile)
    full, _ = measure_buffers(profile)
    if profile.mbedtls.version == "2.16.3" or tls.idle_buffers == "keep":
        return full, full
    if tls.max_fragment == "none" or tls.max_fragment >= tls.in_buffer:
        return full, full
    short = measure_block(tls.max_fragment + overhead)
    if message <= tls.max_fragment:
        return short, short
    grown = measure_block(_BEFORE + message)
    return grown, short + grown


def measure_idle(profile: Profile) -> int:
    """Return what the buffers take while a connection is open and nothing comes or goes."""
    tls, overhead = profile.tls, measure_overhead(profile)
    if tls.idle_buffers == "release":
        return 0
    if tls.idle_buffers == "keep" or tls.max_fragment == "none":
        return sum(measure_buffers(profile))
    longest = tls.max_fragment
    return sum(measure_block(min(it, longest) + overhead) for it in (tls.in_buffer, tls.out_buffer))
