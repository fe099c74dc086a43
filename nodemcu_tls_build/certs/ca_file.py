"""Read the CA certificates of a file, and refuse what the firmware could not trust by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nodemcu_tls_build.certs.details import Details
from nodemcu_tls_build.certs.files import FoundCertificate, read_files
from nodemcu_tls_build.certs.finding import Finding, explain_findings
from nodemcu_tls_build.certs.fit import check_limit, check_usable, measure_store
from nodemcu_tls_build.certs.strength import check_strength
from nodemcu_tls_build.certs.usage import check_anchor, check_dates
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.profile import Profile

_KEY_HINT = "Take the private key out: it must never reach a device. Replace it if others saw it."
_NONE_HINT = "Give a CA's certificate: from BEGIN CERTIFICATE to END CERTIFICATE, or DER."


@dataclass(frozen=True)
class CaBundle:
    """The certificates of one or several CAs, each once, in the order of the file."""

    certificates: tuple[Details, ...]

    @property
    def der(self) -> tuple[bytes, ...]:
        """Return their bytes."""
        return tuple(one.der for one in self.certificates)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Return their names in RFC 4514 form, printable characters only."""
        return tuple(one.subject for one in self.certificates)


def load_ca_file(path: Path, *, now: datetime | None, allow_pipe: bool = False) -> CaBundle:
    """Return the CA certificates of a PEM or DER file, each once.

    They have to be valid at the time `now`, which has a time zone; None if nobody checks dates.
    Text between the blocks is ignored. Raises CertificateError with everything that is wrong.
    """
    contents = read_files([path], allow_pipe=allow_pipe)
    findings = list(contents.findings)
    for key in contents.keys:
        message = f"{key.place}: a private key does not belong into a CA file"
        findings.append(Finding(message, _KEY_HINT))
    certificates: dict[bytes, Details] = {}
    for number, found in enumerate(contents.certificates, start=1):
        if found.details.der not in certificates:
            certificates[found.details.der] = found.details
            findings += _check(found, number, now)
    for finding in check_limit(measure_store(list(certificates.values()), None)):
        findings.append(Finding(f"{path}: {finding.message}", finding.hint))
    if not certificates and not findings:
        findings.append(Finding(f"{path} holds no certificate", _NONE_HINT))
    if findings:
        raise explain_findings(f"{path} cannot serve as a CA file", findings)
    return CaBundle(tuple(certificates.values()))


def check_ca_fits(bundle: CaBundle, profile: Profile) -> None:
    """Raise CertificateError unless the profile's firmware can check what the CAs sign."""
    findings: list[Finding] = []
    for one in bundle.certificates:
        findings += check_usable(one, one.subject, profile, is_anchor=True)
    if findings:
        problems = "; ".join(dict.fromkeys(finding.message for finding in findings))
        raise CertificateError(
            f"the profile {profile.name} cannot use the CA: {problems}",
            " ".join(dict.fromkeys(finding.hint for finding in findings)),
        )


def _check(found: FoundCertificate, number: int, now: datetime | None) -> Iterator[Finding]:
    details = found.details
    where = f"{found.path}: certificate {number} ({details.subject})"
    yield from check_anchor(details, where)
    if now is not None:
        yield from check_dates(details, where, now=now)
    yield from check_strength(details.key, where)
