"""Read the CA certificates of a PEM file, and refuse what the firmware could not trust by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nodemcu_tls_build.certs.check import Finding, ReadCertificate, check_ca, read_certificate
from nodemcu_tls_build.certs.pem import PemBlock, split_pem
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.profile import Profile

MAX_FILE_BYTES = 64 * 1024
MAX_DER_BYTES = 4096  # one flash sector: what a device has for CA certificates

_LABELS = ("CERTIFICATE", "X509 CERTIFICATE")
_PKCS7_DATA = bytes.fromhex("06092a864886f70d010701")  # the OID that a PKCS#12 file starts with

_COPY_HINT = "Copy the certificate again, whole, from its BEGIN line to its END line."
_PEM_HINT = "A CA file is text: one or several blocks from BEGIN CERTIFICATE to END CERTIFICATE."
_KEY_HINT = "Take the private key out of the file: whoever has the firmware can read all of it."
_REQUEST_HINT = "Give the certificate of the CA that signs the request, not the request."
_SIZE_HINT = "Keep only the CA certificates that your servers are issued under."


@dataclass(frozen=True)
class CaBundle:
    """CA certificates in the file's order: DER, subject in printable text, end of validity.

    `curves` names the curve of each key, None for an RSA key.
    """

    der: tuple[bytes, ...]
    subjects: tuple[str, ...]
    not_after: tuple[datetime, ...]
    curves: tuple[str | None, ...]


def load_ca_file(path: Path, *, now: datetime) -> CaBundle:
    """Return the CA certificates of a PEM file, each once; `now` has a time zone.

    Text between the blocks is ignored. Raises CertificateError with everything that is wrong.
    """
    text = _decode(_read(path), path)
    findings = list(_find_binary(text))
    certificates: dict[bytes, ReadCertificate] = {}
    count = 0
    for block in split_pem(text):
        finding = _find_block_fault(block)
        if finding is not None:
            findings.append(finding)
            continue
        count += 1
        certificate = read_certificate(block.data)
        if certificate is None:
            message = f"certificate {count} (line {block.line}) is damaged: it cannot be decoded"
            findings.append(Finding(message, _COPY_HINT))
        elif block.data not in certificates:
            certificates[block.data] = certificate
            findings += check_ca(certificate, f"certificate {count}", now=now)
    findings += _find_too_much(certificates)
    if findings:
        raise _explain(path, findings)
    if not certificates:
        raise CertificateError(f"CA file {path} holds no certificate", _PEM_HINT)
    return CaBundle(
        der=tuple(certificates),
        subjects=tuple(certificate.subject for certificate in certificates.values()),
        not_after=tuple(certificate.not_after for certificate in certificates.values()),
        curves=tuple(certificate.curve for certificate in certificates.values()),
    )


def check_ca_fits(bundle: CaBundle, profile: Profile) -> None:
    """Raise CertificateError unless the profile's firmware can check what the CAs sign."""
    tls = profile.tls
    problems = []
    for subject, curve in zip(bundle.subjects, bundle.curves, strict=True):
        kind = "RSA" if curve is None else "ECDSA"
        if kind not in tls.signatures:
            problems.append(f"{subject} has an {kind} key, tls.signatures has no {kind}")
        elif curve is not None and curve not in tls.curves:
            problems.append(f"{subject} has a key on {curve}, which tls.curves lacks")
    if problems:
        raise CertificateError(
            f"the profile {profile.name} cannot use the CA: {'; '.join(problems)}",
            "Add it to the profile, or use a CA with another kind of key.",
        )


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise CertificateError(f"CA file {path} is not a file", _PEM_HINT)
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        hint = "Check the path, or build without a CA."
        raise CertificateError(f"CA file {path} does not exist", hint) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        hint = "Make it readable for this user."
        raise CertificateError(f"CA file {path} cannot be read: {reason}", hint) from error
    if len(data) > MAX_FILE_BYTES:
        raise CertificateError(f"CA file {path} is larger than {MAX_FILE_BYTES} bytes", _SIZE_HINT)
    if not data.strip():
        raise CertificateError(f"CA file {path} is empty", _PEM_HINT)
    return data


def _decode(data: bytes, path: Path) -> str:
    """Return the text of a PEM file, with a byte order mark or without."""
    if b"-----BEGIN " in data:
        return data.decode("utf-8-sig", errors="replace")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CertificateError(f"CA file {path} is UTF-16 text", "Save it as UTF-8 or ASCII.")
    if _PKCS7_DATA in data[:64]:
        hint = f"Take the CA out of it: openssl pkcs12 -in {path} -cacerts -nokeys"
        raise CertificateError(f"CA file {path} is PKCS#12 or PKCS#7, not PEM", hint)
    if data[:1] == b"\x30":
        hint = f"Convert it: openssl x509 -inform DER -in {path} -out server-ca.crt"
        raise CertificateError(f"CA file {path} is DER, not PEM", hint)
    raise CertificateError(f"CA file {path} is not PEM", _PEM_HINT)


def _find_binary(text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.split("\n"), start=1):
        if any(character < " " and character not in "\t\r\f" for character in line):
            yield Finding(
                f"line {number} holds binary data", "Take it out, or copy the file again."
            )
            return


def _find_block_fault(block: PemBlock) -> Finding | None:
    place = f"line {block.line}: "
    if block.label.endswith("PRIVATE KEY"):
        return Finding(f"{place}a private key does not belong into a CA file", _KEY_HINT)
    if block.fault is not None:
        what = f"{block.label} " if block.label else ""
        return Finding(f"{place}{what}{block.fault}", _COPY_HINT)
    if block.label.endswith("CERTIFICATE REQUEST"):
        return Finding(f"{place}a certificate request is not a certificate", _REQUEST_HINT)
    if block.label not in _LABELS:
        return Finding(f"{place}{block.label} does not belong into a CA file", _PEM_HINT)
    return None


def _find_too_much(certificates: dict[bytes, ReadCertificate]) -> Iterator[Finding]:
    size = sum(map(len, certificates))
    if size > MAX_DER_BYTES:
        message = f"the certificates take {size} bytes of DER, a device keeps {MAX_DER_BYTES}"
        yield Finding(message, _SIZE_HINT)


def _explain(path: Path, findings: list[Finding]) -> CertificateError:
    hint = " ".join(dict.fromkeys(finding.hint for finding in findings))
    if len(findings) == 1:
        return CertificateError(f"CA file {path}: {findings[0].message}", hint)
    lines = [f"CA file {path} cannot be used:", *(f"  {finding.message}" for finding in findings)]
    return CertificateError("\n".join(lines), hint)
