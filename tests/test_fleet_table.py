"""Lists of devices: those with anything wrong are refused by rows before anything is issued."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fleets import Site, make_site
from test_fleet import make_request

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.fleet.names import Names
from nodemcu_tls_build.fleet.table import Row, load_table


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "devices.csv"


def accept(row: Row) -> str | None:
    """Find nothing wrong with a row, and no request."""


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
        "device,,\none,,\ntwo,,\n",
        "device,place\none,x,,\ntwo,y,\n",
        ",,device\n1,2,one\n2,3,two\n",
        "device,x,x\none,1,2\ntwo,3,4\n",
        'device,"two\nlines"\n"one","a\r\nb"\ntwo,"a\tb\xa0"\n',
        b"device,notes\none,\xff\ntwo,\x00\n",
    ],
)
def test_forms_of_a_list(path: Path, content: str | bytes) -> None:
    assert list_devices(path, content) == [(2, "one"), (3, "two")]


def test_rows_are_counted_as_in_a_spreadsheet(path: Path) -> None:
    content = 'place,device\n"one\r\nrow",a\n\n,\n"x",b\n'
    assert list_problems(path, content, "place") == [
        "FILE cannot be used:",
        CONTROL.format(2, "place", 13),
    ]
    assert list_devices(path, content.replace("\r\n", " ")) == [(2, "a"), (5, "b")]


CONTROL = "row {}: the column {!r} has a character in it that cannot be printed, U+{:04X}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("device\na\nb\na\n", "row 4: the device 'a' is in row 2, too"),
        ("device\na\n a \n", "row 3: the device 'a' is in row 2, too"),
        ("name\na\n", "row 1: there is no column 'device'; there are: name"),
        ("device,csr,csr\na,b,c\n", "row 1: the column 'csr' is there twice"),
        (b"device\na\nb\xff\n", "row 3: the column 'device' is not UTF-8"),
        (b"device\n\xe4\n", "row 2: the column 'device' is not UTF-8"),
        ("device\na\n".encode("utf-16"), "row 1: it is not UTF-8"),
        (b"d\xe4vice\na\n", "row 1: it is not UTF-8"),
        ("device,place\na,x\n,y\n", "row 3: the device has no name"),
        ("device,place,,\na,x,,y\n", "row 2: it has 4 values, the header 2 columns"),
        ("device,place\na\n", "row 2: it has 1 value, the header 2 columns"),
        ("device\na,b\n", "row 2: it has 2 values, the header 1 column"),
        ("device\na\0b\n", CONTROL.format(2, "device", 0)),
        ("device\na\nb\x85c\n", CONTROL.format(3, "device", 0x85)),
        ("device,csr\na,x\u202ey\n", CONTROL.format(2, "csr", 0x202E)),
        ("de\x1bvice,a\nx,y\n", "row 1: it has a character in it that cannot be printed, U+001B"),
        (
            "device;place\na;b\n",
            "row 1: columns are separated by commas, not by semicolons or tabs",
        ),
        (
            "device\n" + "ä" * 64 + "\n",
            "row 2: the device's name is too long: '" + "ä" * 40 + "'...",
        ),
        ('device\na\n"b\n', "row 3: a quote in it is never closed"),
        (
            'device\na\n"b\n' + "c\n" * 3000,
            "row 3: a value has more than 4,096 characters: is a quote not closed?",
        ),
        ('device\n"a"b\n', "row 2: a value has something behind its closing quote"),
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
        "row 42: the column 'device' is not UTF-8",
        "row 43: the device 'd1' is in row 3, too",
        "row 44: it has 2 values, the header 1 column",
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
    path.write_text("device\na\na\nc\n")
    for _ in range(2):
        assert [row.device for row in table.rows()] == ["a", "b"]


@pytest.mark.parametrize("lines", [1, 2])
def test_a_private_key_given_by_mistake(path: Path, lines: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    text = pem.decode().replace("\n", "" if lines == 1 else "\n")
    said = list_problems(path, text)
    assert said == ["FILE cannot be used:", "row 1: this is a private key, and no list of devices"]


def test_of_columns_only_so_much_is_shown(path: Path) -> None:
    columns = ["x" * 100, *(f"c{number}" for number in range(20))]
    [_, said] = list_problems(path, ",".join(columns) + "\n")
    names = ", ".join(["x" * 40 + "...", *columns[1:10], "..."])
    assert said == f"row 1: there is no column 'device'; there are: {names}"


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
        (b"device\na\n\xfc\n", "  - row 3: the column 'device' is not UTF-8\n"),
        ("name\na\n", "  - row 1: there is no column 'device'; there are: name\n"),
        ("", "  - row 1: it is empty"),
        (
            "device\n" + "x" * 70 + "\n",
            "  - row 2: CN of the subject has 70 characters, 64 are the most\n",
        ),
        (
            "device\n" + "ä" * 33 + "\n",
            "  - row 2: CN of the subject has 66 bytes in UTF-8, 64 are the most\n",
        ),
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


@pytest.mark.parametrize("again", ["the same request", "another of the same key"])
def test_one_key_for_two_devices(site: Site, again: str) -> None:
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (site.directory / "a.csr").write_bytes(make_request(key))
    (site.directory / "b.csr").write_bytes(make_request(other))
    name = "a.csr"
    if again != "the same request":
        name = "c.csr"
        (site.directory / name).write_bytes(make_request(key, "another name"))
    site.write_table(f"device,csr\none,a.csr\ntwo,b.csr\nthree,\nfour,{name}\nfive,{name}\n")
    result = site.run()
    assert result.returncode == 1
    problems = [line for line in result.stderr.splitlines() if line.startswith("  - ")]
    assert problems == [
        f"  - row {number}: its request has the key of the one in row 2" for number in (5, 6)
    ]
    assert not site.out.exists()


def test_requests_of_no_use(site: Site) -> None:
    key, curve = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP224R1())
    two = make_request(key) + make_request(ec.generate_private_key(ec.SECP256R1()))
    (site.directory / "two.csr").write_bytes(two)
    (site.directory / "curve.csr").write_bytes(make_request(curve))
    site.write_table("device,csr\na,two.csr\nb,curve.csr\n")
    problems = [line for line in site.run().stderr.splitlines() if line.startswith("  - ")]
    path = site.directory
    assert problems == [
        f"  - row 2: {path / 'two.csr'} holds 2 certificate requests, a device has one",
        f"  - row 3: the request {path / 'curve.csr'} has a key on secp224r1, which no profile can "
        "have",
    ]
    assert not site.out.exists()


def test_a_subject_that_is_the_same_for_all(site: Site) -> None:
    site.write_devices(2)
    result = site.run("--subject", "CN=same")
    assert result.returncode == 1
    said = "Error: every device would have the same subject, CN=same\nHint: Name a column"
    assert result.stderr.startswith(said)
    assert not site.out.exists()
    site.write_devices(1)
    site.issue("--subject", "CN=same")


@pytest.mark.parametrize(("digest", "name"), [("-sha1", "SHA-1"), ("-md5", "MD5")])
def test_requests_signed_with_broken_digests(site: Site, digest: str, name: str) -> None:
    path = site.directory / "old.csr"
    command = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=old"]
    keys = ["-keyout", str(site.directory / "old.key"), "-out", str(path)]
    subprocess.run([*command, digest, *keys], check=True, capture_output=True)
    site.write_table("device,csr\na,old.csr\n")
    result = site.run()
    assert result.returncode == 1
    assert f"row 2: the request {path} is signed with {name}, which is broken" in result.stderr
    assert "make it again with SHA-256" in result.stderr


@pytest.mark.parametrize("template", ["foo", "/CN={device}", "CN={device},OU", "C=ABC,CN={device}"])
def test_what_is_wrong_with_a_subject_is_told(site: Site, template: str) -> None:
    site.write_devices(1)
    reason = "it is not NAME=VALUE, NAME=VALUE"
    if template.startswith("C="):
        reason = "a value has 3 characters, 2 are the most"
    said = f"Error: the subject {template!r} cannot be used: {reason}\nHint: "
    assert site.run("--subject", template).stderr.startswith(said)


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
