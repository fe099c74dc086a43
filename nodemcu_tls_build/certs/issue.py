"""Issue certificates, many of them: what is the same in all is made once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from nodemcu_tls_build.certs.details import format_serial_number, read_details
from nodemcu_tls_build.certs.finding import Finding
from nodemcu_tls_build.certs.keys import AskPassphrase, get_spki
from nodemcu_tls_build.certs.pair import load_pair
from nodemcu_tls_build.certs.readable import NEWEST, check_readable
from nodemcu_tls_build.certs.strength import check_curve, check_signature_kind, check_strength
from nodemcu_tls_build.certs.usage import check_authority, check_path_lengths, is_for
from nodemcu_tls_build.errors import CertificateError

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

MARGIN = timedelta(days=1)  # before now, for peers whose clock is late
_ISSUER_HINT = "Give the certificate and the key of a CA; nodemcu-tls cert new-ca makes one."
_MAX_SERIAL_NUMBER = 2**159 - 1  # as random ones are, RFC 5280


class Role(Enum):
    """Whom a certificate is for."""

    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
    SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True)
class Issued:
    """A certificate in DER; its serial number and SHA-256 in hexadecimal."""

    der: bytes
    serial_number: str
    fingerprint: str


class Issuer:
    """An authority that certifies peers from now on, for `days` or as long as it is valid.

    `chain` is its certificate, then those between it and its root, in DER.
    """

    def __init__(
        self,
        chain: tuple[bytes, ...],
        key: bytes,
        *,
        days: int,
        now: datetime,
        role: Role = Role.CLIENT,
    ) -> None:
        """Take a key in DER that belongs to the first certificate."""
        self._certificate = x509.load_der_x509_certificate(chain[0])
        loaded = load_der_private_key(key, None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise CertificateError("the issuer's key is neither RSA nor EC", None)
        self._key = loaded
        self.not_before = max(now - MARGIN, self._certificate.not_valid_before_utc)
        wanted = now + timedelta(days=days)
        self.not_after = min(wanted, self._certificate.not_valid_after_utc)
        self.is_cut = wanted - self.not_after >= timedelta(days=1)
        self.der = chain[0]
        self.chain = tuple(der for der in chain if not _is_root(der))
        self._extensions = _make_extensions(self._certificate, role)

    def __repr__(self) -> str:
        return f"Issuer({self._certificate.subject.rfc4514_string()})"

    def issue(
        self,
        subject: x509.Name,
        public_key: PublicKey,
        extensions: Sequence[x509.Extension[x509.ExtensionType]] = (),
    ) -> Issued:
        """Certify a key, with `extensions` of its own; the serial number is random."""
        return describe_issued(
            self._sign(subject, public_key, extensions, x509.random_serial_number())
        )

    def measure_certificate(self) -> int:
        """Return the most bytes that a certificate for a P-256 key has without its subject."""
        public_key, _ = make_key()
        empty = x509.Name([])
        sample = self._sign(empty, public_key, (), _MAX_SERIAL_NUMBER)
        unsigned = len(sample.public_bytes(Encoding.DER)) - len(sample.signature)
        return unsigned + _measure_signature(self._key) - len(empty.public_bytes())

    def find_issued(self, der: bytes, subject: x509.Name, spki: bytes) -> Issued | None:
        """Return a certificate if this issuer made it for that subject and key."""
        try:
            found = x509.load_der_x509_certificate(der)
            found.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return None
        is_that = found.subject == subject and get_spki(found.public_key()) == spki
        return describe_issued(found) if is_that else None

    def _sign(
        self,
        subject: x509.Name,
        public_key: PublicKey,
        extensions: Sequence[x509.Extension[x509.ExtensionType]],
        serial_number: int,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            issuer_name=self._certificate.subject,
            subject_name=subject,
            public_key=public_key,
            serial_number=serial_number,
            not_valid_before=self.not_before.replace(tzinfo=None),
            not_valid_after=self.not_after.replace(tzinfo=None),
            extensions=[*self._extensions, *extensions],
        )
        return builder.sign(self._key, hashes.SHA256())


def make_key() -> tuple[PublicKey, bytes]:
    """Make a P-256 key; return its public half, and the whole in DER, SEC1."""
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return key.public_key(), der


def describe_issued(certificate: x509.Certificate) -> Issued:
    """Return what a manifest says of a certificate."""
    der = certificate.public_bytes(Encoding.DER)
    return Issued(der, format_serial_number(certificate.serial_number), sha256(der).hexdigest())


def load_issuer(  # noqa: PLR0913 -- whose, for how long, for whom
    cert_path: Path,
    key_path: Path,
    *,
    days: int,
    now: datetime,
    ask_passphrase: AskPassphrase,
    role: Role = Role.CLIENT,
) -> Issuer:
    """Return the authority in these files; raise CertificateError saying why it cannot issue."""
    pair = load_pair(cert_path, key_path, now=now, ask_passphrase=ask_passphrase)
    faults = list(_find_issuer_faults(pair.certificates, role))
    if faults:
        messages = "; ".join(fault.message for fault in faults)
        raise CertificateError(f"{cert_path} cannot issue: {messages}", _ISSUER_HINT)
    return Issuer(pair.certificates, pair.key, days=days, now=now, role=role)


def _find_issuer_faults(chain: Sequence[bytes], role: Role) -> Iterator[Finding]:
    found = [details for details in map(read_details, chain) if details is not None]
    if len(found) < len(chain):
        yield Finding("it cannot be decoded", "Copy the certificate again.")
        return
    details = found[0]
    yield from check_path_lengths([(one, one.subject) for one in (details, *found)])
    where = f"the issuer ({details.subject})"
    yield from check_authority(details, where)
    yield from check_strength(details.key, where)
    yield from check_curve(details.key, where)
    for one in found:
        if not one.is_self_signed:  # a root's own signature nobody reads
            yield from check_signature_kind(one, f"the certificate ({one.subject})")
    yield from check_readable(details, where, mbedtls=NEWEST)
    name = role.name.lower()
    if not is_for(details, name):
        message = f"{where} may not issue for {name}s by its extended key usage"
        yield Finding(message, "Use another CA, or one without extended key usage.")


def make_pem_chain(certificates: tuple[bytes, ...]) -> bytes:
    """Return certificates one after another in PEM."""
    return b"".join(
        x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates
    )


def split_pem_chain(data: bytes) -> tuple[bytes, ...]:
    """Return the DER of certificates in PEM; none for what cannot be read."""
    try:
        return tuple(c.public_bytes(Encoding.DER) for c in x509.load_pem_x509_certificates(data))
    except ValueError:
        return ()


def make_usage(*allowed: str) -> x509.KeyUsage:
    """Return the key usage that allows these and nothing else."""
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: name in allowed for name in names})


def _make_extensions(
    issuer: x509.Certificate, role: Role
) -> list[x509.Extension[x509.ExtensionType]]:
    made: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (make_usage("digital_signature"), True),
        (x509.ExtendedKeyUsage([role.value]), False),
        (_make_authority_id(issuer), False),
    ]
    return [x509.Extension(value.oid, critical, value) for value, critical in made]


def _make_authority_id(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = issuer.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise CertificateError("the issuer's key is neither RSA nor EC", None) from None
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _measure_signature(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> int:
    """Return the most bytes that a signature with the key has."""
    length = (key.key_size + 7) // 8
    if isinstance(key, rsa.RSAPrivateKey):
        return length
    return 3 + 2 * (3 + length)  # a sequence of two numbers, each with a zero in front


def _is_root(der: bytes) -> bool:
    certificate = x509.load_der_x509_certificate(der)
    return certificate.subject == certificate.issuer
