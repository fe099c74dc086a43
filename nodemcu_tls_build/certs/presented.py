"""Ask a TLS server for the certificates that it presents, trusting none of them."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from dataclasses import dataclass

from nodemcu_tls_build.errors import CertificateError

_HTTPS = 443
_HOST_HINT = "Write it as NAME or NAME:PORT, an IPv6 address in brackets: [::1]:8883."
_REASONS = {
    "WRONG_VERSION_NUMBER": "what answers there does not speak TLS",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks no version of TLS that is known here (1.2, 1.3)",
    "UNSUPPORTED_PROTOCOL": "it speaks no version of TLS that is known here (1.2, 1.3)",
}
# By the kind of key; whatever else there is, TLS 1.3 too, where neither has an answer.
_QUESTIONS = ("aECDSA", "aRSA", None)
_REACH_HINT = "Check the name, the port and the network, or give its chain in a file: --chain."


@dataclass(frozen=True)
class Host:
    """A server's name or address, and its port."""

    name: str
    port: int

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{name}:{self.port}"


def parse_host(text: str) -> Host:
    """Return the host that `NAME[:PORT]` means; raise CertificateError."""
    name, port = text, ""
    if text.startswith("["):
        name, bracket, port = text[1:].partition("]")
        name = name if bracket else ""
        port = port.removeprefix(":") if port.startswith(":") or not port else "?"
    elif text.count(":") == 1:
        name, _, port = text.partition(":")
        port = port or "?"
    is_number = not port or (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536)
    if not name or not is_number or any(c.isspace() or c in "/\0" for c in name):
        raise CertificateError(f"{text!r} is no host", _HOST_HINT)
    return Host(name, int(port or _HTTPS))


def fetch_chains(host: Host, *, timeout: float) -> list[tuple[bytes, ...]]:
    """Return the certificates that a server sends, in DER and its order: a chain or two.

    A server may have a chain for clients that take ECDSA, and one for those that take RSA. Which
    of them a firmware gets, its profile decides, so the server is asked for both. Raises
    CertificateError, after `timeout` seconds (and those of looking up the name) a question.
    """
    found: dict[tuple[bytes, ...], None] = {}
    failure: Exception = OSError("it sent no certificate")
    for ciphers in _QUESTIONS:
        if found and ciphers is None:
            break
        try:
            found[_fetch_chain(host, ciphers, timeout)] = None
        except ssl.SSLError as error:
            failure = error
        except (OSError, ValueError) as error:  # ValueError: a name that no IDNA form exists of
            failure = error
            break
    if not found:
        raise _explain(host, failure) from failure
    return list(found)


def _fetch_chain(host: Host, ciphers: str | None, timeout: float) -> tuple[bytes, ...]:
    deadline = time.monotonic() + timeout
    with (
        socket.create_connection((host.name, host.port), timeout) as raw,
        _make_context(ciphers).wrap_socket(
            raw, server_hostname=host.name, do_handshake_on_connect=False
        ) as connection,
    ):
        failure = _shake_hands(connection, deadline)
        chain = _list_presented(connection)
    if not chain:  # a server that wants a certificate of ours may end it after it sent its own
        raise failure or OSError("it sent no certificate")
    return chain


def _make_context(ciphers: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Weak servers have chains, too: no data is sent.
    context.set_ciphers(f"{ciphers or 'DEFAULT'}:@SECLEVEL=0")
    if ciphers:
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose suites name the key's kind
    return context


def _shake_hands(connection: ssl.SSLSocket, deadline: float) -> OSError | None:
    """Do the handshake; return why it ended early."""
    connection.setblocking(False)
    while (left := deadline - time.monotonic()) > 0:
        try:
            connection.do_handshake()
            return None
        except ssl.SSLWantReadError:
            select.select([connection], [], [], left)
        except ssl.SSLWantWriteError:
            select.select([], [connection], [], left)
        except OSError as error:
            return error
    return TimeoutError("timed out")


def _list_presented(connection: ssl.SSLSocket) -> tuple[bytes, ...]:
    """Return the chain as it was sent, in DER.

    Python 3.13 has a method for it; before, the object behind the socket has one, since 3.10.
    """
    with contextlib.suppress(ssl.SSLError, ValueError):
        if hasattr(connection, "get_unverified_chain"):
            return tuple(connection.get_unverified_chain())
        found = connection._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # see above
        return tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in found or ())
    return ()


def _explain(host: Host, error: Exception) -> CertificateError:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    reason = _REASONS.get(reason, reason)
    return CertificateError(f"cannot get the certificates of {host}: {reason}", _REACH_HINT)
