"""What a relay does to the records of a good server's handshake."""

from __future__ import annotations

from collections.abc import Callable

from relay import HANDSHAKE, Last, Record, Rewrite

# The records of `openssl s_server`, by number; application data follows.
SERVER_HELLO, CERTIFICATE, KEY_EXCHANGE, HELLO_DONE, CIPHER_SPEC, FINISHED, DATA = range(7)


def at(number: int, change: Callable[[Record], bytes]) -> Rewrite:
    """Send something in place of one record."""
    return lambda n, record: change(record) if n == number else record.encode()


def before(number: int, data: bytes) -> Rewrite:
    """Send something before one record."""
    return at(number, lambda record: data + record.encode())


def leave_out(number: int) -> Rewrite:
    return at(number, lambda _: b"")


def end_at(number: int, data: bytes = b"") -> Rewrite:
    """Send something in place of one record, and close."""
    return at(number, lambda _: Last(data))


def split(size: int) -> Callable[[Record], bytes]:
    """Return a change of a record into several of at most this size."""
    return lambda record: b"".join(part.encode() for part in record.cut(size))


def cut(size: int) -> Rewrite:
    """Send what is not encrypted of the handshake in records of at most this size."""
    return lambda n, record: split(size)(record) if n <= HELLO_DONE else record.encode()


def join() -> Rewrite:
    """Send what is not encrypted of the handshake in a single record."""
    waiting: list[bytes] = []

    def rewrite(number: int, record: Record) -> bytes:
        if number > HELLO_DONE:
            return record.encode()
        waiting.append(record.body)
        return b"" if number < HELLO_DONE else Record(HANDSHAKE, b"".join(waiting)).encode()

    return rewrite


def interrupt(data: bytes) -> Callable[[Record], bytes]:
    """Put something between two parts of a message."""

    def change(record: Record) -> bytes:
        first, *others = record.cut(len(record.body) // 2)
        return first.encode() + data + b"".join(part.encode() for part in others)

    return change


def put(offset: int, data: bytes) -> Callable[[Record], bytes]:
    """Return a change of some bytes of a record."""

    def change(record: Record) -> bytes:
        body = bytearray(record.body)
        body[offset : offset + len(data)] = data
        return Record(record.kind, bytes(body)).encode()

    return change


def flip(offset: int) -> Callable[[Record], bytes]:
    """Return a change of one bit in a record."""
    return lambda record: put(offset % len(record.body), bytes([record.body[offset] ^ 1]))(record)
