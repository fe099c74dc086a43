"""Read whatever a user hands over: PEM, DER, PKCS#12, requests; say what is wrong with it.

Private keys are found, not opened: see keys.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from nodemcu_tls_build.certs.binary import find_der_end, is_binary, is_key, is_locked, is_request
from nodemcu_tls_build.certs.details import Details, make_printable, read_details
from nodemcu_tls_build.certs.finding import Finding
from nodemcu_tls_build.certs.pem import PemBlock, lay_out, split_pem
from nodemcu_tls_build.files import read_file

MAX_BYTES = 1024 * 1024
COPY = "Copy it again, whole, from its BEGIN line to its END line."

_CERTIFICATE_LABELS = {"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"}
_PKCS7 = bytes.fromhex("06092a864886f70d0107")  # near the start of a PKCS#12 file
_PKCS7_SIGNED = _PKCS7 + b"\x02"  # at the start of PKCS#7
UNREADABLE = "it is damaged, or of a kind that nothing here reads"
_COPY_FILE = "Copy the file again, in binary mode."
_REQUEST = "Have a CA sign the request, and give the certificate that it returns."
_WHAT = "Give certificates (BEGIN CERTIFICATE) and keys (BEGIN PRIVATE KEY), PEM or DER."


@dataclass(frozen=True)
class FoundCertificate:
    """A certificate, the file it is in, and the line its block begins in; 0 in a binary file."""

    path: Path
    line: int
    details: Details

    @property
    def place(self) -> str:
        """Return where it is, for people."""
        return _place(self.path, self.line)


@dataclass(frozen=True)
class FoundKey:
    """A private key as it stands in a file, or what keeps it from being opened."""

    path: Path
    line: int
    data: bytes = field(default=b"", repr=False)
    is_encrypted: bool = False
    fault: Finding | None = None

    @property
    def is_pem(self) -> bool:
        """Tell PEM, whose lines are known, from DER."""
        return self.line > 0

    @property
    def place(self) -> str:
        """Return where it is, for people."""
        return _place(self.path, self.line)


@dataclass
class Contents:
    """What is in files; `findings` is what is wrong, `notes` what is worth knowing.

    `archives` are PKCS#12 files and their bytes; each is a finding, too.
    """

    certificates: list[FoundCertificate] = field(default_factory=list)
    keys: list[FoundKey] = field(default_factory=list)
    archives: list[tuple[Path, bytes]] = field(default_factory=list, repr=False)
    unreadable: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_files(
    paths: Iterable[Path], *, limit: int = MAX_BYTES, allow_pipe: bool = False
) -> Contents:
    """Return what is in the files; what cannot be read is a finding, and the rest is read."""
    contents = Contents()
    for path in paths:
        try:
            data = read_file(path, limit, allow_pipe=allow_pipe)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = getattr(error, "strerror", None) or error
            hint = "Check the path: is it the file that is meant?"
            message = f"cannot read {_place(path, 0)}: {reason}"
            contents.findings.append(Finding(message, hint))
            continue
        _Reader(path, contents).read(data)
    return contents


@dataclass
class _Reader:
    """Read one file into the contents of all."""

    path: Path
    contents: Contents

    def read(self, data: bytes) -> None:
        before = self._count()
        if not data.strip():
            self._find("is empty", _WHAT)
        elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
            self._find("is UTF-16 text", "Save it as UTF-8 or ASCII.")
        elif b"-----BEGIN " in data:
            self._read_pem(data)
        else:
            self._read_binary(data)
        if self._count() == before:
            self._find("holds neither a certificate nor a key", _WHAT)

    def _count(self) -> int:
        found = self.contents
        return len(found.certificates) + len(found.keys) + len(found.findings)

    def _find(self, message: str, hint: str, line: int = 0) -> None:
        place = f"{_place(self.path, line)}{': ' if line else ' '}"
        self.contents.findings.append(Finding(f"{place}{message}", hint))

    def _note(self, message: str) -> None:
        self.contents.notes.append(f"{_place(self.path, 0)} {message}")

    def _hint_pkcs7(self, form: str) -> str:
        command = f"openssl pkcs7 -inform {form} -in {self._quoted} -print_certs -out certs.pem"
        return f"Take the certificates out: {command}"

    @property
    def _quoted(self) -> str:
        return shlex.quote(str(self.path))

    def _read_pem(self, data: bytes) -> None:
        faults = len(self.contents.findings)
        text = data.decode("utf-8-sig", errors="replace")
        text = lay_out(text)
        if data.startswith(b"\xef\xbb\xbf"):
            self._note("begins with a byte order mark, which is left out")
        if b"\r\n" in data:
            self._note("has lines that end in CRLF, as Windows writes them: that is no harm")
        lines = text.split("\n")
        binary = next((n for n, line in enumerate(lines, 1) if is_binary(line)), None)
        if binary:
            self._find("there is binary data", "Take it out, or copy the file again.", binary)
        for block in split_pem(text):
            self._read_block(block, lines)
        last = max((n for n, line in enumerate(lines) if line.startswith("-----END")), default=0)
        whole = len(self.contents.findings) == faults
        if whole and any(line.strip() for line in lines[last + 1 :]):
            self._note("has text behind its last block, which is ignored")

    def _read_block(self, block: PemBlock, lines: list[str]) -> None:
        label, line = block.label, block.line
        if label.endswith("PRIVATE KEY"):
            self._add_pem_key(block, lines)
        elif block.fault is not None:
            self._find(f"{label} {block.fault}" if label else block.fault, COPY, line)
        elif label.endswith("CERTIFICATE REQUEST"):
            self._find("a certificate request is not a certificate", _REQUEST, line)
        elif label in _CERTIFICATE_LABELS:
            if label != "CERTIFICATE":
                self._note(f"has the label {label}, which a firmware's Lua does not read")
            if label == "TRUSTED CERTIFICATE":  # what OpenSSL trusts it for stands behind it
                block = replace(block, data=block.data[: find_der_end(block.data)])
            if not self._add_certificate(block.data, line):
                self.contents.unreadable += 1
                self._find(f"the certificate cannot be decoded: {UNREADABLE}", COPY, line)
        elif label in {"PKCS7", "CMS"}:
            self._find("PKCS#7 is not read here", self._hint_pkcs7("PEM"), line)
        elif label not in {"EC PARAMETERS", "DH PARAMETERS"}:
            self._find(f"{label} is of no use here", _WHAT, line)

    def _read_binary(self, data: bytes) -> None:
        if self._add_certificate(data, 0):
            command = f"openssl x509 -inform DER -in {self._quoted} -out NAME.crt"
            self._note(f"is DER, which is read here; for tools that want PEM: {command}")
        elif is_request(data):
            self._find("is a certificate request, not a certificate", _REQUEST)
        elif _PKCS7_SIGNED in data[:32]:
            self._find("is PKCS#7, which is not read here", self._hint_pkcs7("DER"))
        elif _PKCS7 in data[:64]:
            self.contents.archives.append((self.path, data))
            command = f"openssl pkcs12 -in {self._quoted} -nodes -out NAME.pem"
            self._find(
                "is PKCS#12, which neither the firmware nor provisioning reads",
                f"Take out what is needed, with umask 077: {command}",
            )
        elif is_key(data):
            self._note("is a private key in DER")
            self.contents.keys.append(FoundKey(self.path, 0, data, is_locked(data)))
        elif (end := find_der_end(data)) and self._add_certificate(data[:end], 0):
            self._find(f"has {len(data) - end} bytes behind its certificate", _COPY_FILE)
        elif data[:1] == b"\x30":
            self.contents.unreadable += 1
            self._find(f"cannot be decoded: {UNREADABLE}", _COPY_FILE)
        else:
            self._find("is neither PEM nor DER", _WHAT)

    def _add_pem_key(self, block: PemBlock, lines: list[str]) -> None:
        if block.fault is not None:
            self._add_faulty_key(block, f"{block.label} {block.fault}", COPY)
            return
        if block.label == "OPENSSH PRIVATE KEY":
            self._add_faulty_key(block, "an OpenSSH key is no key for TLS", _WHAT)
            return
        end = next(n for n in range(block.line, len(lines)) if "-----END" in lines[n])
        body = "\n".join(part.strip() for part in lines[block.line - 1 : end + 1]) + "\n"
        is_encrypted = block.label == "ENCRYPTED PRIVATE KEY" or "4,ENCRYPTED" in body
        self.contents.keys.append(FoundKey(self.path, block.line, body.encode(), is_encrypted))

    def _add_faulty_key(self, block: PemBlock, fault: str, hint: str) -> None:
        finding = Finding(f"{_place(self.path, block.line)}: {fault}", hint)
        self.contents.keys.append(FoundKey(self.path, block.line, fault=finding))

    def _add_certificate(self, der: bytes, line: int) -> bool:
        details = read_details(der)
        if details is None:
            return False
        self.contents.certificates.append(FoundCertificate(self.path, line, details))
        return True


def _place(path: Path, line: int) -> str:
    shown = make_printable(str(path))
    return f"{shown}, line {line}" if line else shown
