"""Lists of devices: those with anything wrong are refused by rows before anything is issued."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fleets import Site, make_site
from test_fleet import make_request

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.fleet.names import Names
from nodemcu_tls_build.fleet.table import Row, load_table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "devices.csv"


def accept(row: Row) -> None:
    """Find nothing wrong with a row."""


def list_problems(path: Path, content: str | bytes, *needed: str) -> list[str]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError) as raised:
        load_table(path, needed, accept)
    return [raised.value.message.replace(str(path), "FILE"), *raised.value.problems]


def list_devices(path: Path, content: str | bytes) -> list[tuple[int, str]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    table = load_table(path, (), accept)
    rows = [(row.number, row.device) for row in table.rows()]
    assert len(rows) == table.count
    return rows


@pytest.mark.parametrize(
    "content",
    [
        "device\none\ntwo\n",
        "device\r\none\r\ntwo\r\n",
        "device\none\ntwo",
        b"\xef\xbb\xbfdevice\none\ntwo\n",
        'place,device\nx,one\n"a, b","two"\n',
        " device , place\none ,x\n two,y\n",
        "device,place\none,\ntwo,\n\n",
    ],
)
def test_forms_of_a_list(path: Path, content: str | bytes) -> None:
    assert list_devices(path, content) == [(2, "one"), (3, "two")]


def test_rows_are_counted_as_in_a_spreadsheet(path: Path) -> None:
    content = 'place,device\n"one\r\nrow",a\n\n,\n"x",b\n'
    assert list_problems(path, content) == ["FILE cannot be used:", CONTROL.format(2)]
    assert list_devices(path, content.replace("\r\n", " ")) == [(2, "a"), (5, "b")]


CONTROL = "row {}: it has a control character in it"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("device\na\nb\na\n", "row 4: the device 'a' is in row 2, too"),
        ("device\na\n a \n", "row 3: the device 'a' is in row 2, too"),
        ("name\na\n", "row 1: there is no column 'device'; there are: name"),
        ("device,x,x\na,b,c\n", "row 1: the column 'x' is there twice"),
        (b"device\na\nb\xff\n", "row 3: it is not UTF-8"),
        (b"device\n\xe4\n", "row 2: it is not UTF-8"),
        ("device\na\n".encode("utf-16"), "row 1: it is not UTF-8"),
        (b"d\xe4vice\na\n", "row 1: it is not UTF-8"),
        ("device,place\na,x\n,y\n", "row 3: the device has no name"),
        ("device,place\na\n", "row 2: it has 1 values, the header 2 columns"),
        ("device\na,b\n", "row 2: it has 2 values, the header 1 columns"),
        ("device\na\0b\n", CONTROL.format(2)),
        (
            "device\n" + "ä" * 64 + "\n",
            "row 2: the device's name is too long: '" + "ä" * 40 + "'...",
        ),
        ('device\na\n"b\n', "row 3: unexpected end of data"),
        ("\n", "row 1: it is empty; the first row names the columns, one of them `device`"),
        ("", "row 1: it is empty; the first row names the columns, one of them `device`"),
    ],
)
def test_problems(path: Path, content: str | bytes, problem: str) -> None:
    assert list_problems(path, content) == ["FILE cannot be used:", problem]


def test_a_list_of_nothing(path: Path) -> None:
    assert list_problems(path, "device\n") == ["FILE lists no devices"]
    assert list_problems(path, "device\n\n\n") == ["FILE lists no devices"]


def test_columns_of_the_subject(path: Path) -> None:
    found = list_problems(path, "device,place\na,b\n", "place", "owner", "owner")
    assert found[1:] == ["row 1: there is no column 'owner'; there are: device, place"]


def test_all_problems_at_once_in_order(path: Path) -> None:
    rows = [f"d{number}" for number in range(40)]
    rows[20] = "d3"
    content = b"device\n" + "\n".join(rows).encode() + b"\n\xff\nd1\nx,y\n"
    assert list_problems(path, content) == [
        "FILE cannot be used:",
        "row 22: the device 'd3' is in row 5, too",
        "row 42: it is not UTF-8",
        "row 43: the device 'd1' is in row 3, too",
        "row 44: it has 2 values, the header 1 columns",
    ]
    many = list_problems(path, "device\n" + "a\n" * 50)
    assert (len(many), many[-1]) == (22, "and 29 more")


@pytest.mark.parametrize("what", ["missing", "directory", "unreadable"])
def test_files_that_are_no_list(tmp_path: Path, what: str) -> None:
    path = tmp_path / "devices.csv"
    if what == "directory":
        path.mkdir()
    elif what == "unreadable":
        path.symlink_to(path)
    with pytest.raises(ConfigError, match="cannot read"):
        load_table(path, (), accept)


def test_a_list_that_changes_meanwhile(path: Path) -> None:
    path.write_text("device\na\nb\n")
    table = load_table(path, (), accept)
    path.write_text("device\na,b\n")
    with pytest.raises(ConfigError, match="has changed"):
        list(table.rows())


def test_names_take_eight_bytes_each() -> None:
    count = 200_000
    names = Names(f"device {number}" for number in range(count))
    assert len(names) == count
    assert "device 199999" in names
    assert "device 200000" not in names
    assert names.find_doubled() == set()
    assert names._digests.itemsize == 8


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("device\na\na\n", "  - row 3: the device 'a' is in row 2, too\n"),
        (b"device\na\n\xfc\n", "  - row 3: it is not UTF-8\n"),
        ("name\na\n", "  - row 1: there is no column 'device'; there are: name\n"),
        ("", "  - row 1: it is empty"),
        ("device\n" + "x" * 65 + "\n", "  - row 2: CN of the subject cannot be"),
        ("device,csr\na,no.csr\n", "  - row 2: cannot read the request"),
        ("device,csr\nb,\na,devices.csv\n", "devices.csv is no certificate request\n"),
    ],
)
def test_nothing_is_issued(site: Site, table: str | bytes, problem: str) -> None:
    site.write_table(table)
    result = site.run()
    assert (result.returncode, result.stdout) == (1, "")
    assert problem in result.stderr
    assert "Nothing was issued." in result.stderr
    assert not site.out.exists()


def test_a_request_of_somebody_else(site: Site) -> None:
    one, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    request = bytearray(make_request(one))
    good = make_request(other)
    (site.directory / "good.csr").write_bytes(good)
    at = len(request) // 2
    request[at] = ord("A") if request[at] != ord("A") else ord("B")
    (site.directory / "bad.csr").write_bytes(request)
    site.write_table("device,csr\none,good.csr\ntwo,bad.csr\n")
    result = site.run()
    assert result.returncode == 1
    assert "row 3: " in result.stderr
    assert not site.out.exists()
