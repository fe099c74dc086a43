"""Take apart a ClientHello as it comes from a client (RFC 5246, section 7.4.1.2; RFC 8446)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from emulated import HOST

from nodemcu_tls_build.profile import Profile
from nodemcu_tls_build.profile.offer import (
    EXTENSIONS,
    RENEGOTIATION_SCSV,
    describe_offer,
    measure_hello,
)

_TLS_1_2 = 0x0303
_CODES = {"1.3": 0x0304, "1.2": 0x0303}
_HANDSHAKE, _CLIENT_HELLO = 22, 1


@dataclass(frozen=True)
class ClientHello:
    """What a client offers, by the codes on the wire; extensions by their code, in their order."""

    record_version: int
    version: int
    session_id: bytes
    suites: tuple[int, ...]
    compressions: bytes
    extensions: dict[int, bytes]

    def read_codes(self, extension: int, length_size: int = 2) -> tuple[int, ...]:
        """Return the codes of 16 bits of which an extension is one list; none without it."""
        if extension not in self.extensions:
            return ()
        reader = _Reader(self.extensions[extension])
        codes = _split_codes(reader.take_vector(length_size))
        reader.check_end()
        return codes

    def read_protocols(self) -> tuple[str, ...]:
        """Return the names in the extension for ALPN; none without it."""
        names = []
        reader = _Reader(_Reader(self.extensions.get(16, bytes(2))).take_vector(2))
        while reader.data:
            names.append(reader.take_vector(1).decode())
        return tuple(names)

    def measure(self) -> int:
        """Return the bytes of the handshake message."""
        extensions = sum(4 + len(data) for data in self.extensions.values())
        lists = 2 * len(self.suites) + len(self.session_id) + len(self.compressions)
        return 4 + 2 + 32 + (1 + 2 + 1 + lists) + 2 + extensions

    def read_server_name(self) -> str | None:
        """Return the server's name that is asked for."""
        if 0 not in self.extensions:
            return None
        reader = _Reader(_Reader(self.extensions[0]).take_vector(2))
        assert reader.take(1) == b"\0"  # host_name
        name = reader.take_vector(2)
        reader.check_end()
        return name.decode()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, length: int) -> bytes:
        assert len(self.data) >= length, "cut short"
        taken, self.data = self.data[:length], self.data[length:]
        return taken

    def take_number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def take_vector(self, length_size: int) -> bytes:
        return self.take(self.take_number(length_size))

    def check_end(self) -> None:
        assert self.data == b"", "more than its length says"


def receive_client_hello(connection: socket.socket) -> ClientHello:
    """Read a client's first message, which may come in several records."""
    message = b""
    record_version = 0
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        header = _Reader(_receive(connection, 5))
        assert header.take_number(1) == _HANDSHAKE
        record_version = header.take_number(2)
        message += _receive(connection, header.take_number(2))
    return parse_client_hello(message, record_version)


def capture_into(hellos: list[ClientHello]) -> Callable[[socket.socket], None]:
    """Return what a server does that only takes a ClientHello."""
    return lambda connection: hellos.append(receive_client_hello(connection))


def check_hello(hello: ClientHello, profile: Profile) -> None:
    """Compare a captured ClientHello with all that the profile's functions say of it."""
    offer = describe_offer(profile)
    has_1_3 = "1.3" in offer.versions
    assert (hello.version, hello.compressions) == (_TLS_1_2, b"\0")
    assert len(hello.session_id) == (32 if has_1_3 else 0)  # RFC 8446, appendix D.4
    assert hello.suites == (*(suite.code for suite in offer.suites), RENEGOTIATION_SCSV)
    assert set(hello.extensions) == {EXTENSIONS[name] for name in offer.extensions}
    assert hello.read_codes(EXTENSIONS["supported_groups"]) == tuple(g.code for g in offer.groups)
    assert hello.read_codes(EXTENSIONS["signature_algorithms"]) == tuple(
        algorithm.code for algorithm in offer.signature_algorithms
    )
    versions = tuple(_CODES[version] for version in offer.versions)
    assert hello.read_codes(EXTENSIONS["supported_versions"], 1) == (versions if has_1_3 else ())
    assert hello.read_protocols() == offer.alpn
    assert hello.read_server_name() == (HOST if "server_name" in offer.extensions else None)
    assert hello.measure() == measure_hello(profile, host=len(HOST))
    code = hello.extensions.get(EXTENSIONS["max_fragment_length"])
    assert offer.max_fragment == (None if code is None else 256 << code[0])


def parse_client_hello(message: bytes, record_version: int) -> ClientHello:
    """Read a handshake message, its header included; whatever is wrong with it fails."""
    reader = _Reader(message)
    assert reader.take_number(1) == _CLIENT_HELLO
    reader = _Reader(_take_all(reader, 3))
    version = reader.take_number(2)
    reader.take(32)  # random
    session_id = reader.take_vector(1)
    suites = _split_codes(reader.take_vector(2))
    compressions = reader.take_vector(1)
    extensions: dict[int, bytes] = {}
    rest = _Reader(_take_all(reader, 2))
    while rest.data:
        code = rest.take_number(2)
        assert code not in extensions, f"extension {code} twice"
        extensions[code] = rest.take_vector(2)
    return ClientHello(record_version, version, session_id, suites, compressions, extensions)


def _take_all(reader: _Reader, length_size: int) -> bytes:
    """Return the vector that is all that is left."""
    data = reader.take_vector(length_size)
    reader.check_end()
    return data


def _split_codes(data: bytes) -> tuple[int, ...]:
    assert len(data) % 2 == 0, "half a code"
    return tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))


def _receive(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        assert part, "the client closed the connection"
        data += part
    return data
