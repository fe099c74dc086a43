"""Noise on the line: a loader never raises, and never answers what no loader says."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from loader_host import (
    KIB,
    MIB,
    STUB_ENTRY,
    SYNC,
    Host,
    make_block,
    make_request,
    pack,
    parse_answers,
    split_frames,
)

from nodemcu_tls_build.emulator.flash_chip import FlashChip

SECTOR = 4 * KIB


def check_answer(answer: bytes) -> None:
    """Look at everything that came: only whole frames, each of them one that a loader sends."""
    for frame in split_frames(answer):
        is_response = len(frame) >= 10 and frame[0] == 1
        assert is_response or frame == b"OHAI" or len(frame) <= SECTOR


@pytest.mark.parametrize("version", [0, 1, 2])
def test_random_frames(tmp_path: Path, version: int) -> None:
    """Send 20,000 of them: requests with bad parameters, blocks, and mere bytes."""
    source = random.Random(version)  # noqa: S311 -- the same frames each time
    commands = [*range(2, 0x15), *range(0xD0, 0xDF)]
    words = [0, 1, 4, 16, SECTOR, MIB, STUB_ENTRY, 0x40001000, 0x60000200, 0xFFFFFFFF]
    with FlashChip.open(tmp_path / "flash.bin", 256 * KIB) as flash:
        host = Host(flash)
        for _ in range(20_000):
            if host.loader.wants_boot or source.random() < 0.001:
                host = Host(flash)
                if version:
                    host.start_stub(version)
            command = source.choice(commands)
            kind = source.random()
            data = source.randbytes(source.randrange(40))
            if kind < 0.5:
                data = pack(*(source.choice(words) for _ in range(source.randrange(9))))
            stream = make_request(command, data, source.choice([0, 0xEF]))
            if kind > 0.7:
                stream = make_block(command, source.randrange(3), data)
            if kind > 0.9:
                stream = source.randbytes(source.randrange(60))
            check_answer(host.loader.receive(stream))
        host = Host(flash)
        assert len(parse_answers(host.loader.receive(make_request(0x08, SYNC)))) == 8
