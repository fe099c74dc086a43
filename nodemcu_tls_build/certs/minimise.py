"""Keep of a bundle the roots that servers' chains need: each found by its signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from nodemcu_tls_build.certs.details import Details, make_printable
from nodemcu_tls_build.certs.finding import Finding
from nodemcu_tls_build.certs.readable import NEWEST, check_readable
from nodemcu_tls_build.certs.store import RECORD
from nodemcu_tls_build.certs.store_write import ROOM
from nodemcu_tls_build.certs.strength import check_strength
from nodemcu_tls_build.certs.usage import check_anchor
from nodemcu_tls_build.certs.way import find_way

_MISSING_HINT = (
    "Add the CA's certificate to the bundle, or have the server send the certificates between its"
    " own and its root."
)


@dataclass(frozen=True)
class Chain:
    """Certificates that a server sends, its own first; `source` is the file or the host."""

    source: str
    certificates: tuple[Details, ...]


@dataclass(frozen=True)
class Kept:
    """A root that is kept, and the sources of the chains that need it."""

    root: Details
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Minimised:
    """What is kept of a bundle of `count` roots that take `size` bytes in a store's sector."""

    kept: tuple[Kept, ...]
    count: int
    size: int
    warnings: tuple[str, ...]

    @property
    def kept_size(self) -> int:
        """Return the bytes that the kept roots take in the sector."""
        return measure([one.root for one in self.kept])

    def render(self) -> str:
        """Return the kept roots as PEM, each below a line that says what it is for."""
        parts = []
        for one in self.kept:
            sources = make_printable(", ".join(one.sources))
            until = f"valid until {one.root.not_after:%Y-%m-%d}"
            parts.append(f"# {one.root.subject}: {until}; for {sources}\n")
            parts.append(one.root.certificate.public_bytes(Encoding.PEM).decode("ascii"))
        return "".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "kept": [
                {
                    "subject": one.root.subject,
                    "fingerprint": one.root.fingerprint,
                    "not_after": one.root.not_after.isoformat(),
                    "size": len(one.root.der),
                    "for": list(one.sources),
                }
                for one in self.kept
            ],
            "roots": self.count,
            "store": {"before": self.size, "after": self.kept_size, "room": ROOM},
            "warnings": list(self.warnings),
        }


def measure(roots: Sequence[Details]) -> int:
    """Return the bytes that certificates take in a store's sector."""
    return sum(RECORD.size + len(root.der) for root in roots)


def minimise(
    roots: Sequence[Details],
    chains: Sequence[Chain],
    *,
    now: datetime,
    warnings: Sequence[str] = (),
) -> tuple[Minimised, list[Finding]]:
    """Return the roots that the chains need, and a finding for each chain that has none."""
    roots = list({root.der: root for root in roots}.values())
    bundle = _Bundle(roots, now)
    told, findings, candidates = list(warnings), [], []
    for chain in chains:
        found, is_past = bundle.find_roots(chain.certificates)
        candidates.append(found)
        if not found:
            findings.append(bundle.explain_missing(chain))
        elif is_past:
            told.append(_warn_past(chain, found, now))
    chosen = _choose(candidates)
    kept = []
    for root in roots:  # in the bundle's order
        sources = [chain.source for chain, n in zip(chains, chosen, strict=True) if n is root]
        if sources:
            kept.append(Kept(root, tuple(dict.fromkeys(sources))))
    told += [f"it cannot be used: {fault}" for one in kept for fault in _list_faults(one.root)]
    size = measure([one.root for one in kept])
    if size > ROOM:
        told.append(f"what is kept takes {size:,} bytes, a store's sector holds {ROOM:,}")
    return Minimised(tuple(kept), len(roots), measure(roots), tuple(told)), findings


class _Bundle:
    """Roots, to be found by whom they signed."""

    def __init__(self, roots: Sequence[Details], now: datetime) -> None:
        self._now = now
        self._by_name: dict[bytes, list[Details]] = {}
        for root in roots:
            self._by_name.setdefault(root.subject_id, []).append(root)

    def find_roots(self, chain: Sequence[Details]) -> tuple[list[Details], bool]:
        """Return the roots that end the shortest way up, and whether it is past its time.

        One that is past its time counts only when there is no other. The best come first.
        """
        names = dict.fromkeys(name for one in chain for name in (one.issuer_id, one.subject_id))
        candidates = (root for name in names for root in self._by_name.get(name, ()))
        ways = [(root, find_way(chain, [root], now=self._now)) for root in candidates]
        ways = [(root, way) for root, way in ways if way.is_trusted and not way.forged]
        current = [(root, way) for root, way in ways if all(map(self._is_current, way.steps))]
        found = current or ways
        least = min((len(way.steps) for _, way in found), default=0)
        roots = [root for root, way in found if len(way.steps) == least]
        return sorted(roots, key=_rank), bool(found) and not current

    def explain_missing(self, chain: Chain) -> Finding:
        """Say whose certificate the bundle lacks for a chain."""
        last = find_way(chain.certificates, (), now=self._now).steps[-1]
        message = f"{chain.source} needs {last.issuer}, which is neither sent nor in the bundle"
        if last.is_self_signed:
            message = f"{chain.source} needs the root {last.issuer}, which is not in the bundle"
        if last.issuer_id in self._by_name:
            message = (
                f"{chain.source} needs a root {last.issuer}: that in the bundle has other keys, or"
                " may not be its issuer"
            )
        elif not last.is_self_signed and any(
            one.subject_id == last.issuer_id for one in chain.certificates[1:]
        ):
            message = f"{chain.source} sends {last.issuer} before what it issued, or it is no CA"
            return Finding(message, "Have each certificate sent before that of its issuer.")
        return Finding(message, _MISSING_HINT)

    def _is_current(self, one: Details) -> bool:
        return one.not_before <= self._now <= one.not_after


def _rank(root: Details) -> tuple[bool, float, int, str]:
    """Order roots that would do: usable ones, the one that is valid for longest, the smallest."""
    is_refused = bool(_list_faults(root))
    return is_refused, -root.not_after.timestamp(), len(root.der), root.fingerprint


def _list_faults(root: Details) -> list[str]:
    """Say why no firmware could trust by a root."""
    findings = [
        *check_anchor(root, root.subject),
        *check_strength(root.key, root.subject),
        *check_readable(root, root.subject, mbedtls=NEWEST),
    ]
    return [finding.message for finding in findings]


def _choose(candidates: Sequence[list[Details]]) -> list[Details | None]:
    """Return a root for each list of those that would do, few of them in all."""
    chosen: list[Details | None] = [None] * len(candidates)
    open_lists = {number for number, found in enumerate(candidates) if found}
    while open_lists:
        counts: dict[bytes, int] = {}
        offered = [root for number in sorted(open_lists) for root in candidates[number]]
        for root in offered:
            counts[root.der] = counts.get(root.der, 0) + 1
        best = min(offered, key=lambda root: (-counts[root.der], *_rank(root)))
        for number in sorted(open_lists):
            if best in candidates[number]:
                chosen[number] = best
                open_lists.remove(number)
    return chosen


def _warn_past(chain: Chain, found: Sequence[Details], now: datetime) -> str:
    root = found[0]
    if now > root.not_after:
        return (
            f"{chain.source}: only a root that expired on {root.not_after:%Y-%m-%d} is there,"
            f" {root.subject}"
        )
    return f"{chain.source}: the way to the root {root.subject} is not valid at this time"
