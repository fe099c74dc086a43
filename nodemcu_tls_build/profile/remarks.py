"""Remark on what a profile states in vain, or what its mbedTLS makes of it: no reason to refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile.dead_ends import list_idle_exchanges
from nodemcu_tls_build.profile.limits import check_least_heap, remark_on_flash
from nodemcu_tls_build.profile.usual import describe_misfit

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile


def list_notes(profile: Profile) -> list[str]:
    """Return what to say when a firmware is built of it: that, and what `profile check` refuses."""
    try:
        check_least_heap(profile)
    except ConfigError as error:
        return [error.message, *_list_common(profile)]
    return _list_common(profile)


def list_remarks(profile: Profile) -> list[str]:
    """Return a sentence for each, its key in front."""
    return [*_list_common(profile), *remark_on_flash(profile)]


def _list_common(profile: Profile) -> list[str]:
    remarks = [*_remark_on_exchanges(profile), *_remark_on_fragments(profile)]
    misfit = describe_misfit(profile)
    return remarks if misfit is None else [*remarks, misfit]


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
