"""A small PKI for development: a CA, servers and clients right below it, keys on P-256."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import NameOID

from nodemcu_tls_build.certs.issue import (
    MARGIN,
    Issued,
    Issuer,
    PublicKey,
    Role,
    describe_issued,
    load_issuer,
    make_key,
    make_pem_chain,
    make_usage,
)
from nodemcu_tls_build.certs.keys import AskPassphrase
from nodemcu_tls_build.certs.names import (
    MAX_COMMON_NAME,
    check_client_name,
    check_common_name,
    make_host_file_name,
    parse_host,
)
from nodemcu_tls_build.certs.new_files import PUBLIC, SECRET, NewFile, check_free, write_together
from nodemcu_tls_build.errors import CertificateError

# A CA is built into firmware, a client's certificate lies in a device: both are there for years.
CA_DAYS = CLIENT_DAYS = 3650
SERVER_DAYS = 397  # the most that browsers take of a server, which they may be tried on, too


@dataclass(frozen=True)
class Authority:
    """Where the issuing CA is."""

    cert_path: Path
    key_path: Path
    ask_passphrase: AskPassphrase


@dataclass(frozen=True)
class Made:
    """A certificate that was made, and where it and its key are."""

    kind: str
    name: str
    names: tuple[str, ...]
    cert_path: Path
    key_path: Path
    issued: Issued
    not_before: datetime
    not_after: datetime
    is_cut: bool = False
    """Whether it ends with the CA's certificate, before it was to."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "names": list(self.names),
            "certificate": str(self.cert_path),
            "key": str(self.key_path),
            "serial_number": self.issued.serial_number,
            "fingerprint": self.issued.fingerprint,
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
        }


@dataclass(frozen=True)
class Writing:
    """How what is made is written; keys are encrypted when there is a passphrase."""

    directory: Path
    replace: bool = False
    passphrase: bytes | None = field(default=None, repr=False)

    def list_paths(self, file_name: str) -> tuple[Path, Path]:
        """Return where a certificate and its key go."""
        return self.directory / f"{file_name}.crt", self.directory / f"{file_name}.key"

    def make_files(
        self, file_name: str, certificates: tuple[bytes, ...], key: bytes
    ) -> list[NewFile]:
        """Return the files of a certificate, the CAs above it behind, and of its key in DER."""
        cert_path, key_path = self.list_paths(file_name)
        return [
            NewFile(key_path, _make_key_pem(key, self.passphrase), SECRET),
            NewFile(cert_path, make_pem_chain(certificates), PUBLIC),
        ]


def make_ca(name: str, *, days: int, writing: Writing) -> Made:
    """Make the root of a PKI: `ca.crt` and `ca.key`; raise CertificateError or OutputError."""
    check_common_name(name)
    _check_passphrase(writing.passphrase)
    cert_path, key_path = writing.list_paths("ca")
    check_free([cert_path, key_path], replace=writing.replace)
    now = datetime.now(UTC).replace(microsecond=0)
    start, end = now - MARGIN, now + timedelta(days=days)
    public_key, key = make_key()
    issued = _sign_ca(_make_subject(name), public_key, key, start, end)
    write_together(writing.make_files("ca", (issued.der,), key), replace=writing.replace)
    return Made("ca", name, (), cert_path, key_path, issued, start, end)


def make_server(
    names: Sequence[str], authority: Authority, *, days: int, writing: Writing
) -> list[Made]:
    """Make one certificate for all of a server's names and addresses."""
    hosts = list(dict.fromkeys(parse_host(name) for name in names))
    told = [str(host.value) for host in hosts]
    common = next((name for name in told if len(name) <= MAX_COMMON_NAME), "server")
    extension = _make_extension(x509.SubjectAlternativeName(hosts))
    order = [(make_host_file_name(hosts[0]), common, tuple(told))]
    return _make_all(Role.SERVER, order, [extension], authority, days, writing)


def make_clients(
    names: Sequence[str], authority: Authority, *, days: int, writing: Writing
) -> list[Made]:
    """Make a certificate for each of the clients; the name is its common name."""
    for name in names:
        check_client_name(name)
    orders = [(name, name, ()) for name in dict.fromkeys(names)]
    return _make_all(Role.CLIENT, orders, [], authority, days, writing)


def _make_all(  # noqa: PLR0913, PLR0917 -- for whom, by whom, and where to
    role: Role,
    orders: Sequence[tuple[str, str, tuple[str, ...]]],
    extensions: list[x509.Extension[x509.ExtensionType]],
    authority: Authority,
    days: int,
    writing: Writing,
) -> list[Made]:
    """Make what is ordered, each by its file name, common name and names, and write it."""
    _check_passphrase(writing.passphrase)
    paths = [path for file_name, *_ in orders for path in writing.list_paths(file_name)]
    _check_authority_is_kept(paths, authority)
    check_free(paths, replace=writing.replace)
    issuer = _load_authority(authority, days, role)
    made, files = [], []
    for file_name, common, names in orders:
        public_key, key = make_key()
        own = [*extensions, _make_extension(x509.SubjectKeyIdentifier.from_public_key(public_key))]
        issued = issuer.issue(_make_subject(common), public_key, own)
        files += writing.make_files(file_name, (issued.der, *issuer.chain), key)
        what = role.name.lower(), common, names, *writing.list_paths(file_name), issued
        made.append(Made(*what, issuer.not_before, issuer.not_after, issuer.is_cut))
    write_together(files, replace=writing.replace)
    return made


def _load_authority(authority: Authority, days: int, role: Role) -> Issuer:
    for path in (authority.cert_path, authority.key_path):
        if not path.exists():
            raise CertificateError(
                f"there is no CA: {path} does not exist",
                "Make one with `nodemcu-tls cert new-ca`, or name yours with --ca-cert, --ca-key.",
            )
    return load_issuer(
        authority.cert_path,
        authority.key_path,
        days=days,
        now=datetime.now(UTC).replace(microsecond=0),
        ask_passphrase=authority.ask_passphrase,
        role=role,
    )


def _check_authority_is_kept(paths: Sequence[Path], authority: Authority) -> None:
    """Raise CertificateError when what is made would take the place of the CA."""
    kept = {path.resolve() for path in (authority.cert_path, authority.key_path)}
    lost = next((path for path in paths if path.resolve() in kept), None)
    if lost is not None:
        raise CertificateError(
            f"{lost} is the CA's own file: it is not replaced", "Give another name, or --out."
        )


def _check_passphrase(passphrase: bytes | None) -> None:
    if passphrase is not None and not 1 <= len(passphrase) <= 1023:  # OpenSSL's limit
        what = "is empty" if not passphrase else "is too long"
        raise CertificateError(
            f"the passphrase for the new key {what}", "Put one line of 1 to 1023 bytes there."
        )


def _sign_ca(
    subject: x509.Name, public_key: PublicKey, key: bytes, start: datetime, end: datetime
) -> Issued:
    private_key = load_der_private_key(key, None)
    if not isinstance(private_key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key of a CA is an EC key")
    builder = x509.CertificateBuilder(
        issuer_name=subject,
        subject_name=subject,
        public_key=public_key,
        serial_number=x509.random_serial_number(),
        not_valid_before=start.replace(tzinfo=None),
        not_valid_after=end.replace(tzinfo=None),
        extensions=[
            _make_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True),
            _make_extension(make_usage("key_cert_sign", "crl_sign"), critical=True),
            _make_extension(x509.SubjectKeyIdentifier.from_public_key(public_key)),
        ],
    )
    return describe_issued(builder.sign(private_key, hashes.SHA256()))


def _make_extension(
    value: x509.ExtensionType, *, critical: bool = False
) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


def _make_subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _make_key_pem(der: bytes, passphrase: bytes | None) -> bytes:
    """Return a key as PEM, PKCS#8, encrypted if there is a passphrase."""
    protection: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        protection = BestAvailableEncryption(passphrase)
    key = load_der_private_key(der, None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)
