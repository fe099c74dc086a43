"""Read a certificate, with those between it and its CA, and the key that belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from nodemcu_tls_build.certs.details import Details
from nodemcu_tls_build.certs.files import read_files
from nodemcu_tls_build.certs.finding import Finding, explain_findings
from nodemcu_tls_build.certs.key_kind import describe_key
from nodemcu_tls_build.certs.keys import AskPassphrase, encode_key, get_spki, open_key
from nodemcu_tls_build.certs.readable import NEWEST, check_readable
from nodemcu_tls_build.certs.strength import (
    check_curve,
    check_digest,
    check_signature_kind,
    check_strength,
)
from nodemcu_tls_build.certs.usage import (
    check_dates,
    check_path_lengths,
    check_purpose,
    check_signing,
)
from nodemcu_tls_build.errors import CertificateError

_CERT_HINT = "Give the certificate: a block from BEGIN CERTIFICATE to END CERTIFICATE, or DER."
_KEY_HINT = "Give its private key: PKCS#8, SEC1 or PKCS#1, PEM or DER."
_DEVICE = "Give one that was issued for the device, as nodemcu-tls cert new-client does."
_ORDER = "Put the key's own certificate first, then the one that issued it, and so on."


@dataclass(frozen=True)
class Pair:
    """Certificates in DER, the key's own first, and the key: PKCS#1 for RSA, SEC1 for EC."""

    certificates: tuple[bytes, ...]
    key: bytes = field(repr=False)


def load_pair(
    cert_path: Path, key_path: Path, *, now: datetime, ask_passphrase: AskPassphrase
) -> Pair:
    """Return a certificate and its key; raise CertificateError with what is wrong with them.

    `ask_passphrase` gives that of an encrypted key in that file, None if there is nobody to ask.
    """
    return _load(cert_path, key_path, now, ask_passphrase, _check_chain)


def load_client_pair(
    cert_path: Path, key_path: Path, *, now: datetime, ask_passphrase: AskPassphrase
) -> Pair:
    """Return a certificate and key for a device, as `load_pair` does.

    Raises CertificateError also for those that no server could accept, or no device should have.
    """
    return _load(cert_path, key_path, now, ask_passphrase, _check_client)


def _load(
    cert_path: Path,
    key_path: Path,
    now: datetime,
    ask_passphrase: AskPassphrase,
    check: Callable[[Path, Sequence[Details], datetime], Iterator[Finding]],
) -> Pair:
    certificates = load_certificates(cert_path)
    key = _load_key(key_path, ask_passphrase)
    spki = get_spki(key)
    owners = [n for n, one in enumerate(certificates, 1) if one.spki == spki]
    if not owners:
        raise CertificateError(
            f"the key in {key_path} is not that of the certificate in {cert_path}",
            "Give the key that the certificate was issued for.",
        )
    if owners[0] != 1:
        raise CertificateError(
            f"the key in {key_path} is that of certificate {owners[0]} in {cert_path}, not of the"
            " first",
            _ORDER,
        )
    findings = list(check(cert_path, certificates, now))
    if findings:
        raise explain_findings(f"{cert_path} cannot be used", findings)
    return Pair(tuple(one.der for one in certificates), encode_key(key))


def load_certificates(path: Path) -> list[Details]:
    """Return the certificates of a PEM or DER file in its order; raise CertificateError.

    A private key may be in the file, too; it is not read.
    """
    contents = read_files([path], allow_pipe=True)
    findings = contents.findings
    if not findings and not contents.certificates:
        findings = [Finding(f"{path} holds no certificate", _CERT_HINT)]
    if findings:
        raise explain_findings(f"{path} cannot be used", findings)
    return [found.details for found in contents.certificates]


def _load_key(path: Path, ask_passphrase: AskPassphrase) -> object:
    """Return the one private key in a file, which may hold certificates, too."""
    contents = read_files([path], allow_pipe=True)
    findings, keys = list(contents.findings), contents.keys
    key: object = None
    if len(keys) > 1:
        message = f"{path} holds {len(keys)} private keys"
        findings.append(Finding(message, "Give a file with the one that is meant."))
    elif keys:
        key = open_key(keys[0], ask_passphrase)
        if isinstance(key, Finding):
            findings.append(key)
        else:
            findings += check_strength(describe_key(key), f"the key in {path}")
    elif not findings:
        findings.append(Finding(f"{path} holds no private key", _KEY_HINT))
    if findings:
        raise explain_findings(f"{path} cannot be used", findings)
    return key


def _check_chain(path: Path, certificates: Sequence[Details], now: datetime) -> Iterator[Finding]:
    for number, (one, issuer) in enumerate(pairwise(certificates), 1):
        if one.issuer_id != issuer.subject_id:
            yield Finding(
                f"{path}: certificate {number + 1} did not issue certificate {number}", _ORDER
            )
    own = certificates[0]
    yield from check_dates(own, f"{path}: the certificate ({own.subject})", now=now)


def _check_client(path: Path, certificates: Sequence[Details], now: datetime) -> Iterator[Finding]:
    yield from _check_chain(path, certificates, now)
    own = certificates[0]
    where = f"{path}: the certificate ({own.subject})"
    if own.is_ca:
        yield Finding(f"{where} is that of a CA, whose key does not belong on a device", _DEVICE)
    yield from check_purpose(own, where, "client")
    yield from check_signing(own, where)
    names = [f"{path}: certificate {n} ({one.subject})" for n, one in enumerate(certificates, 1)]
    yield from check_path_lengths(list(zip(certificates, names, strict=True)))
    for one, its_name in zip(certificates, names, strict=True):
        if not one.is_self_signed:
            yield from check_digest(one, its_name)
        yield from check_signature_kind(one, its_name)
        yield from check_strength(one.key, its_name)
        yield from check_curve(one.key, its_name)
        yield from check_readable(one, its_name, mbedtls=NEWEST)
