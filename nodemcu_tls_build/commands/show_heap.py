"""The predicted heap of a handshake, for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodemcu_tls_build.profile.heap_table import find_free_heap

if TYPE_CHECKING:
    from nodemcu_tls_build.profile import Profile
    from nodemcu_tls_build.profile.heap import Prediction


def list_heap_lines(profile: Profile, prediction: Prediction) -> list[str]:
    """Return what a handshake takes, for what, and what the profile allows for it."""
    peak, budget = prediction.peak, profile.tls.heap_budget
    group = "" if prediction.group is None else f", {prediction.group}"
    lines = [
        f"{peak.heap:,} bytes at the peak of a handshake with this chain (predicted),",
        f"of {budget:,} in tls.heap_budget, while {peak.name}:",
        *(f"  {size:>7,}  {name}" for name, size in _list_parts(peak.parts)),
        f"with {prediction.suite}{group}",
        f"{find_free_heap():,} bytes are free in a script of ten lines with a stored CA",
    ]
    if prediction.worst > peak.heap:
        lines.append(f"{prediction.worst:,} bytes if the server chooses what takes most")
    return [*lines, *(f"but {note}" for note in prediction.notes)]


def describe_heap(profile: Profile, prediction: Prediction) -> str:
    """Say in a sentence that a handshake fits."""
    peak = prediction.peak
    return (
        f"a handshake with this chain takes {peak.heap:,} bytes of heap at its peak (predicted),"
        f" tls.heap_budget allows {profile.tls.heap_budget:,};"
        f" a script of ten lines with a stored CA has {find_free_heap():,} free"
    )


def _list_parts(parts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(parts.items(), key=lambda part: -part[1])
