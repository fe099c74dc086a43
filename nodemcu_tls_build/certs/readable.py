"""Find what a profile's mbedTLS cannot read of a certificate, however right it is.

The extensions are those that each version's x509_crt.c has a parser for.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import CertificatePoliciesOID, ExtensionOID

from nodemcu_tls_build.certs.der import has_named_curve
from nodemcu_tls_build.certs.details import Details
from nodemcu_tls_build.certs.finding import Finding

_NETSCAPE_TYPE = x509.ObjectIdentifier("2.16.840.1.113730.1.1")
_ALWAYS = {
    *(ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE),
    *(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, _NETSCAPE_TYPE),
}
_READ = {
    "2.16.3": _ALWAYS,
    "2.28.3": _ALWAYS | {ExtensionOID.CERTIFICATE_POLICIES},
    "3.6.6": _ALWAYS
    | {
        *(ExtensionOID.CERTIFICATE_POLICIES, ExtensionOID.SUBJECT_KEY_IDENTIFIER),
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    },
}
NEWEST = "3.6.6"


def check_readable(details: Details, where: str, *, mbedtls: str) -> Iterator[Finding]:
    """Find why this version of mbedTLS could not read the certificate."""
    for extension in details.certificate.extensions:
        if extension.critical and not _is_read(extension, mbedtls):
            name = extension.oid._name
            told = extension.oid.dotted_string if name == "Unknown OID" else name
            yield Finding(
                f"{where} has the critical extension {told}, which mbedTLS {mbedtls} does not know",
                "Have it issued again without that extension, or not marked as critical.",
            )
    if details.key.name == "EC" and not has_named_curve(details.der):
        yield Finding(
            f"{where} spells its curve out, where mbedTLS wants its name",
            "Have it issued again for a key with a named curve (ec_param_enc:named_curve).",
        )


def _is_read(extension: x509.Extension[x509.ExtensionType], mbedtls: str) -> bool:
    if extension.oid not in _READ[mbedtls]:
        return False
    if not isinstance(extension.value, x509.CertificatePolicies):
        return True
    any_policy = CertificatePoliciesOID.ANY_POLICY
    return all(policy.policy_identifier == any_policy for policy in extension.value)
