"""A relay between the chip and a server: it passes TLS records on, or others in their place."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
_SILENCE_LIMIT = 60  # seconds that a relay waits for either side
_HEADER = struct.Struct("!BHH")


@dataclass(frozen=True)
class Record:
    """A TLS record: its type, and what follows its header."""

    kind: int
    body: bytes
    version: int = 0x0303

    def encode(self) -> bytes:
        return _HEADER.pack(self.kind, self.version, len(self.body)) + self.body

    def cut(self, size: int) -> list[Record]:
        """Return the same bytes in records of at most this size."""
        starts = range(0, len(self.body), size)
        return [Record(self.kind, self.body[start : start + size]) for start in starts]


class Last(bytes):
    """What to send before the connection is closed in the server's name."""


# What to send in place of the server's nth record, from 0: bytes as they are.
Rewrite = Callable[[int, Record], bytes]


def keep(_: int, record: Record) -> bytes:
    """Pass a record on as it is."""
    return record.encode()


def alert(level: int, description: int) -> bytes:
    """Return an alert that is not encrypted."""
    return Record(ALERT, bytes([level, description])).encode()


@contextmanager
def run_relay(port: int, rewrite: Rewrite = keep, *, pause: float = 0) -> Iterator[int]:
    """Relay to a server on this machine; return the relay's own port.

    What the server sends goes through `rewrite`; with a `pause`, in seconds, byte by byte. One
    connection is served after another.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # the listener was shut down
                return
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                _relay(client, server, rewrite, pause)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(_SILENCE_LIMIT)
        listener.close()


def _relay(client: socket.socket, server: socket.socket, rewrite: Rewrite, pause: float) -> None:
    for connection in (client, server):
        connection.settimeout(_SILENCE_LIMIT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    upward = threading.Thread(target=_pass_on, args=(client, server))
    upward.start()
    with suppress(OSError):
        for number, record in enumerate(_read_records(server)):
            data = rewrite(number, record)
            _send(client, data, pause)
            if isinstance(data, Last):
                break
        client.shutdown(socket.SHUT_WR)
    upward.join(_SILENCE_LIMIT)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _send(target: socket.socket, data: bytes, pause: float) -> None:
    if not pause:
        target.sendall(data)
        return
    for byte in data:
        target.sendall(bytes([byte]))
        time.sleep(pause)


def _read_records(source: socket.socket) -> Iterator[Record]:
    with source.makefile("rb") as stream:
        while header := stream.read(_HEADER.size):
            kind, version, length = _HEADER.unpack(header)
            yield Record(kind, stream.read(length), version)
