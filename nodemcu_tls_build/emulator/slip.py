"""SLIP (RFC 1055) as the ESP8266 speaks it: a delimiter before and after each frame."""

from __future__ import annotations

from collections.abc import Iterator

_ESCAPED = {0xDC: b"\xc0", 0xDD: b"\xdb"}


def encode_frame(frame: bytes) -> bytes:
    """Return the frame as it goes over the line."""
    body = frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + body + b"\xc0"


class Decoder:
    """Find frames in bytes that come in pieces of any size.

    What stands outside of delimiters is skipped, and so is a frame with a bad escape, an empty one
    or one of more than `limit` bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._raw: bytearray | None = None  # None: waiting for the delimiter that starts a frame

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Yield the frames that `data` completes, each as soon as the one before was handled."""
        *ended, rest = data.split(b"\xc0")
        for part in ended:
            self._take(part)
            raw, self._raw = self._raw, None
            if not raw:
                # The start of a frame: the first delimiter, or the second of an empty frame.
                self._raw = bytearray()
            elif frame := self._unescape(bytes(raw)):
                yield frame
        self._take(rest)

    def _take(self, part: bytes) -> None:
        if self._raw is not None:
            self._raw += part
            if len(self._raw) > 2 * self.limit:  # no escaping makes so much of a good one
                self._raw = None

    def _unescape(self, raw: bytes) -> bytes | None:
        first, *others = raw.split(b"\xdb")
        parts = [first]
        for other in others:
            if not other or other[0] not in _ESCAPED:
                return None
            parts += [_ESCAPED[other[0]], other[1:]]
        frame = b"".join(parts)
        return frame if len(frame) <= self.limit else None
