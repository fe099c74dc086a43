"""Remark on what a profile states in vain, or what its mbedTLS makes of it: no reason to refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile.dead_ends import list_idle_exchanges
from nodemcu_tls_build.profile.heap import check_least_heap

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile


def list_notes(profile: Profile) -> list[str]:
    """Return what to say when a firmware is built of it: that, and what `profile check` refuses."""
    try:
        check_least_heap(profile)
    except ConfigError as error:
        return [error.message, *list_remarks(profile)]
    return list_remarks(profile)


def list_remarks(profile: Profile) -> list[str]:
    """Return a sentence for each, its key in front."""
    return [*_remark_on_exchanges(profile), *_remark_on_fragments(profile)]


def _remark_on_exchanges(profile: Profile) -> Iterator[str]:
    tls = profile.tls
    why = "of tls.cipher_suites" if tls.cipher_suites else "that is left"
    for exchange in list_idle_exchanges(tls):
        yield f'tls.key_exchanges: "{exchange}" is for nothing: no cipher suite {why} can use it'


def _remark_on_fragments(profile: Profile) -> Iterator[str]:
    tls, version = profile.tls, profile.mbedtls.version
    if version.startswith("3.") or tls.max_fragment == "none":
        return
    if tls.max_fragment < tls.in_buffer:
        yield (
            f"tls.max_fragment: mbedTLS {version} puts no message together from several records:"
            f" all certificates of a server have to fit {tls.max_fragment} bytes"
        )
