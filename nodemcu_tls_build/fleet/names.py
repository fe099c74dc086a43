"""Remember a great many names in little memory."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import pairwise

_RUN = 65536


class Names:
    """A set of names that takes eight bytes for each: it knows their digests of 64 bits.

    Two of ten million names are taken for the same with a probability of one in 300,000.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Take in the names, one after another."""
        self._digests = array("Q", map(_digest, names))
        self._is_sorted = False

    def add(self, name: str) -> None:
        """Take in one more; best before any is looked for."""
        self._digests.append(_digest(name))
        self._is_sorted = False

    def __contains__(self, name: str) -> bool:
        self._sort()
        digest = _digest(name)
        at = bisect_left(self._digests, digest)
        return at < len(self._digests) and self._digests[at] == digest

    def __len__(self) -> int:
        return len(self._digests)

    def find_doubled(self) -> set[int]:
        """Return the digests that more than one name has had."""
        self._sort()
        return {one for one, next_one in pairwise(self._digests) if one == next_one}

    def _sort(self) -> None:
        if not self._is_sorted:
            self._digests = _sort(self._digests)
            self._is_sorted = True


def pick(names: Iterable[tuple[str, int]], digests: set[int]) -> Iterator[tuple[str, int]]:
    """Yield the pairs whose name has one of these digests."""
    return ((name, number) for name, number in names if _digest(name) in digests)


def _sort(digests: array[int]) -> array[int]:
    """Sort without a list of them all."""
    starts = range(0, len(digests), _RUN)
    runs = (array("Q", sorted(digests[at : at + _RUN])) for at in starts)
    return array("Q", heapq.merge(*runs))


def _digest(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
