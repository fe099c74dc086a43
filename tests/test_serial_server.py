"""The serial port on the loopback address, with pyserial and with worse clients."""

from __future__ import annotations

import errno
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import serial

from nodemcu_tls_build.emulator.serial_server import SerialServer, Unplugged
from nodemcu_tls_build.errors import DeviceError

_LIMIT = 60
_STEP = 0.02
_PART = 256 * 1024
_SB, _SE, _DO = b"\xff\xfa\x2c", b"\xff\xf0", b"\xff\xfd"
_SET_BAUD = _SB + b"\x01" + struct.pack("!I", 74880) + _SE
_RTS_ON, _RTS_OFF = _SB + b"\x05\x0b" + _SE, _SB + b"\x05\x0c" + _SE


class Port:
    """A server that runs, and at its end a device that notes what happens and answers nothing."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.log: list[str] = []
        self.to_send = bytearray()
        self._server = SerialServer(0, self, self.log.append)
        self.url = self._server.url
        self.address = ("127.0.0.1", int(self.url.rpartition(":")[2]))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Port:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_LIMIT)
        self._server.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            poller = select.poll()
            for descriptor, events in self._server.watch().items():
                poller.register(descriptor, events)
            self._server.step(dict(poller.poll(_STEP * 1000)))
            if self._server.has_room:
                part = bytes(self.to_send[:_PART])
                del self.to_send[: len(part)]
                self._server.send(part)

    def plug_in(self) -> None:
        self.events.append("in")

    def pull_out(self) -> None:
        self.events.append("out")

    def set_lines(self, *, dtr: bool, rts: bool) -> None:
        self.events.append((dtr, rts))

    def set_baud(self, baud: int) -> None:
        self.events.append(baud)

    def receive(self, data: bytes) -> None:
        self.events.append(data)
        if data.endswith(b"unplug"):
            raise Unplugged("The plug is out.")

    def received(self) -> bytes:
        return b"".join(event for event in self.events if isinstance(event, bytes))

    def wait_for(self, event: object, count: int = 1) -> None:
        deadline = time.monotonic() + _LIMIT
        while self.events.count(event) + self.log.count(str(event)) < count:
            assert time.monotonic() < deadline, (event, self.events, self.log)
            time.sleep(_STEP)


@pytest.fixture
def port() -> Iterator[Port]:
    with Port() as running:
        yield running


@contextmanager
def connect(port: Port, buffer: int | None = None) -> Iterator[socket.socket]:
    with socket.socket() as connection:
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(_LIMIT)
        connection.connect(port.address)
        yield connection


def is_closed(connection: socket.socket) -> bool:
    """Read to the end of the connection, which must come."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def test_pyserial(port: Port) -> None:
    everything = bytes(range(256)) * 40
    with closing(serial.serial_for_url(port.url, baudrate=74880, timeout=_LIMIT)) as client:
        client.write(everything)
        port.to_send += everything
        assert client.read(len(everything)) == everything
        client.dtr = False
        client.baudrate = 921600
        client.rts = False
    port.wait_for("out")
    settings = [event for event in port.events if not isinstance(event, bytes)]
    opened = ["in", 74880, (True, False), (True, True)]
    assert settings == [*opened, (False, True), 921600, (False, False), "out"]
    assert port.received() == everything
    assert port.log == ["A client is connected.", "The client has gone."]


def test_bytes_and_settings_keep_their_order(port: Port) -> None:
    with connect(port) as client:
        client.sendall(b"a\xff\xffb" + _RTS_ON + b"c" + _SET_BAUD + b"d" + _RTS_OFF + b"e")
        port.wait_for(b"e")
    events = ["in", b"a\xffb", (False, True), b"c", 74880, b"d", (False, False), b"e"]
    assert port.events[:8] == events


def test_telnet_in_single_bytes(port: Port) -> None:
    with connect(port) as client:
        for byte in b"a" + _SET_BAUD + b"b":
            client.sendall(bytes([byte]))
        port.wait_for(b"b")
        assert port.events == ["in", b"a", 74880, b"b"]


def test_second_client_is_refused(port: Port) -> None:
    with connect(port) as first:
        first.sendall(b"x")
        port.wait_for(b"x")
        with connect(port) as second:
            assert is_closed(second)
        first.sendall(b"y")
        port.wait_for(b"y")
        port.wait_for("A second client was refused: the port is in use.")
    assert port.events.count("in") == 1


def test_next_client_can_follow_at_once(port: Port) -> None:
    for count in range(1, 51):
        with connect(port) as client:
            client.sendall(b"%d" % count)
        # closed, and the next one is there before the server may have looked
    port.wait_for("out", 50)
    assert not any("refused" in line for line in port.log)
    assert port.received() == b"".join(b"%d" % count for count in range(1, 51))


def test_client_that_resets_the_connection(port: Port) -> None:
    with connect(port) as client:
        port.wait_for("in")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    port.wait_for("out")
    with connect(port) as client:
        client.sendall(b"x")
        port.wait_for(b"x")


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(_SE, id="end without a beginning"),
        pytest.param(_SB + b"\x01\x00" + _SE, id="short rate"),
        pytest.param(_SB + b"\x03\xfe" + _SE, id="no such parity"),
        pytest.param(_SB + b"\x0a" + _SE, id="mask without a value"),
        pytest.param(_SB + b"x" * 5000, id="no end"),
    ],
)
def test_nonsense_ends_the_connection(port: Port, nonsense: bytes) -> None:
    with connect(port) as client:
        client.sendall(b"before" + nonsense)
        assert is_closed(client)
    port.wait_for("out")
    assert "The client was hung up on: what it sends is not RFC 2217." in port.log
    with connect(port) as client:
        client.sendall(b"after")
        port.wait_for(b"after")


def test_client_that_only_talks(port: Port) -> None:
    """A client that does not read what it asks for is not read from either, until it does."""
    question = _DO + b"\x63"  # an option that nobody has: each is answered
    with connect(port, buffer=16 * 1024) as client:
        client.setblocking(False)
        sent = 0
        idle_since = time.monotonic()
        while time.monotonic() - idle_since < 1 and sent < 64_000_000:
            try:
                sent += client.send(question * 10_000)
                idle_since = time.monotonic()
            except BlockingIOError:
                time.sleep(_STEP)
        assert sent < 64_000_000
        client.settimeout(_LIMIT)
        answered = 0
        while answered < 1_000_000:  # more than was held back: it is listened to again
            answered += len(client.recv(65536))


def test_client_that_does_not_read(port: Port) -> None:
    with connect(port) as client:
        port.wait_for("in")
        port.to_send += b"x" * 20_000_000
        client.sendall(b"still heard" + _RTS_ON)
        port.wait_for((False, True))
        left = 0
        while left != len(port.to_send):  # until the server takes no more
            left = len(port.to_send)
            time.sleep(20 * _STEP)
        assert left > 1_000_000
        got = 0
        while got < 20_000_000:
            got += client.recv(65536).count(b"x")


def test_device_takes_the_connection_away(port: Port) -> None:
    with connect(port) as client:
        client.sendall(b"now unplug")
        assert is_closed(client)
    port.wait_for("The plug is out.")
    port.wait_for("out")
    with connect(port) as client:
        client.sendall(b"again")
        port.wait_for(b"again")


def test_vanished_client_is_noticed(port: Port) -> None:
    """The kernel is asked to look after it: that takes half a minute, which nobody waits for."""
    with connect(port):
        port.wait_for("in")
        client = port._server._client
        assert client is not None
        for level, option in (
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        ):
            assert client.socket.getsockopt(level, option) > 0


def test_nothing_but_loopback_is_listened_on(port: Port) -> None:
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.2", port.address[1])) == errno.ECONNREFUSED


def test_port_in_use(port: Port) -> None:
    with pytest.raises(DeviceError, match=r"cannot listen on 127\.0\.0\.1:") as caught:
        SerialServer(port.address[1], port, port.log.append)
    assert "--port" in str(caught.value.hint)
