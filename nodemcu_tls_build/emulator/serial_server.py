"""A serial port on the loopback address: RFC 2217, one client at a time."""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Callable
from typing import Protocol

from serial.rfc2217 import PortManager

from nodemcu_tls_build.errors import DeviceError

HOST = "127.0.0.1"
_CHUNK = 4096
_BACKLOG = 64 * 1024  # bytes that wait for the client before the console is left waiting
_STUFFED = 512 * 1024  # with so many it must read before it is listened to again
_SUBOPTION_LIMIT = 256  # bytes; RFC 2217 needs six, more is not Telnet
_IDLE, _INTERVAL, _PROBES = 10, 5, 3  # seconds, seconds, times: a client that vanished is noticed
_UNSENT = 30_000  # milliseconds


class Unplugged(Exception):  # noqa: N818 -- reads as the sentence it is
    """The device takes the connection away."""


class Device(Protocol):
    """What is at the chip's end of the port."""

    def plug_in(self) -> None:
        """Take note of a client; both lines are released."""

    def pull_out(self) -> None:
        """Take note that the client has gone; both lines are released again."""

    def set_lines(self, *, dtr: bool, rts: bool) -> None:
        """Take the two lines as the host sets them."""

    def set_baud(self, baud: int) -> None:
        """Take the host's rate in bits a second."""

    def receive(self, data: bytes) -> None:
        """Take bytes of the host; raises Unplugged to take the connection away."""


class SerialServer:
    """The listening socket, and the one client.

    `watch()` and `step()` are called around a poll; nothing here waits.
    """

    def __init__(self, port: int, device: Device, log: Callable[[str], None]) -> None:
        try:
            self._listener = socket.create_server((HOST, port))
        except OSError as error:
            raise DeviceError(
                f"cannot listen on {HOST}:{port}: {os.strerror(error.errno or 0)}",
                "Choose another --port, or 0 for any that is free.",
            ) from error
        self._listener.setblocking(False)
        self._device = device
        self._log = log
        self._client: _Client | None = None
        self.url = f"rfc2217://{HOST}:{self._listener.getsockname()[1]}"

    @property
    def has_room(self) -> bool:
        """Tell whether the client keeps up with what is sent to it, or there is none."""
        return self._client is None or len(self._client.outgoing) < _BACKLOG

    def watch(self) -> dict[int, int]:
        """Return the descriptors to wait for, and for what."""
        watched = {self._listener.fileno(): select.POLLIN}
        if self._client:
            watched[self._client.socket.fileno()] = self._client.wants()
        return watched

    def step(self, ready: dict[int, int]) -> None:
        """Do what `ready`, the poll's answer, allows."""
        client = self._client
        if client and ready.get(client.socket.fileno(), 0) & ~select.POLLOUT:
            self._serve(client.read_once)
        if self._listener.fileno() in ready:
            self._accept()
        self.send(b"")

    def send(self, data: bytes) -> None:
        """Send bytes to the client; without one they are lost."""
        if client := self._client:
            client.queue(data)
            self._serve(client.flush)

    def close(self) -> None:
        """End the connection and listen no more."""
        self._hang_up("")
        self._listener.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # gone again
            return
        if self._client:  # it may have closed just before this one came
            self._serve(self._client.read_all)
        if self._client:
            connection.close()
            self._log("A second client was refused: the port is in use.")
            return
        self._device.plug_in()
        self._client = _Client(connection, self._device)
        self._log("A client is connected.")

    def _serve(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Unplugged as end:
            self._hang_up(str(end))
        except EOFError:
            self._hang_up("The client has gone.")
        except OSError as error:
            self._hang_up(f"The client was lost: {error.strerror}.")

    def _hang_up(self, reason: str) -> None:
        client, self._client = self._client, None
        if client:
            client.socket.close()
            self._device.pull_out()
            if reason:
                self._log(reason)


class _Client:
    """A connection: Telnet on one side, the settings of a serial port on the other.

    pyserial's PortManager sees it as the port and as the connection. Bytes and settings reach the
    device in the order in which they were sent.
    """

    # What a port has besides; nothing here depends on it.
    bytesize, parity, stopbits = 8, "N", 1
    xonxoff = rtscts = break_condition = False
    cts = dsr = ri = cd = False

    def __init__(self, connection: socket.socket, device: Device) -> None:
        connection.setblocking(False)
        for level, option, value in (
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _INTERVAL),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNSENT),
        ):
            connection.setsockopt(level, option, value)
        self.socket = connection
        self.outgoing = bytearray()
        self._device = device
        self._incoming = bytearray()
        self._dtr = self._rts = False
        self._baud = 115200  # until the client says
        self._telnet = PortManager(self, self)

    def wants(self) -> int:
        """Return what to poll the socket for."""
        events = select.POLLIN if len(self.outgoing) < _STUFFED else 0
        return events | (select.POLLOUT if self.outgoing else 0)

    def read_once(self) -> None:
        """Take some bytes of the client; raises EOFError, OSError or Unplugged at its end."""
        self._read()

    def read_all(self) -> None:
        """Take all that the client has sent so far."""
        while self._read():
            pass

    def queue(self, data: bytes) -> None:
        """Put the device's bytes behind what waits to be sent."""
        self.outgoing += data.replace(b"\xff", b"\xff\xff")

    def flush(self) -> None:
        """Send as much as there is room for."""
        try:
            while self.outgoing:
                del self.outgoing[: self.socket.send(self.outgoing)]
        except BlockingIOError:
            return

    def _read(self) -> bool:
        try:
            data = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return False
        if not data:
            raise EOFError
        try:
            for byte in self._telnet.filter(data):
                self._incoming += byte
            broken = len(self._telnet.suboption or b"") > _SUBOPTION_LIMIT
        except (TypeError, KeyError, ValueError, struct.error):  # PortManager's, on nonsense
            broken = True
        if broken:
            raise Unplugged("The client was hung up on: what it sends is not RFC 2217.")
        self._deliver()
        return True

    def _deliver(self) -> None:
        data = bytes(self._incoming)
        self._incoming.clear()
        if data:
            self._device.receive(data)

    # What PortManager calls.

    def write(self, data: bytes) -> None:
        """Put Telnet's own bytes behind what waits to be sent."""
        self.outgoing += data

    def reset_input_buffer(self) -> None:
        """Do nothing: what has been sent is on its way, and the client throws it away."""

    def reset_output_buffer(self) -> None:
        """Do nothing: nothing waits to be sent to the chip."""

    @property
    def baudrate(self) -> int:
        """Return the host's rate."""
        return self._baud

    @baudrate.setter
    def baudrate(self, value: int) -> None:
        self._deliver()
        self._baud = value
        self._device.set_baud(value)

    @property
    def dtr(self) -> bool:
        """Return whether the host asserts DTR."""
        return self._dtr

    @dtr.setter
    def dtr(self, value: bool) -> None:
        self._deliver()
        self._dtr = value
        self._device.set_lines(dtr=self._dtr, rts=self._rts)

    @property
    def rts(self) -> bool:
        """Return whether the host asserts RTS."""
        return self._rts

    @rts.setter
    def rts(self, value: bool) -> None:
        self._deliver()
        self._rts = value
        self._device.set_lines(dtr=self._dtr, rts=self._rts)
