"""Read a bundle of roots, and the chains that are to be verified with it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from nodemcu_tls_build.certs.details import Details, read_details
from nodemcu_tls_build.certs.files import read_files
from nodemcu_tls_build.certs.finding import Finding
from nodemcu_tls_build.certs.minimise import Chain, Minimised, minimise
from nodemcu_tls_build.certs.pair import load_certificates
from nodemcu_tls_build.certs.presented import Host, fetch_chains, parse_host
from nodemcu_tls_build.errors import CertificateError, ConfigError

_MAX_BUNDLE = 16 * 1024 * 1024
_AT_ONCE = 8  # hosts


@dataclass(frozen=True)
class MinimiseRequest:
    """A bundle, and the chains in files and of hosts that it is to be kept for.

    A host may take `timeout` seconds.
    """

    bundle_path: Path
    chain_paths: Sequence[Path]
    hosts: Sequence[str]
    timeout: float


def minimise_bundle(request: MinimiseRequest, *, now: datetime) -> Minimised:
    """Return the roots that are needed; raise ConfigError with every chain that lacks one."""
    hosts = list(map(parse_host, dict.fromkeys(request.hosts)))
    with warnings.catch_warnings():  # about encodings that cryptography will refuse one day
        warnings.simplefilter("ignore")
        roots, notes = _load_bundle(request.bundle_path)
        chains, findings = _load_chains(request, hosts)
        result, missing = minimise(roots, chains, now=now, warnings=notes)
    findings += missing
    if findings:
        raise ConfigError(
            f"{request.bundle_path} cannot be minimised: nothing was written",
            " ".join(dict.fromkeys(finding.hint for finding in findings)),
            [finding.message for finding in findings],
        )
    return result


def _load_chains(
    request: MinimiseRequest, hosts: Sequence[Host]
) -> tuple[list[Chain], list[Finding]]:
    chains: list[Chain] = []
    findings = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sent = [pool.submit(fetch_chains, host, timeout=request.timeout) for host in hosts]
        loads = [partial(_load_chain, path) for path in dict.fromkeys(request.chain_paths)]
        loads += [partial(_read_sent, *pair) for pair in zip(hosts, sent, strict=True)]
        for load in loads:
            try:
                chains += load()
            except CertificateError as error:
                findings.append(Finding(error.message, error.hint or ""))
    return chains, findings


def _load_bundle(path: Path) -> tuple[list[Details], list[str]]:
    """Return the certificates of a bundle, and what is wrong with the rest."""
    contents = read_files([path], limit=_MAX_BUNDLE)
    if not contents.certificates:
        hint = "Give a file of CA certificates: PEM, from BEGIN CERTIFICATE to END CERTIFICATE."
        message = next(
            (finding.message for finding in contents.findings), f"{path} holds no certificate"
        )
        raise CertificateError(message, hint)
    left_out = [f"left out: {finding.message}" for finding in contents.findings]
    return [one.details for one in contents.certificates], left_out


def _load_chain(path: Path) -> list[Chain]:
    return [Chain(str(path), tuple(load_certificates(path)))]


def _read_sent(host: Host, sent: Future[list[tuple[bytes, ...]]]) -> list[Chain]:
    return [Chain(str(host), _read_chain(host, chain)) for chain in sent.result()]


def _read_chain(host: Host, chain: Sequence[bytes]) -> tuple[Details, ...]:
    found = []
    for number, der in enumerate(chain, 1):
        details = read_details(der)
        if details is None:
            message = f"certificate {number} of those that {host} sends cannot be decoded"
            raise CertificateError(message, "Have the server send another one.")
        found.append(details)
    return tuple(found)
