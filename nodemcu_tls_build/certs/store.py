"""Read the credentials in a flash: what is stored there, and what the firmware makes of it.

The format is in README.md, "Credentials in flash". The judgement is that of `app/tls/tls_store.c`:
a sector with anything wrong in it is as good as erased. What a reader returns holds no key; only
`find_records` and `split_records` give out what is stored.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nodemcu_tls_build.memmap import CREDENTIALS_SECTORS, SECTOR

SETS = ("CA", "client")

HEADER = struct.Struct("<4sBBHIIIII4s")  # two words are reserved, the last but one and before it
BEFORE_CRC = 16
MAGIC, VERSION, COMMIT = b"NTLS", 1, b"DONE"
_UNCOMMITTED = b"\xff\xff\xff\xff"
RECORD = struct.Struct("<BBH")  # kind, zero, length of the DER that follows
CERTIFICATE, PRIVATE_KEY = 1, 2


class SectorState(StrEnum):
    """What a sector of credentials is."""

    ERASED = "erased"
    VALID = "valid"
    INTERRUPTED = "interrupted"  # a change that power loss cut short: never committed
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Sector:
    """One sector; the numbers are those of a valid one, `problem` says what is wrong with it."""

    state: SectorState
    sequence: int = 0
    certificates: int = 0
    keys: int = 0
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the sector as JSON-able data."""
        data: dict[str, Any] = {"state": str(self.state)}
        if self.state is SectorState.VALID:
            data |= {"sequence": self.sequence}
            data |= {"certificates": self.certificates, "keys": self.keys}
        elif self.problem:
            data["problem"] = self.problem
        return data


@dataclass(frozen=True)
class CredentialSet:
    """A set and its two sectors; `current` is the index of the one that counts."""

    name: str
    sectors: tuple[Sector, Sector]
    current: int | None

    @property
    def stored(self) -> Sector | None:
        """Return the sector in force; None when there is none, or one without records."""
        sector = None if self.current is None else self.sectors[self.current]
        return sector if sector and sector.certificates + sector.keys else None

    def to_dict(self) -> dict[str, Any]:
        """Return the set as JSON-able data."""
        sectors = [sector.to_dict() for sector in self.sectors]
        return {"set": self.name, "in_force": self.current, "sectors": sectors}


def read_credentials(data: bytes) -> tuple[CredentialSet, ...]:
    """Judge the sectors of credentials, all of which `data` is."""
    if len(data) != CREDENTIALS_SECTORS * SECTOR:
        raise ValueError(f"{len(data)} bytes are not the sectors of credentials")
    sets = []
    for number, name in enumerate(SETS):
        starts = (2 * number * SECTOR, (2 * number + 1) * SECTOR)
        first, second = (read_sector(data[at : at + SECTOR], number) for at in starts)
        sets.append(CredentialSet(name, (first, second), _find_current(first, second)))
    return tuple(sets)


def find_records(store: bytes, set_number: int) -> bytes | None:
    """Return the records of a set that are in force, its key's too; None when there are none."""
    found = read_credentials(store)[set_number]
    if found.stored is None or found.current is None:
        return None
    at = (2 * set_number + found.current) * SECTOR
    length = HEADER.unpack_from(store, at)[5]
    return store[at + HEADER.size : at + HEADER.size + length]


def split_records(records: bytes) -> list[tuple[int, bytes]]:
    """Return kind and DER of each of the records of a valid sector."""
    objects = []
    at = 0
    while at < len(records):
        kind, _, length = RECORD.unpack_from(records, at)
        objects.append((kind, records[at + RECORD.size : at + RECORD.size + length]))
        at += RECORD.size + length
    return objects


def read_sector(data: bytes, set_number: int) -> Sector:
    """Judge one sector of the set 0 (CA) or 1 (client)."""
    if data.count(0xFF) == len(data):
        return Sector(SectorState.ERASED)
    magic, version, found_set, _, sequence, length, crc, _, _, commit = HEADER.unpack_from(data)
    if commit == _UNCOMMITTED:
        return Sector(SectorState.INTERRUPTED, problem="it was never committed")
    records = data[HEADER.size : HEADER.size + length]
    kinds = _list_kinds(records)
    problems = {
        "its header is no header": magic != MAGIC or commit != COMMIT,
        f"its format is version {version}": version != VERSION,
        "it belongs to another set": found_set != set_number,
        f"{length:,} bytes of records do not fit": length > SECTOR - HEADER.size,
        "its checksum does not fit": crc != zlib.crc32(data[:BEFORE_CRC] + records),
        "its records are no records": kinds is None,
    }
    problem = next((text for text, is_so in problems.items() if is_so), None)
    if problem or kinds is None:
        return Sector(SectorState.DAMAGED, problem=problem)
    certificates = kinds.count(CERTIFICATE)
    return Sector(SectorState.VALID, sequence, certificates, len(kinds) - certificates)


def _list_kinds(records: bytes) -> list[int] | None:
    """Return the kind of each record; None when these are not records and nothing else."""
    kinds = []
    at = 0
    while at < len(records):
        if len(records) - at < RECORD.size:
            return None
        kind, zero, length = RECORD.unpack_from(records, at)
        at += RECORD.size + length
        if kind not in {CERTIFICATE, PRIVATE_KEY} or zero or not length or at > len(records):
            return None
        kinds.append(kind)
    return kinds


def _find_current(first: Sector, second: Sector) -> int | None:
    """Return which of two sectors counts: the later one of two that are valid (RFC 1982)."""
    valid = [n for n, sector in enumerate((first, second)) if sector.state is SectorState.VALID]
    if len(valid) < 2:
        return valid[0] if valid else None
    later = (second.sequence - first.sequence) % 2**32
    return 1 if 0 < later < 2**31 else 0
