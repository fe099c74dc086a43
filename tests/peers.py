"""Servers for the emulated chip to talk to: `openssl s_server`, and sockets that misbehave."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pki import Identity
from servers import START_LIMIT, Server, start_server, wait_for_line

_SILENCE_LIMIT = 60  # seconds that a peer waits for the other side


@contextmanager
def run_s_server(
    identity: Identity, directory: Path, *options: str, cwd: Path | None = None
) -> Iterator[Server]:
    """Run `openssl s_server` on a port of its own choice; it tells what the client sent."""
    files = identity.write(directory)
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-tlsextdebug", *options]
    command += ["-cert", str(files.cert_path), "-key", str(files.key_path)]
    if identity.chain:
        command += ["-cert_chain", str(files.chain_path)]
    log_path = directory / "s_server.log"
    with start_server(command, log_path, cwd=cwd) as process:
        match = wait_for_line(process, log_path, r"^ACCEPT .*:(\d+)$", START_LIMIT)
        yield Server(int(match[1]), log_path, process)


@dataclass
class Peer:
    """A listening socket whose connections a thread serves, one after another."""

    port: int
    received: list[bytes] = field(default_factory=list)  # what `serve` returned, by connection


Serve = Callable[[socket.socket], bytes | None]
StartPeer = Callable[[Serve], AbstractContextManager[Peer]]


@contextmanager
def run_peer(serve: Serve, context: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """Serve every connection with `serve`, inside TLS when there is a context."""
    listener = socket.create_server(("127.0.0.1", 0))
    peer = Peer(listener.getsockname()[1])

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # the listener was shut down
                return
            connection.settimeout(_SILENCE_LIMIT)
            with suppress(OSError), connection:
                wrapped = context.wrap_socket(connection, server_side=True) if context else None
                peer.received.append(serve(wrapped or connection) or b"")
                if wrapped and wrapped.fileno() != -1:  # not closed by `serve`
                    wrapped.unwrap().close()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield peer
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(_SILENCE_LIMIT)
        listener.close()


@contextmanager
def hold_closed_port() -> Iterator[int]:
    """Keep a port on which nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def make_tls_context(identity: Identity, directory: Path) -> ssl.SSLContext:
    """Return the context of a TLS 1.2 server that shows this identity."""
    files = identity.write(directory)
    fullchain_path = directory / "fullchain.pem"
    fullchain_path.write_bytes(files.cert_path.read_bytes() + files.chain_path.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(fullchain_path, files.key_path)
    return context


def answer(data: bytes) -> Serve:
    """Serve a connection by reading a request, or a ClientHello, sending `data` and closing."""

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(data)

    return serve


def reset(connection: socket.socket) -> None:
    """Break the connection off with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_to_end(connection: socket.socket) -> bytes:
    """Return everything until the other side closes."""
    data = bytearray()
    while part := connection.recv(65536):
        data += part
    return bytes(data)
