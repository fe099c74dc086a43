"""Check the names that certificates are made for, and make file names of them."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509

from nodemcu_tls_build.errors import CertificateError

MAX_COMMON_NAME = 64  # X.520, upper bounds
_MAX_HOST, _MAX_LABEL, _MAX_FILE = 253, 63, 200
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")
_HOST_HINT = "Give a DNS name such as server.test or *.example.org, or an IP address."
_NAME_HINT = "Give a short name without blanks and slashes, such as device-1."


def parse_host(text: str) -> x509.DNSName | x509.IPAddress:
    """Return a server's DNS name, `*.` in front of it or not, or its address."""
    address = _parse_address(text)
    if address is not None:
        return x509.IPAddress(address)
    fault = _find_host_fault(text)
    if fault:
        raise CertificateError(f"{text!r} is no name of a server: {fault}", _make_host_hint(text))
    return x509.DNSName(text.lower())


def make_host_file_name(host: x509.DNSName | x509.IPAddress) -> str:
    """Return what the files of a server are called: `*` and colons are underlines."""
    return re.sub(r"[*:]", "_", str(host.value))


def check_common_name(text: str) -> None:
    """Raise CertificateError unless the text can be the common name of a CA."""
    if not text.strip() or not text.isprintable():
        what = "it is empty" if not text.strip() else "there is a character that cannot be shown"
        raise CertificateError(f"{text!r} is no name for a CA: {what}", "Give it a name to know.")
    if len(text) > MAX_COMMON_NAME:
        raise CertificateError(
            f"the CA's name has {len(text)} characters, {MAX_COMMON_NAME} are allowed",
            "Give a shorter one.",
        )


def check_client_name(text: str) -> None:
    """Raise CertificateError unless the text can be a client's common name and a file's name."""
    faults = {
        "it is empty": not text,
        "there is a blank in it": any(character.isspace() for character in text),
        "there is a character in it that cannot be shown": not text.isprintable(),
        "its files would be in another directory": "/" in text or "\\" in text,
        "its files would be hidden": text.startswith("."),
        "it looks like an option": text.startswith("-"),
        f"it is longer than {MAX_COMMON_NAME} characters": len(text) > MAX_COMMON_NAME
        or len(text.encode(errors="replace")) > _MAX_FILE,
    }
    fault = next((what for what, is_so in faults.items() if is_so), None)
    if fault:
        raise CertificateError(f"{text!r} is no name of a client: {fault}", _NAME_HINT)


def _find_host_fault(text: str) -> str | None:
    domain = text.removeprefix("*.")
    labels = domain.split(".")
    is_long = len(text) > _MAX_HOST or any(len(label) > _MAX_LABEL for label in labels)
    faults = {
        "it is empty": not text,
        "there is a blank in it": any(character.isspace() for character in text),
        "it is not ASCII": not text.isascii(),
        "it is a URL, or has a port": ":" in text,
        "there is a slash in it": "/" in text,
        f"it is too long ({_MAX_HOST} characters, {_MAX_LABEL} between two dots)": is_long,
        "a * can only stand in front of a domain, as in *.example.org": "*" in domain,
        "it looks like an IP address, and is none": labels[-1].isdigit(),
        "it may have letters and digits, and hyphens and dots between them": not all(
            map(_LABEL.fullmatch, labels)
        ),
    }
    return next((what for what, is_so in faults.items() if is_so), None)


def _make_host_hint(text: str) -> str:
    if text.isascii():
        return _HOST_HINT
    try:
        return f"Give its IDNA form: {text.encode('idna').decode('ascii')}"
    except UnicodeError:
        return "Give its IDNA form (xn--…)."


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return None if getattr(address, "scope_id", None) else address
