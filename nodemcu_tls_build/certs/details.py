"""Say of one certificate or key what a check needs to know."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import (
    ExtendedKeyUsageOID,
    ExtensionOID,
    NameOID,
)

from nodemcu_tls_build.certs.der import fold_name
from nodemcu_tls_build.certs.key_kind import KeyKind, describe_public_key

E = TypeVar("E", bound=x509.ExtensionType)

# By the names of profiles, the others by those that people know.
_DIGESTS = {
    "md5": "MD5",
    "sha1": "SHA-1",
    "sha224": "SHA-224",
    "sha256": "SHA-256",
    "sha384": "SHA-384",
    "sha512": "SHA-512",
}
_USAGES = (
    ("digital_signature", "digitalSignature"),
    ("content_commitment", "nonRepudiation"),
    ("key_encipherment", "keyEncipherment"),
    ("data_encipherment", "dataEncipherment"),
    ("key_agreement", "keyAgreement"),
    ("key_cert_sign", "keyCertSign"),
    ("crl_sign", "cRLSign"),
)
# By the object identifiers that they begin with (RFC 5758, RFC 8017); the order counts.
_SIGNATURES = (
    ("1.2.840.10045.4.", "ECDSA"),
    ("1.2.840.113549.1.1.10.", "RSA-PSS"),
    ("1.2.840.113549.1.1.", "RSA"),
    ("1.3.36.3.3.1.2.", "RSA"),
    ("1.3.101.112.", "Ed25519"),
    ("1.3.101.113.", "Ed448"),
)
_RIPEMD160 = "1.3.36.3.3.1.2"  # RSA with it (RFC 8017 has none; TeleTrusT)
_PURPOSES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "server",
    ExtendedKeyUsageOID.CLIENT_AUTH: "client",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "any",
}


@dataclass(frozen=True)
class Details:
    """What a certificate says; the extensions that it lacks are None."""

    certificate: x509.Certificate
    der: bytes
    subject: str
    issuer: str
    subject_id: bytes
    """Subject for comparing: equal where mbedTLS takes two names for the same."""
    issuer_id: bytes
    serial: int
    not_before: datetime
    not_after: datetime
    version: int
    key: KeyKind
    signature: str
    digest: str
    is_ca: bool
    path_length: int | None
    usage: x509.KeyUsage | None
    purposes: frozenset[str] | None
    alternative_names: x509.SubjectAlternativeName | None
    common_names: tuple[str, ...]
    key_id: bytes | None
    issuer_key_id: bytes | None

    @cached_property
    def is_self_signed(self) -> bool:
        """Tell whether its own key signed it, and not another one of the same name."""
        return self.subject_id == self.issuer_id and is_signed_by(self, self)

    @property
    def claims_own_signature(self) -> bool:
        """Tell whether it says that its own key signed it, not an earlier one of the same name."""
        own, issuer = self.key_id, self.issuer_key_id
        return self.subject_id == self.issuer_id and (not own or not issuer or own == issuer)

    @cached_property
    def spki(self) -> bytes:
        """Return its SubjectPublicKeyInfo."""
        key = self.certificate.public_key()
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def has_two_digests(self) -> bool:
        """Tell a signature by RSA-PSS whose mask was made with another digest."""
        try:
            parameters = self.certificate.signature_algorithm_parameters
            digest = self.certificate.signature_hash_algorithm
        except (UnsupportedAlgorithm, ValueError):
            return False  # it is told as an unknown digest
        if not isinstance(parameters, padding.PSS) or digest is None:
            return False
        return parameters.mgf._algorithm.name != digest.name

    @property
    def names(self) -> tuple[str, ...]:
        """Return the host names and addresses that it is for."""
        if self.alternative_names is None:
            return self.common_names
        dns = self.alternative_names.get_values_for_type(x509.DNSName)
        addresses = self.alternative_names.get_values_for_type(x509.IPAddress)
        return tuple(make_printable(str(name)) for name in (*dns, *addresses))

    @property
    def serial_number(self) -> str:
        """Return its serial number in hexadecimal."""
        return format_serial_number(self.serial)

    @property
    def usages(self) -> list[str] | None:
        """Return what its key may be used for, by the names of RFC 5280; None for anything."""
        if self.usage is None:
            return None
        return [name for attribute, name in _USAGES if getattr(self.usage, attribute)]

    @property
    def fingerprint(self) -> str:
        """Return its SHA-256 in hexadecimal."""
        return sha256(self.der).hexdigest()


def read_details(der: bytes) -> Details | None:
    """Return what a certificate says, None when the bytes are not one that can be read."""
    with warnings.catch_warnings():  # about encodings that cryptography will refuse one day
        warnings.simplefilter("ignore")
        try:
            return _read(x509.load_der_x509_certificate(der))
        except (
            ValueError,
            UnsupportedAlgorithm,
            x509.DuplicateExtension,
            x509.InvalidVersion,
            x509.UnsupportedGeneralNameType,
        ):
            return None


def _read(certificate: x509.Certificate) -> Details:
    extensions = certificate.extensions
    basic = _find(extensions, ExtensionOID.BASIC_CONSTRAINTS, x509.BasicConstraints)
    extended = _find(extensions, ExtensionOID.EXTENDED_KEY_USAGE, x509.ExtendedKeyUsage)
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    own = _find(extensions, ExtensionOID.SUBJECT_KEY_IDENTIFIER, x509.SubjectKeyIdentifier)
    authority = _find(
        extensions, ExtensionOID.AUTHORITY_KEY_IDENTIFIER, x509.AuthorityKeyIdentifier
    )
    signature, digest = _describe_signature(certificate)
    names = ExtensionOID.SUBJECT_ALTERNATIVE_NAME
    return Details(
        certificate=certificate,
        der=certificate.public_bytes(Encoding.DER),
        subject=describe_name(certificate.subject),
        issuer=describe_name(certificate.issuer),
        subject_id=fold_name(certificate.subject.public_bytes()),
        issuer_id=fold_name(certificate.issuer.public_bytes()),
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        version=certificate.version.value + 1,
        key=describe_public_key(certificate),
        signature=signature,
        digest=digest,
        is_ca=basic is not None and basic.ca,
        path_length=basic.path_length if basic else None,
        usage=_find(extensions, ExtensionOID.KEY_USAGE, x509.KeyUsage),
        purposes=_list_purposes(extended),
        alternative_names=_find(extensions, names, x509.SubjectAlternativeName),
        common_names=tuple(make_printable(str(one.value)) for one in common),
        key_id=own.digest if own else None,
        issuer_key_id=authority.key_identifier if authority else None,
    )


def is_signed_by(one: Details, issuer: Details) -> bool:
    """Tell whether the issuer's key signed it; what cannot be computed here is believed."""
    return verify_signature(one, issuer) is not False


def verify_signature(one: Details, issuer: Details) -> bool | None:
    """Tell whether the issuer's key signed it; None for what cannot be computed here."""
    certificate, key = one.certificate, issuer.certificate.public_key()
    if one.issuer_id != issuer.subject_id:
        return False
    try:
        parameters = certificate.signature_algorithm_parameters
        digest = certificate.signature_hash_algorithm
        signed = certificate.signature, certificate.tbs_certificate_bytes
        # Not `verify_directly_issued_by`, which refuses every SHA-1: old roots are signed so.
        if isinstance(key, ec.EllipticCurvePublicKey) and digest and one.signature == "ECDSA":
            key.verify(*signed, ec.ECDSA(digest))
        elif isinstance(key, rsa.RSAPublicKey) and digest and not isinstance(parameters, ec.ECDSA):
            key.verify(*signed, parameters or padding.PKCS1v15(), digest)
        else:
            certificate.verify_directly_issued_by(issuer.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return False
    except UnsupportedAlgorithm:
        return None
    return True


def format_serial_number(number: int) -> str:
    """Return a serial number in hexadecimal, two digits a byte as openssl prints it."""
    digits = f"{abs(number):x}"
    return f"{'-' if number < 0 else ''}{'0' if len(digits) % 2 else ''}{digits}"


def describe_name(name: x509.Name) -> str:
    """Return a name in RFC 4514 form, printable characters only."""
    return make_printable(name.rfc4514_string()) or "no subject"


def make_printable(text: str) -> str:
    """Keep a name from doing anything to a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _find(extensions: x509.Extensions, oid: x509.ObjectIdentifier, kind: type[E]) -> E | None:
    try:
        value = extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
    return value if isinstance(value, kind) else None


def _list_purposes(usage: x509.ExtendedKeyUsage | None) -> frozenset[str] | None:
    if usage is None:
        return None
    return frozenset(_PURPOSES.get(oid, oid.dotted_string) for oid in usage)


def _describe_signature(certificate: x509.Certificate) -> tuple[str, str]:
    """Return scheme and digest of the signature on it, by the names of profiles."""
    oid = certificate.signature_algorithm_oid.dotted_string
    scheme = next((name for start, name in _SIGNATURES if f"{oid}.".startswith(start)), oid)
    if oid == _RIPEMD160:
        return scheme, "RIPEMD-160"
    try:
        algorithm = certificate.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return scheme, "an unknown digest"
    return scheme, _DIGESTS.get(algorithm.name, algorithm.name) if algorithm else "no digest"
