"""Read the credentials that a device is to get, and check them before anything is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from nodemcu_tls_build.certs import load_ca_file
from nodemcu_tls_build.certs.keys import AskPassphrase
from nodemcu_tls_build.certs.pair import load_client_pair
from nodemcu_tls_build.certs.store_write import Credentials
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.provision.flash_file import STORE, read_stored
from nodemcu_tls_build.provision.layout import Format


def load_credentials(
    *,
    ca_path: Path | None,
    cert_path: Path | None,
    key_path: Path | None,
    ask_passphrase: AskPassphrase,
) -> Credentials:
    """Return what the files hold; raise CertificateError with what is wrong with them."""
    credentials = Credentials()
    now = datetime.now(UTC)
    if ca_path:
        bundle = load_ca_file(ca_path, now=now, allow_pipe=True)
        credentials = replace(credentials, ca=bundle.der)
    if cert_path and key_path:
        pair = load_client_pair(cert_path, key_path, now=now, ask_passphrase=ask_passphrase)
        credentials = replace(credentials, certificates=pair.certificates, key=pair.key)
    return credentials


def load_store(path: Path) -> Credentials:
    """Return what a store image holds, such as one of a fleet's; raise CertificateError."""
    stored = read_stored(path, Format.NTLS, STORE)
    credentials = stored.layout.read(stored.store)
    if not credentials.sets:
        raise CertificateError(
            f"{path} holds no credentials", "Name a store image of a fleet, decrypted."
        )
    return credentials
