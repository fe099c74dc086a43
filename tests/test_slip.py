"""SLIP frames out of a stream that comes in any pieces, with anything in between."""

from __future__ import annotations

import random

import pytest

from nodemcu_tls_build.emulator.slip import Decoder, encode_frame

FRAMES = [b"\xc0", b"\xdb", b"\xdb\xdc\xdd\xc0", b"plain", bytes(range(256)), b"\xc0" * 50]
STREAM = b"".join(map(encode_frame, FRAMES))


def decode(*pieces: bytes, limit: int = 256) -> list[bytes]:
    decoder = Decoder(limit)
    return [frame for piece in pieces for frame in decoder.receive(piece)]


def test_escapes() -> None:
    assert encode_frame(b"a\xc0b\xdbc") == b"\xc0a\xdb\xdcb\xdb\xddc\xc0"
    assert encode_frame(b"") == b"\xc0\xc0"


def test_split_at_every_byte() -> None:
    assert decode(STREAM) == FRAMES
    for index in range(len(STREAM)):
        assert decode(STREAM[:index], STREAM[index:]) == FRAMES
    assert decode(*(bytes([byte]) for byte in STREAM)) == FRAMES


@pytest.mark.parametrize("garbage", [b"boot noise", b"\xdb\xdb", b"\xc0", b"\xc0\xc0\xc0", b"\xdc"])
def test_garbage_before(garbage: bytes) -> None:
    assert decode(garbage + STREAM) == FRAMES


@pytest.mark.parametrize("bad", [b"\xdb", b"a\xdb\xdb", b"\xdbx", b"\xdb\xdc\xdb"])
def test_bad_escape_drops_that_frame_only(bad: bytes) -> None:
    assert decode(b"\xc0" + bad + b"\xc0" + STREAM) == FRAMES


def test_lost_delimiters_cost_one_frame() -> None:
    assert decode(b"no start\xc0" + STREAM) == FRAMES
    assert decode(b"\xc0no end" + STREAM) == [b"no end", *FRAMES[1:]]


def test_too_long_frames() -> None:
    assert decode(encode_frame(bytes(256)), STREAM) == [bytes(256), *FRAMES]
    assert decode(encode_frame(bytes(257)), STREAM) == FRAMES
    assert decode(encode_frame(bytes(100_000)), STREAM) == FRAMES
    assert decode(encode_frame(b"\xc0" * 256), STREAM) == [b"\xc0" * 256, *FRAMES]


def test_endless_frame_takes_no_memory() -> None:
    decoder = Decoder(256)
    list(decoder.receive(b"\xc0"))
    for _ in range(1000):
        assert list(decoder.receive(bytes(1000))) == []
    assert len(decoder._raw or b"") <= 2 * 256


def test_random_frames_come_back() -> None:
    source = random.Random(1)  # noqa: S311 -- the same frames each time
    for _ in range(200):
        frames = [source.randbytes(source.randrange(1, 256)) for _ in range(5)]
        stream = b"".join(map(encode_frame, frames))
        cut = source.randrange(len(stream))
        assert decode(stream[:cut], stream[cut:]) == frames
