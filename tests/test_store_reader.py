"""What the reader of credentials says of a sector; test_tls_store.py sees that it judges right."""

from __future__ import annotations

import pytest
from test_tls_store import CERTIFICATE, KEY, make_flash, make_sector

from nodemcu_tls_build.certs.store import Sector, SectorState, read_credentials, read_sector
from nodemcu_tls_build.memmap import SECTOR, find_credentials

ERASED = b"\xff" * SECTOR


def read(*sectors: bytes) -> list[dict[str, object]]:
    flash = make_flash(*sectors)
    start = find_credentials(len(flash))
    return [found.to_dict() for found in read_credentials(flash[start : start + 4 * SECTOR])]


def test_an_erased_flash() -> None:
    erased = {"state": "erased"}
    assert read() == [
        {"set": "CA", "in_force": None, "sectors": [erased, erased]},
        {"set": "client", "in_force": None, "sectors": [erased, erased]},
    ]


def test_stored_sets() -> None:
    sets = read(
        *(ERASED, make_sector(0, 1, CERTIFICATE * 3)),
        *(make_sector(1, 8, CERTIFICATE * 2 + KEY), make_sector(1, 7, CERTIFICATE + KEY)),
    )
    assert sets[0]["in_force"] == 1
    assert sets[0]["sectors"] == [
        {"state": "erased"},
        {"state": "valid", "sequence": 1, "certificates": 3, "keys": 0},
    ]
    assert sets[1]["in_force"] == 0
    assert sets[1]["sectors"] == [
        {"state": "valid", "sequence": 8, "certificates": 2, "keys": 1},
        {"state": "valid", "sequence": 7, "certificates": 1, "keys": 1},
    ]


def test_a_set_without_records_is_not_stored() -> None:
    flash = make_sector(0, 2, b"") + make_sector(0, 1, KEY) + ERASED * 2
    assert read_credentials(flash)[0].current == 0
    assert read_credentials(flash)[0].stored is None


def test_a_change_that_was_cut_short() -> None:
    new = make_sector(0, 2, CERTIFICATE, commit=0xFFFFFFFF)
    half_erased = new[:20] + ERASED[20:]
    for sector in (new, half_erased, ERASED[:32] + new[32:], ERASED[:-1] + b"\x00"):
        assert read_sector(sector, 0).state is SectorState.INTERRUPTED
    sets = read(make_sector(0, 1, CERTIFICATE), new)
    assert sets[0]["in_force"] == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"magic": 0x534C544F}, "its header is no header"),
        ({"commit": 0}, "its header is no header"),
        ({"version": 2}, "its format is version 2"),
        ({"set": 1}, "it belongs to another set"),
        ({"length": 4065}, "4,065 bytes of records do not fit"),
        ({"crc": 0}, "its checksum does not fit"),
    ],
)
def test_damage_is_named(changes: dict[str, int], problem: str) -> None:
    found = read_sector(make_sector(0, 9, CERTIFICATE, **changes), 0)
    assert found == Sector(SectorState.DAMAGED, problem=problem)


def test_records_that_are_none() -> None:
    found = read_sector(make_sector(0, 9, CERTIFICATE + b"\x00"), 0)
    assert found == Sector(SectorState.DAMAGED, problem="its records are no records")


def test_another_length_is_no_flash() -> None:
    with pytest.raises(ValueError, match="are not the sectors"):
        read_credentials(ERASED)
