"""Handshakes that bend or break TLS: those that are allowed go on, the others say why they end."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from emulated import HOST, World
from peers import answer, make_tls_context, run_peer
from relay import (
    ALERT,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    Last,
    Record,
    Rewrite,
    alert,
    keep,
    run_relay,
)
from rewrites import (
    CERTIFICATE,
    CIPHER_SPEC,
    FINISHED,
    KEY_EXCHANGE,
    SERVER_HELLO,
    at,
    before,
    cut,
    end_at,
    flip,
    interrupt,
    join,
    leave_out,
    put,
    split,
)
from tls_client import HTTP_ANSWER, list_events, make_good_events

_SUITE = 39  # where it stands in a ServerHello without a session ID; compression follows
_UNRECOGNISED_NAME, _INTERNAL_ERROR, _DECRYPT_ERROR = 112, 80, 51


def list_outcomes(
    world: World, full_port: int, rewrites: dict[str, Rewrite]
) -> dict[str, list[str]]:
    """Connect through a relay for each and return what Lua was told, without the ports."""
    with ExitStack() as stack:
        ports = [
            stack.enter_context(run_relay(full_port, rewrite)) for rewrite in rewrites.values()
        ]
        events = list_events(world.build_dir, *((HOST, port) for port in ports))
    return {
        name: [event.removesuffix(f"\t{port}") for event in told[1:]]
        for name, port, told in zip(rewrites, ports, events, strict=True)
    }


GOOD = [event.removesuffix("\t0") for event in make_good_events(0)[1:]]
ALLOWED: dict[str, Rewrite] = {
    "nothing changed": keep,
    "in records of 100 bytes": cut(100),
    "in records of 4 bytes": cut(4),
    "in one record": join(),
    "a warning before the ServerHello": before(SERVER_HELLO, alert(1, _UNRECOGNISED_NAME)),
    "a warning after it": before(CERTIFICATE, alert(1, _UNRECOGNISED_NAME)),
    "many warnings": before(KEY_EXCHANGE, 2000 * alert(1, _UNRECOGNISED_NAME)),
}


def test_what_is_allowed_goes_on(world: World, full_port: int) -> None:
    assert list_outcomes(world, full_port, ALLOWED) == dict.fromkeys(ALLOWED, GOOD)


def test_a_byte_at_a_time(world: World, tmp_path: Path) -> None:
    context = make_tls_context(world.root.issue_server("ecdsa", HOST), tmp_path)
    # One TCP segment for each byte of the handshake, the answer and the end.
    with (
        run_peer(answer(HTTP_ANSWER.encode()), context) as peer,
        run_relay(peer.port, pause=0.005) as port,
    ):
        [events] = list_events(world.build_dir, (HOST, port))
    assert events == make_good_events(port)


REFUSED = "the server refused with a TLS alert"
CLOSED = "the server closed the connection during the handshake"
BROKEN = "the server's handshake breaks the TLS protocol"
DAMAGED = "a damaged TLS record"
NO_CERTIFICATE = "the certificate is not valid"
FORBIDDEN: dict[str, tuple[Rewrite, str]] = {
    "alert after the ServerHello": (
        end_at(CERTIFICATE, alert(2, _INTERNAL_ERROR)),
        f"{REFUSED}: internal_error",
    ),
    "alert after the client's Finished": (
        end_at(CIPHER_SPEC, alert(2, _DECRYPT_ERROR)),
        f"{REFUSED}: decrypt_error",
    ),
    "alert that should be encrypted": (end_at(FINISHED, alert(2, _DECRYPT_ERROR)), DAMAGED),
    "end before the ServerHello": (end_at(SERVER_HELLO), CLOSED),
    "end after the ServerHello": (end_at(CERTIFICATE), CLOSED),
    "end after the ServerHelloDone": (end_at(CIPHER_SPEC), CLOSED),
    "end before the Finished": (end_at(FINISHED), CLOSED),
    "end in a message": (at(CERTIFICATE, lambda r: Last(r.cut(100)[0].encode())), CLOSED),
    "end in a record": (at(CERTIFICATE, lambda r: Last(r.encode()[:100])), CLOSED),
    "goodbye after the ServerHello": (end_at(CERTIFICATE, alert(1, 0)), CLOSED),
    "a second ServerHello": (at(SERVER_HELLO, lambda r: 2 * r.encode()), BROKEN),
    "ChangeCipherSpec too early": (
        before(CERTIFICATE, Record(CHANGE_CIPHER_SPEC, b"\1").encode()),
        BROKEN,
    ),
    "no certificate": (leave_out(CERTIFICATE), BROKEN),
    "no key exchange": (leave_out(KEY_EXCHANGE), BROKEN),
    "compression": (at(SERVER_HELLO, put(_SUITE + 2, b"\1")), BROKEN),
    "TLS 1.1": (
        at(SERVER_HELLO, put(5, b"\2")),
        "the server speaks no TLS version that this firmware has",
    ),
    "a damaged key": (at(KEY_EXCHANGE, flip(20)), BROKEN),
    "a damaged signature": (at(KEY_EXCHANGE, flip(-1)), BROKEN),
    "a certificate with a damaged signature": (
        at(CERTIFICATE, flip(-1)),
        "the certificate is not signed by a trusted CA",
    ),
    "a certificate that is no ASN.1": (at(CERTIFICATE, put(10, b"\xff")), NO_CERTIFICATE),
    "no certificate in the message": (
        at(CERTIFICATE, lambda _: Record(HANDSHAKE, b"\x0b\0\0\3\0\0\0").encode()),
        BROKEN,
    ),
    "a certificate longer than the message": (at(CERTIFICATE, put(7, b"\xff")), NO_CERTIFICATE),
    "data in the handshake": (
        before(CERTIFICATE, Record(APPLICATION_DATA, b"hello").encode()),
        BROKEN,
    ),
    "an alert inside a message": (
        at(CERTIFICATE, interrupt(alert(1, _UNRECOGNISED_NAME))),
        BROKEN,
    ),
    "a damaged Finished": (at(FINISHED, flip(-1)), DAMAGED),
}


def test_what_is_forbidden_ends(world: World, full_port: int) -> None:
    outcomes = list_outcomes(
        world, full_port, {name: rewrite for name, (rewrite, _) in FORBIDDEN.items()}
    )
    assert outcomes == {
        name: [f"reconnection\t{reason}"] for name, (_, reason) in FORBIDDEN.items()
    }


# What is not a record, from a server that did speak TLS.
NO_RECORD: dict[str, Rewrite] = {
    "an empty record": before(CERTIFICATE, Record(HANDSHAKE, b"").encode()),
    "a record of another type": before(CERTIFICATE, Record(99, b"hello").encode()),
    "half an alert": before(CERTIFICATE, Record(ALERT, b"\1").encode()),
    "text": before(CERTIFICATE, b"HTTP/1.0 500 sorry\r\n\r\n"),
    "another ChangeCipherSpec": at(CIPHER_SPEC, put(0, b"\2")),
    # That is allowed, but mbedTLS wants a message's first four bytes in one record.
    "in records of 3 bytes": at(CERTIFICATE, split(3)),
}


def test_no_record_is_a_damaged_one(world: World, full_port: int) -> None:
    outcomes = list_outcomes(world, full_port, NO_RECORD)
    assert outcomes == {name: [f"reconnection\t{DAMAGED}"] for name in NO_RECORD}


def test_a_suite_that_was_not_offered(world: World, full_port: int) -> None:
    outcomes = list_outcomes(
        world, full_port, {"AES in CCM": at(SERVER_HELLO, put(_SUITE, b"\xc0\xac"))}
    )
    assert outcomes == {"AES in CCM": [f"reconnection\t{BROKEN}"]}
