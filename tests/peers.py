"""Servers for the emulated chip to talk to: `openssl s_server`, and sockets that misbehave."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pki import Identity

_START_LIMIT = 20  # seconds
_SILENCE_LIMIT = 60  # seconds that a peer waits for the other side


@dataclass
class OpensslServer:
    """A running s_server: where it listens and what it said so far."""

    port: int
    log_path: Path

    def read_log(self) -> str:
        return self.log_path.read_text(errors="replace")


@contextmanager
def run_s_server(
    identity: Identity, directory: Path, *options: str, cwd: Path | None = None
) -> Iterator[OpensslServer]:
    """Run `openssl s_server` on a port of its own choice; it tells what the client sent."""
    files = identity.write(directory)
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-tlsextdebug", *options]
    command += ["-cert", str(files.cert_path), "-key", str(files.key_path)]
    if identity.chain:
        command += ["-cert_chain", str(files.chain_path)]
    log_path = directory / "s_server.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd
        )
    try:
        yield OpensslServer(_wait_for_port(process, log_path), log_path)
    finally:
        process.kill()
        process.wait(_START_LIMIT)


def _wait_for_port(process: subprocess.Popen[bytes], log_path: Path) -> int:
    deadline = time.monotonic() + _START_LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        match = re.search(r"^ACCEPT .*:(\d+)$", log_path.read_text(errors="replace"), re.MULTILINE)
        if match:
            return int(match[1])
        time.sleep(0.02)
    raise AssertionError(f"openssl s_server did not start:\n{log_path.read_text()}")


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
