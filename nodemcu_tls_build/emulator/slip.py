"""SLIP (RFC 1055) as the ESP8266 speaks it: a delimiter before and after each frame."""

from __future__ import annotations

END = 0xC0
ESCAPE = 0xDB
_ESCAPED = {0xDC: END, 0xDD: ESCAPE}


def encode_frame(frame: bytes) -> bytes:
    """Return the frame as it goes over the line."""
    body = frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + body + b"\xc0"


class Decoder:
    """Find frames in bytes that come in pieces of any size.

    What stands outside of delimiters is skipped. A frame with a bad escape or of more than `limit`
    bytes is dropped whole: its bytes are skipped up to the next delimiter.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._frame: bytearray | None = None  # None: waiting for the delimiter that starts one
        self._escaped = False

    def receive(self, byte: int) -> bytes | None:
        """Take one byte; return the frame that it ends, if it ends one."""
        if byte == END:
            frame = None if self._escaped else self._frame
            self._escaped = False
            # An empty frame is no frame: its second delimiter is the start of the next one.
            self._frame = None if frame else bytearray()
            return bytes(frame) if frame else None
        if self._frame is None:
            return None
        if self._escaped:
            self._escaped = False
            self._take(_ESCAPED.get(byte))
        elif byte == ESCAPE:
            self._escaped = True
        else:
            self._take(byte)
        return None

    def _take(self, byte: int | None) -> None:
        if self._frame is None:
            return
        if byte is None or len(self._frame) >= self.limit:
            self._frame = None
        else:
            self._frame.append(byte)
