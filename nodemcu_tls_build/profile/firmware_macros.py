"""Translate what a profile offers to servers into the macros that the firmware's own code reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nodemcu_tls_build.profile.groups import list_groups
from nodemcu_tls_build.profile.macro import Macro, measured, switched
from nodemcu_tls_build.profile.model import Profile
from nodemcu_tls_build.profile.signature_algorithms import list_signature_algorithms
from nodemcu_tls_build.profile.suites import list_suites


def list_suite_macros(profile: Profile) -> Iterator[Macro]:
    """Yield mbedTLS's own macro for the cipher suites, which would offer others without it."""
    macros = [suite.macro for suite in list_suites(profile.tls)]
    reason = "tls.cipher_suites, or all that the other settings allow, in their order"
    yield Macro("MBEDTLS_SSL_CIPHERSUITES", reason, _list_lines(macros), "tls.cipher_suites")


def list_firmware_macros(profile: Profile) -> Iterator[Macro]:
    """Yield what app/tls reads."""
    tls = profile.tls
    yield Macro(
        "NODEMCU_TLS_MAX_FRAGMENT",
        "tls.max_fragment, as its code",
        f"MBEDTLS_SSL_MAX_FRAG_LEN_{str(tls.max_fragment).upper()}",
        "tls.max_fragment",
    )
    yield from _group_macros(profile)
    yield _signature_macro(profile)
    if tls.alpn:
        protocols = ", ".join([*(f'"{protocol}"' for protocol in tls.alpn), "NULL"])
        yield Macro("NODEMCU_TLS_ALPN", "tls.alpn in its order, ended", protocols, "tls.alpn")
    if tls.verify:
        yield switched("NODEMCU_TLS_VERIFY", "tls.verify", "from boot on")
    if not tls.verify_dates:
        yield switched("NODEMCU_TLS_IGNORE_DATES", "tls.verify_dates", "not looked at", on=False)
    if tls.resumption:
        yield measured("NODEMCU_TLS_SESSIONS", "tls.sessions", tls.sessions, "servers remembered")
    if tls.idle_buffers == "release":
        note = "none between records"
        yield switched("NODEMCU_TLS_RELEASE_BUFFERS", "tls.idle_buffers", note, on="release")


def _group_macros(profile: Profile) -> Iterator[Macro]:
    groups = list_groups(profile.tls)
    if not groups:
        return
    reason = "tls.curves in their order, ended"
    if profile.mbedtls.version == "3.6.6":
        names = [f"MBEDTLS_SSL_IANA_TLS_GROUP_{group.iana_macro}" for group in groups]
        names.append("MBEDTLS_SSL_IANA_TLS_GROUP_NONE")
    else:
        names = [f"MBEDTLS_ECP_DP_{group.curve_macro}" for group in groups]
        names.append("MBEDTLS_ECP_DP_NONE")
    yield Macro("NODEMCU_TLS_GROUPS", reason, ", ".join(names), "tls.curves")


def _signature_macro(profile: Profile) -> Macro:
    """Return the list that mbedTLS 3.6 takes; 2.x takes the digests, and both kinds of each."""
    algorithms = list_signature_algorithms(profile.tls)
    if profile.mbedtls.version == "3.6.6":
        members = [f"{algorithm.code:#06x} /* {algorithm.name} */" for algorithm in algorithms]
        value = _list_lines([*members, "MBEDTLS_TLS1_3_SIG_NONE"])
        reason = "tls.signatures with tls.digests, ended"
        return Macro("NODEMCU_TLS_SIGNATURE_ALGORITHMS", reason, value, "tls.signatures")
    digests = dict.fromkeys(algorithm.digest for algorithm in algorithms)
    members = [f"MBEDTLS_MD_{digest.replace('-', '')}" for digest in digests]
    value = _list_lines([*members, "MBEDTLS_MD_NONE"])
    reason = "tls.digests, of signatures, ended"
    return Macro("NODEMCU_TLS_SIGNATURE_HASHES", reason, value, "tls.digests")


def _list_lines(members: Iterable[str]) -> str:
    """Return a macro's value that goes over several lines."""
    return "\\\n    " + ", \\\n    ".join(members)
