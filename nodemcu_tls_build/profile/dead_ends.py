"""Find the versions of TLS that a profile states and could never speak, and what each lacks.

What counts are the lists that result, the suites, groups and signature algorithms of a ClientHello:
settings can be right one by one and leave one of them empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from nodemcu_tls_build.profile.conflict import (
    Conflict,
    Way,
    describe_ways,
    find_main_key,
    find_shortest,
)
from nodemcu_tls_build.profile.groups import find_group, list_groups_of_1_3
from nodemcu_tls_build.profile.signature_algorithms import (
    all_signature_algorithms,
    list_signature_algorithms,
)
from nodemcu_tls_build.profile.suites import all_suites, list_missing, list_suites

if TYPE_CHECKING:
    from nodemcu_tls_build.profile.model import Tls
    from nodemcu_tls_build.profile.suites import Suite

_NEEDED = {("ciphers", "AES"), ("digests", "SHA-256")}  # by the random generator, and by TLS itself


def find_dead_ends(tls: Tls) -> Iterator[Conflict]:
    """Yield what each version lacks that no handshake of it can do without."""
    for version in sorted(tls.versions):
        if all(suite.version != version for suite in list_suites(tls)):
            yield from _lack_suite(tls, version)
    if "1.3" in tls.versions:
        yield from _find_dead_ends_of_1_3(tls)
        if "1.2" in tls.versions and list_signature_algorithms(tls):
            yield from _find_dead_ends_of_1_2(tls)


def list_idle_exchanges(tls: Tls) -> list[str]:
    """Return the key exchanges of TLS 1.2 that the profile states and no handshake can use."""
    if "1.2" not in tls.versions:
        return []
    used = {
        suite.key_exchange for suite in list_suites(tls) if _can_sign(tls, suite.key_exchange or "")
    }
    return [exchange for exchange in tls.key_exchanges if exchange not in used]


def _lack_suite(tls: Tls, version: str) -> Iterator[Conflict]:
    if tls.cipher_suites:
        message = f"names no suite of TLS {version}, which tls.versions has"
        yield Conflict("tls.cipher_suites", message, "tls.versions")
        return
    suites = [suite for suite in all_suites() if suite.version == version]
    own = [suite for suite in suites if suite.key_exchange in {None, *tls.key_exchanges}]
    ways = _list_ways(own, tls)
    others = _list_ways(suites, tls, besides={"key_exchanges"})
    if not all(ways):
        return
    who, other = "TLS", None if version == "1.2" else "tls.versions"
    if version == "1.2" and not all(others):  # with another key exchange there would be one
        who = f"{_quote(tls.key_exchanges)} in tls.key_exchanges"
        other = "tls.key_exchanges"
    message = f"no cipher suite of TLS {version} is left: {who} needs {describe_ways(ways)}"
    yield Conflict(find_main_key(ways) or "tls.modes", message, other)


def _list_ways(suites: list[Suite], tls: Tls, besides: Collection[str] = ()) -> list[Way]:
    """Return what suites lack, apart from some keys and from what every profile has to have."""
    return find_shortest(
        frozenset(
            pair
            for pair in list_missing(suite, tls)
            if pair[0] not in besides and pair not in _NEEDED
        )
        for suite in suites
    )


def _find_dead_ends_of_1_3(tls: Tls) -> Iterator[Conflict]:
    if not any(find_group(curve).is_in_1_3 for curve in tls.curves):
        ways = [frozenset({("curves", group.name)}) for group in list_groups_of_1_3()]
        yield Conflict("tls.versions", f'"1.3" needs {describe_ways(ways)}', "tls.curves")
    if "RSA" in tls.signatures and "RSA-PSS" not in tls.signatures:
        message = '"1.3" needs "RSA-PSS" in tls.signatures when it has "RSA"'
        yield Conflict("tls.versions", message, "tls.signatures")
    elif all(algorithm.signature == "RSA" for algorithm in list_signature_algorithms(tls)):
        ways = _list_ways_to_sign(tls)
        message = f'"1.3" has no signature algorithm left: {_quote(tls.signatures)} in'
        message += f" tls.signatures needs {describe_ways(ways)}"
        yield Conflict("tls.versions", message, find_main_key(ways))


def _find_dead_ends_of_1_2(tls: Tls) -> Iterator[Conflict]:
    """Yield the case that only the company of TLS 1.3 brings, which ties ECDSA to curves."""
    exchanges = {suite.key_exchange for suite in list_suites(tls) if suite.version == "1.2"}
    if exchanges and not any(_can_sign(tls, exchange or "") for exchange in exchanges):
        ways = _list_ways_to_sign(tls)
        message = '"1.2" beside "1.3" has no signature algorithm left: "ECDHE-ECDSA" in'
        message += f" tls.key_exchanges needs {describe_ways(ways)}"
        yield Conflict("tls.versions", message, "tls.key_exchanges")


def _can_sign(tls: Tls, exchange: str) -> bool:
    """Tell whether a server can sign such a key exchange with an algorithm that is offered."""
    kind = exchange.rpartition("-")[2]
    return exchange == "RSA" or any(
        algorithm.signature == kind for algorithm in list_signature_algorithms(tls)
    )


def _list_ways_to_sign(tls: Tls) -> list[Way]:
    """Return the ways to have a signature of TLS 1.3 with ECDSA."""
    return find_shortest(
        frozenset(
            (key, value)
            for key, value, values in (
                ("curves", algorithm.curve or "", tls.curves),
                ("digests", algorithm.digest, tls.digests),
            )
            if value not in values
        )
        for algorithm in all_signature_algorithms()
        if algorithm.signature == "ECDSA"
    )


def _quote(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)
