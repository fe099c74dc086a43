"""Time servers on UDP ports of this machine, good ones and others."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

UNIX_EPOCH = 2208988800  # seconds from 1900 to 1970
NOW = 2_000_000_000  # what the servers' clocks say: May 2033


@dataclass(frozen=True)
class Answer:
    """What a server sends back, the good one unless told otherwise."""

    leap: int = 0
    version: int = 4
    mode: int = 4
    stratum: int = 2
    reference: bytes = b"GPS\0"
    cookie: bytes | None = None
    seconds: int = NOW
    transmitted: bytes | None = None
    length: int = 48
    more: bytes = b""

    def make(self, question: bytes) -> bytes:
        """Return the packet that answers a question."""
        stamp = struct.pack(">II", (self.seconds + UNIX_EPOCH) & 0xFFFFFFFF, 0x40000000)
        first = self.leap << 6 | self.version << 3 | self.mode
        packet = struct.pack(">BBbb8x", first, self.stratum, 6, 0) + self.reference + stamp
        packet += question[40:48] if self.cookie is None else self.cookie
        packet += stamp + (stamp if self.transmitted is None else self.transmitted)
        return packet[: self.length] + self.more


@dataclass
class Server:
    port: int
    questions: list[bytes] = field(default_factory=list)


Serve = Callable[[socket.socket, bytes, tuple[str, int], int], None]


@contextmanager
def run_server(serve: Serve) -> Iterator[Server]:
    """Call `serve` with the socket, each question, where it came from, and its number from 0."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        server = Server(listener.getsockname()[1])

        def answer() -> None:
            while True:
                question, client = listener.recvfrom(2048)
                if question == b"end":
                    return
                server.questions.append(question)
                serve(listener, question, client, len(server.questions) - 1)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server
        finally:
            listener.sendto(b"end", listener.getsockname())
            thread.join(20)


def send(*answers: Answer) -> Serve:
    """Answer every question with these packets."""

    def serve(
        listener: socket.socket, question: bytes, client: tuple[str, int], number: int
    ) -> None:
        for answer in answers:
            listener.sendto(answer.make(question), client)

    return serve
