"""The host's side of the ESP8266's serial bootloader, as bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import xor
from pathlib import Path

from nodemcu_tls_build.emulator.bootloader import Bootloader
from nodemcu_tls_build.emulator.chip import Chip
from nodemcu_tls_build.emulator.faults import Faults
from nodemcu_tls_build.emulator.flash_chip import FlashChip
from nodemcu_tls_build.emulator.slip import Decoder, encode_frame

KIB = 1024
MIB = 1024 * KIB
SYNC = b"\x07\x07\x12\x20" + 32 * b"\x55"
STUB_ENTRY = 0x40108000
# What esptool's stubs have in them; the address of software_reset is in version 1 only.
STUB_CODE = {1: b"\x4c\x26\x00\x40OHAI" * 8, 2: b"....OHAI" * 8}


@dataclass(frozen=True)
class Answer:
    command: int
    value: int
    data: bytes
    status: tuple[int, int]


def pack(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)


def make_request(command: int, data: bytes = b"", checksum: int = 0) -> bytes:
    return encode_frame(struct.pack("<BBHI", 0, command, len(data), checksum) + data)


def make_block(command: int, number: int, block: bytes, **wrong: int) -> bytes:
    checksum = reduce(xor, block, 0xEF)
    data = pack(wrong.get("length", len(block)), number, 0, 0) + block
    return make_request(command, data, wrong.get("checksum", checksum))


def split_frames(data: bytes) -> list[bytes]:
    frames = list(Decoder(1 << 20).receive(data))
    assert b"".join(map(encode_frame, frames)) == data
    return frames


def parse_answers(data: bytes) -> list[Answer]:
    answers = []
    for frame in split_frames(data):
        direction, command, size, value = struct.unpack_from("<BBHI", frame)
        assert (direction, size) == (1, len(frame) - 8)
        answers.append(Answer(command, value, frame[8:-2], (frame[-2], frame[-1])))
    return answers


class Host:
    """A host that asks one thing after the other."""

    def __init__(self, flash: FlashChip, faults: Faults | None = None) -> None:
        self.loader = Bootloader(Chip(), flash, faults or Faults())

    def ask(self, command: int, *words: int) -> Answer:
        return self.send(make_request(command, pack(*words)))

    def send(self, data: bytes) -> Answer:
        (answer,) = parse_answers(self.loader.receive(data))
        return answer

    def send_block(self, command: int, number: int, block: bytes, **wrong: int) -> Answer:
        return self.send(make_block(command, number, block, **wrong))

    def upload(self, address: int, code: bytes) -> None:
        assert self.ask(0x05, len(code), 1, len(code), address).status == (0, 0)
        assert self.send_block(0x07, 0, code).status == (0, 0)

    def start_stub(self, version: int) -> None:
        self.upload(STUB_ENTRY, STUB_CODE[version])
        greeting = self.loader.receive(make_request(0x06, pack(0, STUB_ENTRY + 4)))
        assert [frame[-4:] for frame in split_frames(greeting)][1:] == [b"OHAI"]


@contextmanager
def open_host(path: Path, size: int = MIB, faults: Faults | None = None) -> Iterator[Host]:
    with FlashChip.open(path, size, faults=faults) as flash:
        yield Host(flash, faults)
