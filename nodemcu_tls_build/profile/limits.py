"""Compare what a profile takes with its own flash, and with its budget of heap."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from nodemcu_tls_build.errors import CertificateError, ConfigError
from nodemcu_tls_build.memmap import IROM_OFFSET, find_credentials
from nodemcu_tls_build.profile.estimate import estimate_cost
from nodemcu_tls_build.profile.heap import check_room, find_least, predict_heap
from nodemcu_tls_build.profile.savings import suggest_smaller
from nodemcu_tls_build.profile.usual import find_usual, make_chain

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile


def check_limits(profile: Profile) -> None:
    """Raise ConfigError when the profile's own flash or `tls.heap_budget` rules it out."""
    found = []
    for check in (check_flash, check_least_heap):
        try:
            check(profile)
        except ConfigError as error:
            found.append(error)
    if len(found) > 1:
        hint = " ".join(error.hint or "" for error in found)
        problems = [error.message for error in found]
        message = f"profile {profile.name} has {len(found)} problems"
        raise ConfigError(message, hint, problems)
    if found:
        raise found[0]


def check_flash(profile: Profile) -> None:
    """Raise ConfigError when the image was measured and is larger than the profile's flash."""
    estimate, room = estimate_cost(profile), _find_room(profile)
    if estimate.is_measured and estimate.cost.flash > room:
        raise ConfigError(_tell_flash(estimate.cost.flash, room), suggest_smaller(profile))


def remark_on_flash(profile: Profile) -> Iterator[str]:
    """Yield that the image may be too large: estimates of it err by some percent."""
    estimate, room = estimate_cost(profile), _find_room(profile)
    if not estimate.is_measured and estimate.cost.flash > room:
        told = _tell_flash(estimate.cost.flash, room)
        yield f"{told} (estimated: a build tells). {suggest_smaller(profile)}"


def check_least_heap(profile: Profile) -> None:
    """Raise ConfigError when no server can keep to `tls.heap_budget`, or to what there is."""
    peak = find_least(profile).peak
    told = "a handshake takes {} bytes of heap at least"
    check_room(profile, peak, told, heap=peak.heap - _find_excess(profile))


def _find_excess(profile: Profile) -> int:
    """Return how much more is predicted than what was measured of this profile, or one like it."""
    measured = estimate_cost(profile).cost.heap
    with suppress(CertificateError):
        usual = predict_heap(profile, make_chain(find_usual(profile).key))
        return max(0, usual.peak.heap - (measured or usual.peak.heap))
    return 0


def _find_room(profile: Profile) -> int:
    return find_credentials(profile.board.flash_size) - IROM_OFFSET


def _tell_flash(flash: int, room: int) -> str:
    return f"the code takes about {flash:,} bytes of flash, board.flash_size has room for {room:,}"
