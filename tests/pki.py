"""Certificates for tests: authorities, intermediates, servers, and those that must be refused."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Digest = hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512
_DAY = timedelta(days=1)
_CURVES: dict[str, ec.EllipticCurve] = {
    "ecdsa": ec.SECP256R1(),
    "secp256r1": ec.SECP256R1(),
    "secp384r1": ec.SECP384R1(),
    "secp521r1": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
    "brainpoolP256r1": ec.BrainpoolP256R1(),
    "brainpoolP384r1": ec.BrainpoolP384R1(),
}


@dataclass(frozen=True)
class Identity:
    """A key and its certificate; `chain` holds the certificates between it and its root."""

    key: Key
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    def issue_authority(self, kind: str, name: str, *, end: timedelta = 30 * _DAY) -> Identity:
        """Make an intermediate authority below this one, valid to `end`, from now."""
        return self._issue(make_key(kind), name, [_make_ca_constraint()], end=end)

    def issue_server(
        self,
        kind: str,
        *names: str,
        start: timedelta = -_DAY,
        end: timedelta = 30 * _DAY,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        digest: Digest | None = None,
        pss: bool = False,
        filling: int = 0,
    ) -> Identity:
        """Make a server's identity for host names and addresses, valid from and to, from now.

        Its signature is made with SHA-256 or `digest`, and as RSASSA-PSS if `pss` says so. An
        extension that nobody knows has `filling` bytes.
        """
        extensions: list[x509.ExtensionType] = [
            x509.SubjectAlternativeName([_parse_name(name) for name in names]),
            x509.ExtendedKeyUsage([usage]),
        ]
        if filling:
            octets = b"\x04\x82" + filling.to_bytes(2) + bytes(filling)
            extensions.append(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), octets))
        return self._issue(
            make_key(kind), names[0], extensions, start=start, end=end, digest=digest, pss=pss
        )

    def issue_client(self, kind: str, name: str) -> Identity:
        """Make a client's identity."""
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._issue(make_key(kind), name, [usage])

    def write(self, directory: Path) -> IdentityFiles:
        """Write key, certificate and chain as PEM files, as a server wants them."""
        directory.mkdir(parents=True, exist_ok=True)
        files = IdentityFiles(*(directory / name for name in ("cert.pem", "key.pem", "chain.pem")))
        files.cert_path.write_bytes(make_pem(self.certificate))
        files.chain_path.write_bytes(make_pem(*self.chain))
        files.key_path.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files

    def _issue(
        self,
        key: Key,
        name: str,
        extensions: list[x509.ExtensionType],
        *,
        start: timedelta = -_DAY,
        end: timedelta = 30 * _DAY,
        digest: Digest | None = None,
        pss: bool = False,
    ) -> Identity:
        builder = _start_certificate(key, name, self.certificate.subject, start, end)
        for extension in extensions:
            critical = isinstance(extension, x509.BasicConstraints)
            builder = builder.add_extension(extension, critical=critical)
        digest = digest or hashes.SHA256()
        scheme = padding.PSS(padding.MGF1(digest), digest.digest_size) if pss else None
        certificate = builder.sign(self.key, digest, rsa_padding=scheme)
        is_root = self.certificate.issuer == self.certificate.subject
        return Identity(key, certificate, () if is_root else (self.certificate, *self.chain))


@dataclass(frozen=True)
class IdentityFiles:
    """Where an identity was written."""

    cert_path: Path
    key_path: Path
    chain_path: Path


def make_key(kind: str) -> Key:
    """Make an `ecdsa` (P-256) or `rsa` (2048 bits) key, or one of a curve or size: `rsa-3072`."""
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    return rsa.generate_private_key(65537, int(kind.partition("-")[2] or 2048))


def make_authority(kind: str, name: str = "Test root", *, end: timedelta = 365 * _DAY) -> Identity:
    """Make a root authority, valid since yesterday and to `end`, from now."""
    key = make_key(kind)
    subject = _make_subject(name)
    builder = _start_certificate(key, name, subject, -_DAY, end)
    builder = builder.add_extension(_make_ca_constraint(), critical=True)
    return Identity(key, builder.sign(key, hashes.SHA256()))


def make_pem(*certificates: x509.Certificate) -> bytes:
    """Return the certificates one after another in PEM."""
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def _start_certificate(
    key: Key, name: str, issuer: x509.Name, start: timedelta, end: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_make_subject(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
    )


def _make_subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _make_ca_constraint() -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=True, path_length=None)


def _parse_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
