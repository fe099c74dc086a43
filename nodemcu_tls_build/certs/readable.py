"""Find what a profile's mbedTLS cannot read of a certificate, however right it is.

The extensions are those that each version's x509_crt.c has a parser for, the strings of names
those that its x509.c takes.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import CertificatePoliciesOID, ExtensionOID

from nodemcu_tls_build.certs.der import OBJECT_ID, find_key, list_name_tags, split_der
from nodemcu_tls_build.certs.details import Details
from nodemcu_tls_build.certs.finding import Finding

NEWEST = "3.6.6"

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
# BIT STRING, and UTF8String, PrintableString, T61String, IA5String, UniversalString, BMPString.
_STRINGS = {0x03, 0x0C, 0x13, 0x14, 0x16, 0x1C, 0x1E}
_WHOLE_POINT, _COMPRESSED = 4, (2, 3)  # SEC 1, 2.3.3
_AGAIN = "Have it issued again"


def check_readable(details: Details, where: str, *, mbedtls: str) -> Iterator[Finding]:
    """Find why this version of mbedTLS could not read the certificate."""
    for extension in details.certificate.extensions:
        if extension.critical and not _is_read(extension, mbedtls):
            name = extension.oid._name
            told = extension.oid.dotted_string if name == "Unknown OID" else name
            yield Finding(
                f"{where} has the critical extension {told}, which mbedTLS {mbedtls} does not know",
                f"{_AGAIN} without that extension, or not marked as critical.",
            )
        if mbedtls == NEWEST and _lacks_key_id(extension.value):
            yield Finding(
                f"{where} has an authority key identifier without a key's, which mbedTLS {mbedtls}"
                " does not take",
                f"{_AGAIN}, by a CA whose certificate has a subject key identifier.",
            )
    names = details.certificate.subject, details.certificate.issuer
    if any(list_name_tags(name.public_bytes()) - _STRINGS for name in names):
        message = f"{where} has a name with a kind of string that mbedTLS does not know"
        yield Finding(message, f"{_AGAIN} with names as UTF8String.")
    if details.key.name == "EC":
        yield from _check_point(details, where, mbedtls)


def _check_point(details: Details, where: str, mbedtls: str) -> Iterator[Finding]:
    algorithm, point = split_der(find_key(details.der).body)
    parameters = [*split_der(algorithm.body)][1:]
    if not parameters or parameters[0].tag != OBJECT_ID:
        yield Finding(
            f"{where} spells its curve out, where mbedTLS wants its name",
            f"{_AGAIN} for a key with a named curve (ec_param_enc:named_curve).",
        )
    form = point.body[1]  # behind the count of unused bits
    is_compressed = mbedtls == NEWEST and details.is_ca and form in _COMPRESSED
    if form != _WHOLE_POINT and not is_compressed:
        yield Finding(
            f"{where} has its key as a compressed point, which TLS does not take",
            f"{_AGAIN} for a key with the whole point (ec_conv_form uncompressed).",
        )


def _lacks_key_id(value: x509.ExtensionType) -> bool:
    return isinstance(value, x509.AuthorityKeyIdentifier) and (
        value.key_identifier is None and value.authority_cert_issuer is None
    )


def _is_read(extension: x509.Extension[x509.ExtensionType], mbedtls: str) -> bool:
    if extension.oid not in _READ[mbedtls]:
        return False
    if not isinstance(extension.value, x509.CertificatePolicies):
        return True
    any_policy = CertificatePoliciesOID.ANY_POLICY
    return all(policy.policy_identifier == any_policy for policy in extension.value)
