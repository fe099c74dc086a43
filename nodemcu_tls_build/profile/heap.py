"""Predict the heap that a verified handshake takes at its peak, from a profile and a chain.

A handshake is a row of steps. In each there is what the steps before have left, and what the step
itself takes for a while: the arithmetic of one signature or of one key exchange, most of all. The
peak is that of the largest step. What operations and contexts take is measured (heap_table.py);
what depends on lengths is computed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile.buffers import measure_block, measure_buffers, measure_input
from nodemcu_tls_build.profile.chain import (
    Certificate,
    Chain,
    check_chain,
    find_room,
    list_parsed,
    list_usable_suites,
    measure_message,
)
from nodemcu_tls_build.profile.groups import list_groups
from nodemcu_tls_build.profile.heap_table import (
    Heap,
    find_around,
    find_free_heap,
    find_operation,
)
from nodemcu_tls_build.profile.usual import list_usual_chains

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile
    from nodemcu_tls_build.profile.suites import Suite

_DIGEST = measure_block(32)  # of the server's certificate, kept in place of it


@dataclass(frozen=True)
class Step:
    """One step of a handshake, and the heap in it by what it is for."""

    name: str
    parts: dict[str, int]

    @property
    def heap(self) -> int:
        """Return the bytes in use."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Prediction:
    """The heap of a handshake: of each step, in bytes; `worst` over all that a server may choose.

    `suite` and `group` are those that it was predicted for; `notes` say what else is against it.
    """

    suite: str
    group: str | None
    steps: tuple[Step, ...]
    worst: int = 0
    notes: tuple[str, ...] = ()

    @property
    def peak(self) -> Step:
        """Return the step that takes most."""
        return max(self.steps, key=lambda step: step.heap)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "heap": self.peak.heap,
            "step": self.peak.name,
            "parts": self.peak.parts,
            "steps": [{"step": step.name, "heap": step.heap} for step in self.steps],
            "cipher_suite": self.suite,
            "group": self.group,
            "worst": self.worst,
            "notes": list(self.notes),
        }


def predict_heap(profile: Profile, chain: Chain) -> Prediction:
    """Return the heap of a handshake with the first suite and group that the chain can do.

    Raises CertificateError for a chain that the profile's firmware cannot verify.
    """
    check_chain(profile, chain)
    suites: dict[tuple[str | None, ...], Suite] = {}  # key lengths make no difference
    for it in list_usable_suites(profile, chain):
        suites.setdefault((it.version, it.key_exchange, it.cipher, it.mode, it.digest), it)
    predictions = [
        _Handshake(profile, chain, suite, group).predict()
        for suite in suites.values()
        for group in _list_groups(profile, suite)
    ]
    first = predictions[0]
    return replace(first, worst=max(prediction.peak.heap for prediction in predictions))


def _list_groups(profile: Profile, suite: Suite) -> list[str | None]:
    """Return the groups that a server can choose with a suite, in order; None for none."""
    if suite.version == "1.3":
        return [group.name for group in list_groups(profile.tls) if group.is_in_1_3]
    if not (suite.key_exchange or "").startswith("ECDHE"):
        return [None]
    return [group.name for group in list_groups(profile.tls)]


def check_budget(profile: Profile, prediction: Prediction) -> None:
    """Raise ConfigError when a handshake takes more than `tls.heap_budget`, or than there is."""
    told = f"a handshake with this chain takes {{}} bytes of heap while {prediction.peak.name}"
    check_room(profile, prediction.peak, told, heap=prediction.peak.heap)


def find_least(profile: Profile) -> Prediction:
    """Return the handshake that takes least of those with one certificate.

    Where the buffers have no room for a usual one, it is as short as they want it.
    """
    found = [
        predict_heap(profile, chain.cut(find_room(profile)))
        for chain in list_usual_chains(profile)
        if list_usable_suites(profile, chain)
    ]
    return min(found, key=lambda prediction: prediction.peak.heap)


def check_room(profile: Profile, peak: Step, told: str, *, heap: int) -> None:
    """Raise ConfigError when `heap`, which `told` has a place for, is more than is allowed."""
    budget, free = profile.tls.heap_budget, find_free_heap()
    if heap <= min(budget, free):
        return
    limit = f"tls.heap_budget allows {budget:,}"
    if heap > free:
        limit += f", and a script of ten lines with a stored CA has {free:,} free"
    parts = sorted(peak.parts.items(), key=lambda part: -part[1])[:3]
    most = ", ".join(f"{name} {size:,}" for name, size in parts)
    more = "; or raise the budget" if heap <= free else ""
    raise ConfigError(
        f"{told.format(f'{heap:,}')}, {limit}",
        f"Most of it: {most}. Smaller buffers or smaller keys take less{more}.",
    )


@dataclass
class _Handshake:
    """What is in use, as a handshake goes on."""

    profile: Profile
    chain: Chain
    suite: Suite
    group: str | None
    parts: dict[str, int] = field(default_factory=dict)

    def predict(self) -> Prediction:
        """Return the heap of all its steps."""
        return Prediction(self.suite.name, self.group, tuple(self.list_steps()))

    def list_steps(self) -> Iterator[Step]:
        """Yield the steps in their order."""
        self._around = find_around(self.profile, self.suite)
        self.parts["contexts"] = self._around.contexts
        self.parts["CA certificate"] = self._measure_ca()
        self.parts["record buffers"] = sum(measure_buffers(self.profile))
        yield self._step("start")
        incoming, growing = measure_input(self.profile, measure_message(self.chain, self.suite))
        outgoing = measure_buffers(self.profile)[1]
        if self.suite.version == "1.3":
            working = self._around.hello + self._find(f"ecdhe {self.group}").peak
            yield self._step("ClientHello", working=working)
            self.parts["key exchange"] = self._around.secrets
        self.parts["record buffers"] = growing + outgoing
        if growing != incoming:
            yield self._step("receiving the chain")
        self.parts["record buffers"] = incoming + outgoing
        yield from self._verify_chain()
        self.parts["record buffers"] = sum(measure_buffers(self.profile))
        yield from self._exchange_keys()
        yield self._step("session keys and Finished", keys=self._around.finish)

    def _verify_chain(self) -> Iterator[Step]:
        sent = self.chain.certificates
        keeps = _keeps_chain(self.profile)
        self.parts["server's chain"] = sum(
            self._measure_certificate(one, copied=keeps)
            for one in list_parsed(self.profile, self.chain)
        )
        for verifier in self.chain.verifiers:
            found = self._find(f"verify {verifier.key}")
            yield self._step(f"verifying the chain ({verifier.key})", working=found.peak)
            place = "CA certificate" if verifier is self.chain.ca else "server's chain"
            self.parts[place] += found.kept
        if not keeps:
            self.parts["server's chain"] = self._find(f"key {sent[0].key}").kept + _DIGEST

    def _exchange_keys(self) -> Iterator[Step]:
        leaf = self.chain.certificates[0]
        verifying = self._find(f"verify {leaf.key}")
        name = f"verifying the key exchange ({leaf.key})"
        if self.suite.version == "1.3":
            yield self._step(name, working=verifying.peak)
            return
        exchange = f"ecdhe {self.group}"
        if self.suite.key_exchange == "RSA":
            yield self._step(f"sending the secret ({leaf.key})", working=verifying.peak)
            return
        if self.suite.key_exchange == "DHE-RSA":
            exchange = f"dhe dhe-{leaf.key.partition('-')[2]}"
        what, _, which = exchange.partition(" ")
        read = self._find(f"{what}_read {which}")
        self.parts["key exchange"] = read.kept
        yield self._step(name, working=verifying.peak)
        if _keeps_chain(self.profile):
            self.parts["server's chain"] += verifying.kept
        else:
            self.parts["server's chain"] = _DIGEST
        computing = self._find(exchange)
        yield self._step(f"computing the key exchange ({which})", working=computing.peak)
        self.parts["key exchange"] += computing.kept

    def _measure_ca(self) -> int:
        copied = self.profile.mbedtls.version == "2.16.3"
        entry = self._find("entry certificate").kept  # the first one's is in the contexts
        cost = sum(self._measure_certificate(one, copied=copied) for one in self.chain.trusted)
        return cost - entry

    def _measure_certificate(self, certificate: Certificate, *, copied: bool) -> int:
        return (
            self._find("entry certificate").kept
            + self._find(f"key {certificate.key}").kept
            + certificate.more_names * self._find("entry name").kept
            + certificate.more_items * self._find("entry item").kept
            + (measure_block(certificate.size) if copied else 0)
        )

    def _step(self, name: str, **more: int) -> Step:
        titles = {"working": "arithmetic", "keys": "session keys"}
        parts = self.parts | {titles[title]: heap for title, heap in more.items()}
        return Step(name, {title: heap for title, heap in parts.items() if heap})

    def _find(self, name: str) -> Heap:
        return find_operation(self.profile, name)


def _keeps_chain(profile: Profile) -> bool:
    return profile.tls.keep_peer_certificate or profile.mbedtls.version == "2.16.3"
