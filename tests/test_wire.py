"""The line between host and chip: rates that differ, and its faults."""

from __future__ import annotations

import pytest

from nodemcu_tls_build.emulator.faults import Faults
from nodemcu_tls_build.emulator.wire import Wire, hear

BAUD = 115200
TEXT = b"The quick brown fox jumps over the lazy dog."


def send(faults: Faults, *parts: bytes, now: float = 0) -> bytes:
    wire = Wire(faults)
    for part in parts:
        wire.send(wire.cut(part), 0, sent_at=BAUD, heard_at=BAUD)
    return wire.take(now)


@pytest.mark.parametrize("baud", [BAUD, 110_000, 120_000])
def test_rates_that_are_near(baud: int) -> None:
    assert hear(TEXT, sent_at=BAUD, heard_at=baud) == TEXT


@pytest.mark.parametrize("baud", [1, 9600, 74880, 105_000, 125_000, 230_400, 921_600, 2**32 - 1])
def test_rates_that_are_not(baud: int) -> None:
    for sent_at, heard_at in ((BAUD, baud), (baud, BAUD)):
        heard = hear(TEXT, sent_at=sent_at, heard_at=heard_at)
        assert heard != TEXT
        assert len(heard) <= 5 * len(TEXT)
        assert hear(b"", sent_at=sent_at, heard_at=heard_at) == b""


def test_what_a_receiver_makes_of_another_rate() -> None:
    # On the line U is 0101010101. At half the rate every sample after the start bit hits a 1; at
    # twice the rate each bit counts twice, and there is no stop bit where one is due.
    assert hear(b"U", sent_at=2 * BAUD, heard_at=BAUD) == b"\xff"
    assert hear(b"U", sent_at=BAUD, heard_at=2 * BAUD) == b"\x66\xe6"
    assert hear(b"\x00", sent_at=BAUD, heard_at=100 * BAUD) == b"\x00"


def test_hearing_goes_on_after_a_byte_at_another_rate() -> None:
    # Twice as fast a receiver has no stop bit after the first 0x00, which is low for 18 of its
    # bits: it waits for the line to be high, so that the next start bit is one again.
    assert hear(b"\x00\xff\x00", sent_at=BAUD, heard_at=2 * BAUD) == b"\x00\xfe\x00"
    # One that is half as fast takes the second byte for the rest of the first; its own stop bit
    # falls into the high end of that, and the third byte is heard like the first.
    assert hear(b"\x00\xff\x00", sent_at=2 * BAUD, heard_at=BAUD) == b"\xf8\xf8"
    # A line that stays low to the end is no further byte.
    assert hear(b"\x00", sent_at=2 * BAUD, heard_at=5 * BAUD) == b"\x00"


def test_without_faults() -> None:
    assert send(Faults(), b"\xc0ab\xc0", b"", bytes(range(256))) == b"\xc0ab\xc0" + bytes(
        range(256)
    )


def test_every_nth_byte_is_lost() -> None:
    assert send(Faults(lose=3), b"abcd", b"efg") == b"abdeg"


def test_every_nth_byte_is_corrupt() -> None:
    heard = send(Faults(corrupt=3), b"abcd", b"efg")
    assert [
        index for index, (a, b) in enumerate(zip(heard, b"abcdefg", strict=True)) if a != b
    ] == [
        2,
        5,
    ]


def test_delay() -> None:
    wire = Wire(Faults(delay=250))
    wire.send(b"a", 1.0, sent_at=BAUD, heard_at=BAUD)
    wire.send(b"b", 1.1, sent_at=BAUD, heard_at=BAUD)
    assert wire.deadline == 1.25
    assert wire.take(1.2) == b""
    assert wire.take(1.3) == b"a"
    assert wire.take(1.4) == b"b"
    assert wire.deadline is None
    wire.send(b"c", 2.0, sent_at=BAUD, heard_at=BAUD)
    wire.clear()
    assert wire.take(9.0) == b""


def test_one_answer_is_cut() -> None:
    frames = [b"\xc0first\xc0", b"\xc0second\xc0\xc0third!\xc0", b"\xc0fourth\xc0"]
    assert send(Faults(cut_frame=3), *frames) == b"\xc0first\xc0\xc0second\xc0\xc0thi\xc0fourth\xc0"
    assert send(Faults(cut_frame=5), *frames) == b"".join(frames)


def test_deaf() -> None:
    assert send(Faults(deaf=True), b"\xc0first\xc0") == b""


def test_unplugged_once() -> None:
    wire = Wire(Faults(unplug=5))
    assert wire.count(b"abcd") == (b"abcd", False)
    assert wire.count(b"efgh") == (b"e", True)
    assert wire.count(b"ijklmnop") == (b"ijklmnop", False)
