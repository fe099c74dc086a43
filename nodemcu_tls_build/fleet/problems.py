"""Tell of a great many problems only so many that people read them."""

from __future__ import annotations

from collections.abc import Sequence

MAX_SHOWN = 20


def shorten(problems: Sequence[str], count: int | None = None) -> list[str]:
    """Return the first problems, and how many more of `count` there are."""
    more = (len(problems) if count is None else count) - MAX_SHOWN
    return [*problems[:MAX_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]
