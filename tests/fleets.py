"""Fleets for tests: a list of devices, an issuer, and what a run has left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from pki import Identity, IdentityFiles, make_authority, make_pem

from nodemcu_tls_build.certs.store_write import Credentials
from nodemcu_tls_build.certs.stored import read_store

FLEET = (sys.executable, "-m", "nodemcu_tls_build", "fleet")
LIMIT = 120


@dataclass(frozen=True)
class Site:
    """A directory with a list of devices, `devices.csv`, and an issuer's files."""

    directory: Path
    issuer: Identity
    files: IdentityFiles

    @property
    def out(self) -> Path:
        return self.directory / "out"

    def write_table(self, text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        (self.directory / "devices.csv").write_bytes(data)

    def write_devices(self, count: int) -> None:
        rows = (f"dev-{number:05},Hall {number % 3}\n" for number in range(count))
        self.write_table("device,place\n" + "".join(rows))

    def list_args(self, *args: str | Path) -> list[str]:
        given = ["--csv", self.directory / "devices.csv", "--out", self.out]
        given += ["--issuer-cert", self.files.cert_path, "--issuer-key", self.files.key_path]
        return [*map(str, given), *map(str, args)]

    def run(self, *args: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*FLEET, *self.list_args(*args)],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )

    def issue(self, *args: str | Path) -> str:
        """Run what must succeed; return what it says."""
        result = self.run(*args)
        assert (result.returncode, result.stderr) == (0, ""), result.stdout
        return result.stdout

    def read_manifest(self) -> dict[str, dict[str, Any]]:
        """Return the manifest's lines by device, each there once."""
        lines = (self.out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
        entries = {entry["device"]: entry for entry in map(json.loads, lines)}
        assert len(entries) == len(lines)
        return entries

    def check_whole(self, count: int) -> dict[str, dict[str, Any]]:
        """See that each device has a line and the file that it tells of, and nothing is left."""
        entries = self.read_manifest()
        assert len(entries) == count
        assert len({entry["serial_number"] for entry in entries.values()}) == count
        assert len({entry["fingerprint"] for entry in entries.values()}) == count
        for entry in entries.values():
            data = (self.out / entry["file"]).read_bytes()
            assert sha256(data).hexdigest() == entry["sha256"]
        files = {str(p.relative_to(self.out)) for p in self.out.rglob("*") if p.is_file()}
        told = {entry["file"] for entry in entries.values()}
        assert files == told | {"fleet.json", "manifest.jsonl", ".lock"}
        return entries


def make_site(directory: Path, kind: str = "ecdsa") -> Site:
    issuer = make_authority(kind, "Fleet CA")
    files = issuer.write(directory / "issuer")
    (directory / "ca.crt").write_bytes(make_pem(issuer.certificate))
    return Site(directory, issuer, files)


def read_image(path: Path) -> tuple[Credentials, x509.Certificate]:
    """Return what a store image holds, and the certificate of the device."""
    credentials = read_store(path.read_bytes())
    return credentials, x509.load_der_x509_certificate(credentials.certificates[0])
