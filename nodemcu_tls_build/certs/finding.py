"""Say what is wrong with certificates and keys, all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nodemcu_tls_build.errors import CertificateError


@dataclass(frozen=True)
class Finding:
    """What is wrong, and what to do about it."""

    message: str
    hint: str


def explain_findings(title: str, findings: Sequence[Finding]) -> CertificateError:
    """Return the error that says all of them; the title stands above several."""
    hint = " ".join(dict.fromkeys(finding.hint for finding in findings))
    messages = list(dict.fromkeys(finding.message for finding in findings))
    if len(messages) == 1:
        return CertificateError(messages[0], hint)
    return CertificateError("\n".join([f"{title}:", *(f"  {one}" for one in messages)]), hint)
