"""Tell what a file that is no PEM text holds."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key


def is_request(data: bytes) -> bool:
    """Tell a certificate request in DER."""
    try:
        x509.load_der_x509_csr(data)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def is_key(data: bytes) -> bool:
    """Tell a private key in DER, encrypted or not."""
    try:
        load_der_private_key(data, None)
    except (ValueError, UnsupportedAlgorithm):
        return False
    except TypeError:  # as cryptography says that it wants a passphrase
        return True
    return True


def is_locked(data: bytes) -> bool:
    """Tell whether a private key in DER needs a passphrase."""
    try:
        load_der_private_key(data, None)
    except TypeError:
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return False


def find_der_end(data: bytes) -> int:
    """Return where the sequence ends that the data begin with; 0 for no sequence, or a longer."""
    if len(data) < 4 or data[0] != 0x30 or data[1] < 0x80:
        return 0
    count = data[1] & 0x7F
    end = 2 + count + int.from_bytes(data[2 : 2 + count], "big")
    return end if 1 <= count <= 4 and end <= len(data) else 0


def is_binary(line: str) -> bool:
    """Tell a line of text that holds what no text does."""
    return any(character < " " and character not in "\t\r\f" for character in line)
