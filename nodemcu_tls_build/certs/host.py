"""Compare a host's name with those in a certificate, as the firmware's mbedTLS does."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509

from nodemcu_tls_build.certs.details import Details
from nodemcu_tls_build.certs.finding import Finding

_HINT = "Connect by a name that is in it, or have a certificate issued for this one."


def check_host(details: Details, host: str, *, mbedtls: str) -> Finding | None:
    """Say why the certificate would not do for a host's name or address; None when it does.

    The common name counts only where there are no alternative names; mbedTLS before 3 takes an
    address for a name.
    """
    if not host or host.endswith(".") or (host.count(":") == 1 and not host.startswith("[")):
        message = f"{host!r} is no name of a host"
        return Finding(message, "Give a name or an address, without port and last dot.")
    if not host.isascii():
        message = f"certificates have {host} in another form, of ASCII characters only"
        return Finding(message, "Give its IDNA form, which begins with xn--.")
    address = _parse_address(host) if mbedtls.startswith("3.") else None
    names = details.alternative_names
    if names is None:
        texts, addresses = list(details.common_names), []
    else:
        texts = names.get_values_for_type(x509.DNSName)
        addresses = names.get_values_for_type(x509.IPAddress)
    if address in addresses or any(matches(text, host) for text in texts):
        return None
    told = ", ".join(details.names) or "no name at all"
    message = f"the certificate is not for {host}: it is for {told}"
    if address is None and _parse_address(host) in addresses:
        message = f"mbedTLS {mbedtls} does not look for addresses in certificates, as {host} is"
        return Finding(message, "Connect by a name, or take mbedTLS 3.6.6.")
    return Finding(message, _HINT)


def matches(pattern: str, host: str) -> bool:
    """Tell whether a name of a certificate, `*.` for one label in front, is that of the host."""
    pattern, host = pattern.lower(), host.lower()
    if pattern == host:
        return True
    label, dot, rest = host.partition(".")
    return bool(pattern.startswith("*.") and label and dot and pattern[2:] == rest)


def _parse_address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
