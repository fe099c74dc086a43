"""Read whatever a user hands over: PEM, DER, PKCS#12, requests, keys; say what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)

from nodemcu_tls_build.certs.binary import (
    find_der_end,
    is_binary,
    is_key,
    is_locked,
    is_request,
)
from nodemcu_tls_build.certs.check import Finding, read_certificate
from nodemcu_tls_build.certs.details import Details, KeyKind, describe_key, read_details
from nodemcu_tls_build.certs.pair import AskPassphrase
from nodemcu_tls_build.certs.pem import PemBlock, split_pem
from nodemcu_tls_build.files import read_file

MAX_BYTES = 1024 * 1024

_CERTIFICATE_LABELS = {"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"}
_PKCS7_DATA = bytes.fromhex("06092a864886f70d0107")  # near the start of PKCS#12 and PKCS#7
_COPY = "Copy it again, whole, from its BEGIN line to its END line."
_COPY_FILE = "Copy the file again, in binary mode."
_REQUEST = "Have a CA sign the request, and give the certificate that it returns."
_WHAT = "Give certificates (BEGIN CERTIFICATE) and keys (BEGIN PRIVATE KEY), PEM or DER."
_PASSPHRASE = "Give its passphrase in a file: --passphrase-file FILE."  # noqa: S105 -- a hint


@dataclass(frozen=True)
class FoundCertificate:
    """A certificate, the file it is in, and the line its block begins in; 0 in a binary file."""

    path: Path
    line: int
    details: Details


@dataclass(frozen=True)
class FoundKey:
    """A private key, the file it is in and the line; what it is shown as tells its kind only."""

    path: Path
    line: int
    kind: KeyKind
    key: object = field(repr=False)
    encrypted: bool = False


@dataclass
class Contents:
    """What is in files; `findings` is what is wrong, `notes` what is worth knowing."""

    certificates: list[FoundCertificate] = field(default_factory=list)
    keys: list[FoundKey] = field(default_factory=list)
    requests: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_files(
    paths: Iterable[Path], *, ask_passphrase: AskPassphrase, limit: int = MAX_BYTES
) -> Contents:
    """Return what is in the files; what cannot be read is a finding, and the rest is read."""
    contents = Contents()
    for path in paths:
        try:
            data = read_file(path, limit)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = getattr(error, "strerror", None) or error
            contents.findings.append(Finding(f"cannot read {path}: {reason}", "Check the path."))
            continue
        _Reader(path, contents, ask_passphrase).read(data)
    return contents


@dataclass
class _Reader:
    """Read one file into the contents of all."""

    path: Path
    contents: Contents
    ask_passphrase: AskPassphrase
    _passphrase: bytes | None = field(default=None, repr=False)

    def read(self, data: bytes) -> None:
        before = len(self.contents.certificates) + len(self.contents.keys)
        faults = len(self.contents.findings)
        if not data.strip():
            self._find("is empty", _WHAT)
        elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
            self._find("is UTF-16 text", "Save it as UTF-8 or ASCII.")
        elif b"-----BEGIN " in data:
            self._read_pem(data)
        else:
            self._read_binary(data)
        after = len(self.contents.certificates) + len(self.contents.keys)
        if after == before and len(self.contents.findings) == faults:
            self._find("holds neither a certificate nor a key", _WHAT)

    def _find(self, message: str, hint: str, line: int = 0) -> None:
        place = f"{self.path}, line {line}: " if line else f"{self.path} "
        self.contents.findings.append(Finding(f"{place}{message}", hint))

    def _note(self, message: str) -> None:
        self.contents.notes.append(f"{self.path} {message}")

    def _read_pem(self, data: bytes) -> None:
        text = data.decode("utf-8-sig", errors="replace")
        if data.startswith(b"\xef\xbb\xbf"):
            self._note("begins with a byte order mark, which is left out")
        if b"\r\n" in data:
            self._note("has lines that end in CRLF, as Windows writes them: that is no harm")
        lines = text.split("\n")
        binary = next((n for n, line in enumerate(lines, 1) if is_binary(line)), None)
        if binary:
            self._find("there is binary data", "Take it out, or copy the file again.", binary)
        blocks = split_pem(text)
        for block in blocks:
            self._read_block(block, lines)
        last = max((n for n, line in enumerate(lines) if line.startswith("-----END")), default=0)
        if not binary and any(line.strip() for line in lines[last + 1 :]):
            self._note("has text behind its last block, which is ignored")

    def _read_block(self, block: PemBlock, lines: list[str]) -> None:
        label, line = block.label, block.line
        if block.fault is not None:
            self._find(f"{label} {block.fault}" if label else block.fault, _COPY, line)
        elif label.endswith("PRIVATE KEY"):
            end = next(n for n in range(line, len(lines)) if "-----END" in lines[n])
            body = "\n".join(part.strip() for part in lines[line - 1 : end + 1]) + "\n"
            is_encrypted = label == "ENCRYPTED PRIVATE KEY" or "4,ENCRYPTED" in body
            data = body.encode()
            self._read_key(lambda secret: load_pem_private_key(data, secret), line, is_encrypted)
        elif label.endswith("CERTIFICATE REQUEST"):
            self.contents.requests += 1
            self._find("a certificate request is not a certificate", _REQUEST, line)
        elif label in _CERTIFICATE_LABELS:
            if not self._add_certificate(block.data, line):
                self._find("the certificate is damaged: it cannot be decoded", _COPY, line)
        elif label in {"PKCS7", "CMS"}:
            hint = f"Take them out: openssl pkcs7 -in {self.path} -print_certs -out certs.pem"
            self._find("PKCS#7 holds certificates that nothing here reads", hint, line)
        elif label not in {"EC PARAMETERS", "DH PARAMETERS"}:
            self._find(f"{label} is of no use here", _WHAT, line)

    def _read_binary(self, data: bytes) -> None:
        if self._add_certificate(data, 0):
            command = f"openssl x509 -inform DER -in {self.path} -out NAME.crt"
            self._note(f"is DER; where PEM is needed, as for server-ca.crt, convert it: {command}")
        elif is_request(data):
            self.contents.requests += 1
            self._find("is a certificate request, not a certificate", _REQUEST)
        elif _PKCS7_DATA in data[:64]:
            self._read_pkcs12(data)
        elif is_key(data):
            self._note("is a private key in DER")
            self._read_key(lambda secret: load_der_private_key(data, secret), 0, is_locked(data))
        elif (end := find_der_end(data)) and read_certificate(data[:end]) is not None:
            self._find(f"has {len(data) - end} bytes behind its certificate", _COPY_FILE)
            self._add_certificate(data[:end], 0)
        elif data[:1] == b"\x30":
            self._find("is damaged, or of a kind that nothing here reads", _COPY_FILE)
        else:
            self._find("is neither PEM nor DER", _WHAT)

    def _read_pkcs12(self, data: bytes) -> None:
        loaded = None
        for secret in (None, b"", self._ask):
            passphrase = secret() if callable(secret) else secret
            try:
                loaded = pkcs12.load_pkcs12(data, passphrase)
                break
            except (ValueError, TypeError, UnsupportedAlgorithm):
                continue
        command = f"openssl pkcs12 -in {self.path} -nodes -out NAME.pem"
        self._find(
            "is PKCS#12 (or PKCS#7), which neither the firmware nor provisioning reads",
            f"Take out what is needed, with umask 077: {command}",
        )
        if loaded is None:
            told = self._passphrase is not None
            what = "the passphrase is not that of the PKCS#12 file" if told else "it is encrypted"
            self._note(f"cannot be looked into: {what}")
            return
        if loaded.key is not None:
            self._add_key(loaded.key, 0, encrypted=True)
        for one in (loaded.cert, *loaded.additional_certs):
            if one is not None:
                self._add_certificate(one.certificate.public_bytes(Encoding.DER), 0)

    def _ask(self) -> bytes | None:
        self._passphrase = self.ask_passphrase(self.path)
        return self._passphrase

    def _read_key(
        self, load: Callable[[bytes | None], object], line: int, is_encrypted: bool
    ) -> None:
        passphrase = self._ask() if is_encrypted else None
        if is_encrypted and passphrase is None:
            self._find("the private key is encrypted", _PASSPHRASE, line)
            return
        try:
            key = load(passphrase)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None  # the reason may quote what was decrypted: it goes with the exception
        if key is not None:
            self._add_key(key, line, encrypted=is_encrypted)
        elif is_encrypted:
            self._find("the passphrase is not that of the private key", "Give the right one.", line)
        else:
            self._find("the private key is damaged: it cannot be decoded", _COPY, line)

    def _add_key(self, key: object, line: int, *, encrypted: bool) -> None:
        found = FoundKey(self.path, line, describe_key(key), key, encrypted)
        self.contents.keys.append(found)

    def _add_certificate(self, der: bytes, line: int) -> bool:
        if read_certificate(der) is None:
            return False
        details = read_details(x509.load_der_x509_certificate(der))
        self.contents.certificates.append(FoundCertificate(self.path, line, details))
        return True
