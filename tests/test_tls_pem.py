"""PEM as scripts give it, read natively under sanitizers with mbedTLS's base64."""

from __future__ import annotations

import base64
import random
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from native_build import MBEDTLS_BASE64, MBEDTLS_VERSIONS, ROOT, compile_native

NONE, END, BASE64, ENCRYPTED, TOO_LARGE = 0, -40, -41, -42, -46  # tls_error.h
ROOM = 4096
DER = bytes(range(256)) * 4


@pytest.fixture(scope="module", params=MBEDTLS_VERSIONS)
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_native(
        tmp_path_factory.mktemp("pem") / "tls_pem_check",
        ["app/tls/tls_pem.c", "tests/native/tls_pem_check.c"],
        mbedtls=MBEDTLS_BASE64,
        version=request.param,
    )


def read_texts(reader: Path, texts: Sequence[bytes], room: int = ROOM) -> list[str]:
    """Return a line for each text: the objects in it, and what ended it."""
    data = b"".join(struct.pack("<II", room, len(text)) + text for text in texts)
    result = subprocess.run([reader], check=False, input=data, capture_output=True, timeout=120)
    assert (result.returncode, result.stderr.decode()) == (0, "")
    lines = result.stdout.decode().splitlines()
    assert len(lines) == len(texts)
    return lines


def read_text(reader: Path, text: bytes | str, room: int = ROOM) -> str:
    return read_texts(reader, [text.encode() if isinstance(text, str) else text], room)[0]


def make_pem(der: bytes, label: str = "CERTIFICATE", *, end: str = "\n", width: int = 64) -> str:
    digits = base64.b64encode(der).decode()
    lines = [digits[i : i + width] for i in range(0, len(digits), width)]
    return end.join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def test_numbers_are_those_of_the_header() -> None:
    text = (ROOT / "app/tls/tls_error.h").read_text()
    for name, number in (
        ("PEM_END", END),
        ("PEM_BASE64", BASE64),
        ("KEY_ENCRYPTED", ENCRYPTED),
        ("TOO_LARGE", TOO_LARGE),
    ):
        assert f"TLS_ERR_{name} = {number}," in text


def test_every_length(reader: Path) -> None:
    texts = [make_pem(DER[:length]).encode() for length in range(1, 200)]
    expected = [f"certificate:{DER[:length].hex()} 0" for length in range(1, 200)]
    assert read_texts(reader, texts) == expected


@pytest.mark.parametrize("width", [1, 3, 19, 64, 76, 5000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " ", "\t", "  \r\n\n "])
def test_every_kind_of_white_space(reader: Path, end: str, width: int) -> None:
    text = make_pem(DER[:500], end=end, width=width)
    assert read_text(reader, text) == f"certificate:{DER[:500].hex()} 0"


def test_nothing_but_the_object(reader: Path) -> None:
    assert read_text(reader, "-----BEGIN CERTIFICATE-----QUJD-----END CERTIFICATE-----") == (
        "certificate:414243 0"
    )


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("CERTIFICATE", "certificate"),
        ("PRIVATE KEY", "key"),
        ("RSA PRIVATE KEY", "key"),
        ("EC PRIVATE KEY", "key"),
    ],
)
def test_labels(reader: Path, label: str, kind: str) -> None:
    assert read_text(reader, make_pem(b"abc", label)) == f"{kind}:616263 0"


@pytest.mark.parametrize(
    "label",
    [
        *("EC PARAMETERS", "CERTIFICATE REQUEST", "PUBLIC KEY", "TRUSTED CERTIFICATE", "X"),
        *("CERTIFICAT", "CERTIFICATE ", "certificate", "DSA PRIVATE KEY", "RSA-PSS PRIVATE KEY"),
        "L" * 64,
    ],
)
def test_other_labels_are_passed_over(reader: Path, label: str) -> None:
    text = make_pem(b"abc", label) + make_pem(b"key", "EC PRIVATE KEY")
    assert read_text(reader, text) == "other: key:6b6579 0"
    assert read_text(reader, text.replace("YWJj", "not base64!")) == "other: key:6b6579 0"


def test_text_around_objects(reader: Path) -> None:
    text = (
        "\ufeffBag Attributes\n  friendlyName: -----BEGIN\nsubject=/CN=-----BEGIN \n"
        f"{make_pem(b'one')} -----BEGIN CERT\nIFICATE-----  ----- END -----\n"
        f"-----BEGIN -----\n-----BEGIN {'L' * 65}-----\n-----BEGIN C\xc4-----\n"
        f"x{make_pem(b'two').strip()}{make_pem(b'three', 'PRIVATE KEY').strip()}y"
    )
    assert read_text(reader, text) == "certificate:6f6e65 certificate:74776f key:7468726565 0"


@pytest.mark.parametrize(
    "text",
    ["", "x", "-", "-----BEGIN", "-----BEGIN ", "-----BEGIN CERTIFICATE----", "\0\0", "AAAA"],
)
def test_no_object(reader: Path, text: str) -> None:
    assert read_text(reader, text) == "0"


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nQUJD\n",
        "-----BEGIN CERTIFICATE-----\nnot base64: !\n",
        "-----BEGIN CERTIFICATE-----\nQUJD\n-----END",
        "-----BEGIN CERTIFICATE-----\nQUJD\n-----END ",
        "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE",
        "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE----",
        "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE -----",
        "-----BEGIN CERTIFICATE-----\nQUJD\n-----END PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATES-----",
        "-----BEGIN CERTIFICATE-----\nQUJD\n-----end CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nQUJD\n------END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nQUJD\n-----BEGIN CERTIFICATE-----\nQUJD\n"
        "-----END CERTIFICATE-----",
        "-----BEGIN X-----\n-----END Y-----",
    ],
)
def test_without_its_end_line(reader: Path, text: str) -> None:
    assert read_text(reader, text) == str(END)
    assert read_text(reader, make_pem(b"abc") + text) == f"certificate:616263 {END}"


def test_every_truncation(reader: Path) -> None:
    text = make_pem(DER[:100], "PRIVATE KEY").strip().encode()
    begin = len("-----BEGIN PRIVATE KEY-----")
    texts = [text[:length] for length in range(len(text))]
    assert read_texts(reader, texts) == ["0"] * begin + [str(END)] * (len(text) - begin)


@pytest.mark.parametrize(
    "body",
    [
        *("", " \r\n\t", "Q", "QQ", "QUJ", "Q===", "====", "QQ=", "QQ=x", "QQ==QUJD", "QUJ=QUJD"),
        *("QUJD=", "QU-D", "QU.D", "QU*D", "QUJD\0", "QU\0JD", "QUJD\x0b", "QUJD\xa0", "Q,JD"),
        *("Comment: x\n\nQUJD", "QUJD" * 15 + "QQ==QUJD", "QUJD" * 16 + "=", "QUJD" * 16 + "QQ"),
        *("QUJD" * 15 + "QUI=\nQUJD", "=QUJ", "QUJD\n----", "QUJDQ\n===", "-QUJD"),
    ],
)
def test_not_base64(reader: Path, body: str) -> None:
    text = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    assert read_text(reader, text) == str(BASE64)
    assert read_text(reader, make_pem(b"abc") + text) == f"certificate:616263 {BASE64}"


@pytest.mark.parametrize("kind", ["RSA PRIVATE KEY", "EC PRIVATE KEY"])
def test_keys_that_need_a_passphrase(reader: Path, kind: str) -> None:
    headers = ("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", "DEK-Info: DES,00\n\n")
    for header in headers:
        text = make_pem(b"abc", kind).replace("YWJj", header + "YWJj")
        assert read_text(reader, text) == str(ENCRYPTED)
        assert read_text(reader, text.replace("\n", " ")) == str(ENCRYPTED)
    assert read_text(reader, make_pem(b"abc", "ENCRYPTED PRIVATE KEY")) == str(ENCRYPTED)


def test_room(reader: Path) -> None:
    for length in (1, 2, 3, 47, 48, 49, 96, 1000):
        text = make_pem(DER[:length])
        assert read_text(reader, text, length) == f"certificate:{DER[:length].hex()} 0"
        assert read_text(reader, text, length - 1) == str(TOO_LARGE)
    assert read_text(reader, make_pem(DER, "X") + make_pem(b"abc"), 3) == (
        "other: certificate:616263 0"
    )


def test_random_texts(reader: Path) -> None:
    """Texts of parts of PEM come back as Python's decoder has them, or as some error."""
    source = random.Random(2)  # noqa: S311 -- the same in every run
    parts = ["-----BEGIN ", "-----END ", "CERTIFICATE", "PRIVATE KEY", "-----", "QUJD", "QQ==", " "]
    texts = ["".join(source.choices(parts, k=source.randrange(30))) for _ in range(20_000)]
    lines = read_texts(reader, [text.encode() for text in texts])
    for text, line in zip(texts, lines, strict=True):
        *objects, result = line.split()
        assert int(result) in {NONE, END, BASE64}, text
        for found in objects:
            digits = base64.b64encode(bytes.fromhex(found.partition(":")[2])).decode()
            assert digits in text.replace(" ", "")
    assert {line.split()[-1] for line in lines} == {str(NONE), str(END), str(BASE64)}
    assert any(":" in line for line in lines)
