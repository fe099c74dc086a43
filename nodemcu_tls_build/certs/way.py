"""Find the way from an end's certificate up to one that is trusted, as mbedTLS goes it.

It takes the first issuer that fits, those that are trusted before those that were sent, and never
goes back (`mbedtls_x509_crt_verify`, the same in 2.16, 2.28 and 3.6).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from nodemcu_tls_build.certs.details import Details, is_signed_by


@dataclass(frozen=True)
class Way:
    """The certificates from the end's own up; `is_trusted` says that the last one is trusted.

    `forged` are those that the next one, of their issuer's name, did not sign.
    """

    steps: tuple[Details, ...]
    is_trusted: bool
    forged: tuple[Details, ...]

    @property
    def intermediates(self) -> int:
        """Return how many CAs are between the end and what is trusted."""
        return len(self.steps) - 1 - self.is_trusted if len(self.steps) > 1 else 0


def find_way(sent: Sequence[Details], trusted: Sequence[Details], *, now: datetime) -> Way:
    """Return the way up from the first certificate that is sent."""
    child, at = sent[0], 0
    steps = [child]
    forged: list[Details] = []
    if any(child.der == one.der for one in trusted) and child.subject_id == child.issuer_id:
        return Way((child,), True, ())
    own_names = 0  # intermediates that name themselves as issuer do not count
    by_name: dict[bytes, list[Details]] = {}
    for one in trusted:
        by_name.setdefault(one.subject_id, []).append(one)
    while True:
        below = len(steps) - 1 - own_names
        parent = _choose(_list_trusted(child, by_name.get(child.issuer_id, ()), below), now)
        if parent is not None:
            return Way((*steps, parent), True, tuple(forged))
        candidates = [n for n in range(at + 1, len(sent)) if is_issuer(sent[n], child, below)]
        parent = _choose((sent[n] for n in candidates), now)
        if parent is None:
            return Way(tuple(steps), False, tuple(forged))
        if not is_signed_by(child, parent):
            forged.append(child)
        if len(steps) > 1 and child.subject_id == child.issuer_id:
            own_names += 1
        at = next(n for n in candidates if sent[n] is parent)
        child = parent
        steps.append(child)


def is_issuer(one: Details, child: Details, below: int, *, is_trusted: bool = False) -> bool:
    """Tell whether a certificate may be that of the issuer, with `below` CAs below it."""
    if one.subject_id != child.issuer_id:
        return False
    is_old = is_trusted and one.version < 3  # which cannot say that it is a CA
    may_sign = one.usage is None or one.usage.key_cert_sign
    allows = one.path_length is None or one.path_length >= below
    return (is_old or (one.is_ca and may_sign)) and allows


def _list_trusted(child: Details, namesakes: Sequence[Details], below: int) -> Iterator[Details]:
    for one in namesakes:
        if is_issuer(one, child, below, is_trusted=True) and is_signed_by(child, one):
            yield one


def _choose(issuers: Iterator[Details], now: datetime) -> Details | None:
    """Return the first one that is valid now, or else the first."""
    first = None
    for one in issuers:
        if one.not_before <= now <= one.not_after:
            return one
        first = first or one
    return first
