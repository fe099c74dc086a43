"""Read what tests/measure_heap.py measured: the heap of operations, and of whole handshakes.

Bytes are those of blocks with their headers, as the allocator takes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from nodemcu_tls_build.profile.buffers import measure_block, measure_buffers
from nodemcu_tls_build.profile.load import load_profile

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Profile
    from nodemcu_tls_build.profile.suites import Suite

# States of mbedTLS's client, as its enum mbedtls_ssl_states numbers them.
_CLIENT_HELLO, _CERTIFICATE, _VERIFY = "1", "3", "9"
_LAST = range(9, 32)  # from the end of the key exchange on
_MEASURED_BITS = {"verify rsa": (2048, 4096), "key rsa": (2048, 4096)}
_MEASURED_BITS |= {"dhe_read dhe": (768, 1024), "dhe dhe": (768, 1024)}


@dataclass(frozen=True)
class Heap:
    """What an operation keeps when it has ended, and what it takes at its peak."""

    kept: int = 0
    peak: int = 0

    def __add__(self, other: Heap) -> Heap:
        return Heap(self.kept + other.kept, self.peak + other.peak)

    def __sub__(self, other: Heap) -> Heap:
        return Heap(self.kept - other.kept, self.peak - other.peak)


@cache
def _load_default() -> Profile:
    return load_profile("default")


@cache
def _load() -> Any:
    path = resources.files("nodemcu_tls_build.profile") / "heap.json"
    return json.loads(path.read_text(encoding="utf-8"))


def find_free_heap() -> int:
    """Return what is free in a script of ten lines with a stored CA, before it connects."""
    return int(_load()["conditions"]["free_in_script"])


def find_operation(profile: Profile, name: str) -> Heap:
    """Return what an operation takes, such as `verify rsa-2048` or `ecdhe secp256r1`.

    The heap of RSA and DHE is on a line of the key's bits.
    """
    what, _, bits = name.rpartition("-")
    if what not in _MEASURED_BITS:
        return _find_measured(profile, name)
    low, high = _MEASURED_BITS[what]
    first = _find_measured(profile, f"{what}-{low}")
    last = _find_measured(profile, f"{what}-{high}")
    part = (int(bits) - low) / (high - low)
    return Heap(
        round(first.kept + part * (last.kept - first.kept)),
        round(first.peak + part * (last.peak - first.peak)),
    )


def _find_measured(profile: Profile, name: str) -> Heap:
    crypto = profile.crypto
    entries = _load()[profile.mbedtls.version]["operations"]
    if "dhe-" in name:
        return _read(entries, name, mpi_window=crypto.mpi_window, ecp_fixed_point=False)
    fixed = crypto.ecp_fixed_point
    found = _read(entries, name, ecp_window=crypto.ecp_window, ecp_fixed_point=fixed)
    if not crypto.nist_reduction:  # which changes the length of products, whatever the window is
        found += _read(entries, name, nist_reduction=False)
        found -= _read(entries, name, ecp_window=2, ecp_fixed_point=False)
    return found


def _read(entries: Any, name: str, **wanted: object) -> Heap:
    wanted = {"nist_reduction": True} | wanted
    for entry in entries:
        settings = entry["settings"]
        if all(settings[f"crypto.{key}"] == value for key, value in wanted.items()):
            return Heap(*entry["costs"][name])
    raise AssertionError(f"{name} was not measured with {wanted}")


@dataclass(frozen=True)
class Around:
    """What is in use around the operations of a handshake, beside buffers and certificates.

    `contexts` are there from the start on. `hello` is what the ClientHello takes for a while more,
    `secrets` what is there from the server's answer on, and `finish` what the session's keys and
    the Finished messages take at their peak.
    """

    contexts: int
    hello: int
    secrets: int
    finish: int


def find_around(profile: Profile, suite: Suite) -> Around:
    """Return what a handshake of a suite has around its operations."""
    handshakes = _load()[profile.mbedtls.version]["handshakes"]
    base = handshakes["base"]
    if suite.version == "1.3":
        return _find_around_1_3(profile, handshakes)
    if "1.3" in profile.tls.versions:
        contexts = _read_contexts("3.6.6", handshakes["1.3 as 1.2"])
        contexts -= sum(_list_savings_1_3(profile, handshakes))
    else:
        contexts = _read_contexts(profile.mbedtls.version, base)
        contexts -= sum(_list_savings(profile, handshakes))
    finish = _measure_finish(handshakes[_name_suite(suite, handshakes)])
    if not profile.tls.resumption:
        finish -= _measure_finish(base) - _measure_finish(handshakes["no resumption"])
    return Around(contexts, 0, 0, finish)


def _find_around_1_3(profile: Profile, handshakes: Mapping[str, Any]) -> Around:
    """Return what there is around a handshake of TLS 1.3, where the ClientHello has a key in it.

    PSA exports that key into a copy of all that is left of the output buffer.
    """
    steps = handshakes["1.3" if "1.2" in profile.tls.versions else "1.3 alone"]
    start = steps[_CLIENT_HELLO][0]
    default = _load_default()
    working = find_operation(default, "ecdhe secp256r1").peak
    hello = steps[_CLIENT_HELLO][1] - start - working - default.tls.out_buffer
    contexts = _read_contexts("3.6.6", steps, state=_CLIENT_HELLO)
    contexts -= sum(_list_savings_1_3(profile, handshakes))
    return Around(
        contexts=contexts,
        hello=hello + profile.tls.out_buffer,
        secrets=steps[_CERTIFICATE][0] - start,
        finish=_measure_finish(steps),
    )


def _list_savings_1_3(profile: Profile, handshakes: Mapping[str, Any]) -> Iterator[int]:
    """Yield what contexts are smaller by than those of the default profile with TLS 1.3.

    PSA has room in them for the longest key of every kind that there is.
    """

    def saving(base: str, change: str) -> int:
        one, other = handshakes[base], handshakes[f"{base}, {change}"]
        return int(one[_CLIENT_HELLO][0] - other[_CLIENT_HELLO][0])

    tls = profile.tls
    base = "1.3" if "1.2" in tls.versions else "1.3 alone"
    if base == "1.3" and "RSA" in tls.signatures:
        yield from _list_savings_of_secrets(profile, saving(base, "no DHE"))
    if "RSA" not in tls.signatures:
        yield saving(base, "no RSA")
    if not {"SHA-384", "SHA-512"} & set(tls.digests):
        yield saving("1.3 alone", "short digests") - _save_in_buffers()
    if not tls.resumption:
        yield saving("1.3 alone", "no resumption")


def _read_contexts(version: str, steps: Mapping[str, Any], state: str = _CERTIFICATE) -> int:
    """Return what was in use in the default profile beside its buffers and the CA certificate."""
    default = _load_default()
    measured = default.model_copy(
        update={"mbedtls": default.mbedtls.model_copy(update={"version": version})}
    )
    ca = find_operation(measured, "key secp256r1").kept
    if version == "2.16.3":
        ca += measure_block(_load()["conditions"]["ca_bytes"])
    return int(steps[state][0]) - sum(measure_buffers(measured)) - ca


def _list_savings(profile: Profile, handshakes: Mapping[str, Any]) -> Iterator[int]:
    """Yield what contexts are smaller by than those of the default profile."""

    def saving(name: str) -> int:
        return int(handshakes["base"][_CERTIFICATE][0] - handshakes[name][_CERTIFICATE][0])

    tls = profile.tls
    yield from _list_savings_of_secrets(profile, saving("no DHE"))
    if not {"SHA-384", "SHA-512"} & set(tls.digests):
        yield saving("short digests") - _save_in_buffers()
    if not tls.resumption:
        yield saving("no resumption")


def _list_savings_of_secrets(profile: Profile, without: int) -> Iterator[int]:
    """Yield what the longest premaster secret saves: `without` when all are of a curve."""
    if {"DHE-RSA", "RSA"} & set(profile.tls.key_exchanges):
        yield (4096 - profile.crypto.max_key_bits) // 8
    else:
        yield without


def _save_in_buffers() -> int:
    """Return by how much the buffers of the default profile shrink without the long digests."""
    default = _load_default()
    short = default.model_copy(
        update={"tls": default.tls.model_copy(update={"digests": ("SHA-256",)})}
    )
    return sum(measure_buffers(default)) - sum(measure_buffers(short))


def _measure_finish(steps: Mapping[str, Any]) -> int:
    """Return the heap from the end of the key exchange on, at its peak."""
    peak = max(int(peak) for state, (_, peak) in steps.items() if int(state) in _LAST)
    return peak - int(steps[_VERIFY][0])


def _name_suite(suite: Suite, handshakes: Mapping[str, Any]) -> str:
    """Return the name of what was measured of a suite, or of the one most like it."""
    mode = (suite.mode or "").removesuffix("_8")
    name = " ".join(filter(None, (suite.cipher, mode, suite.digest)))
    if name in handshakes:
        return name
    alike = f"AES {mode} {suite.digest}"
    return alike if alike in handshakes else "AES GCM SHA-384"
