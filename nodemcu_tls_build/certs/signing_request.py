"""Read certificate requests (PKCS#10): their keys, which their owners keep."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from nodemcu_tls_build.certs.issue import PublicKey
from nodemcu_tls_build.certs.key_kind import describe_key
from nodemcu_tls_build.certs.strength import MIN_RSA_BITS, check_curve
from nodemcu_tls_build.files import read_file

_MAX_REQUEST = 64 * 1024
_BLOCK = re.compile(rb"^\s*-----BEGIN [A-Z ]*CERTIFICATE REQUEST-----", re.MULTILINE)
_BROKEN_DIGESTS = {"md5": "MD5", "sha1": "SHA-1"}


def load_request(path: Path) -> PublicKey:
    """Return the public key of a certificate request; raise ValueError saying what is wrong."""
    try:
        data = read_file(path, _MAX_REQUEST)
    except OSError as error:
        raise ValueError(f"cannot read the request {path}: {error.strerror}") from error
    if (count := len(_BLOCK.findall(data))) > 1:
        raise ValueError(f"{path} holds {count} certificate requests, a device has one")
    try:
        load = x509.load_pem_x509_csr if b"-----BEGIN" in data else x509.load_der_x509_csr
        request = load(data)
        key, is_signed = request.public_key(), request.is_signature_valid
        digest = request.signature_hash_algorithm
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{path} is no certificate request") from error
    if digest and digest.name in _BROKEN_DIGESTS:
        raise ValueError(
            f"the request {path} is signed with {_BROKEN_DIGESTS[digest.name]}, which is broken: "
            "make it again with SHA-256 (openssl req -new -sha256)"
        )
    if not is_signed:
        raise ValueError(f"the request {path} is not signed with its own key")
    if isinstance(key, ec.EllipticCurvePublicKey):
        for finding in check_curve(describe_key(key), f"the request {path}"):
            raise ValueError(finding.message)
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return key
    raise ValueError(f"the key in the request {path} is neither EC nor RSA of 2048 bits")
