"""mbedTLS's debugging output, natively: what is shown of a connection, and what must not be."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from native_tls import NativeTls, write_der
from pki import make_authority

EXCHANGES = {
    "ECDHE": ("ecdsa", "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256"),
    "DHE": ("rsa", "TLS-DHE-RSA-WITH-AES-256-CBC-SHA256"),
}
# What mbedTLS dumps at level 4, by its own names.
SECRETS = {
    "ECDHE": {"premaster secret", "master secret", "key block", "ECDH: z"},
    "DHE": {"premaster secret", "master secret", "key block", "DHM: K ", "DHM: X "},
}
# Not searched for: the application's data is short, and a nonce's other part is public.
OTHERS = {
    "ECDHE": {"before encrypt: output payload", "IV used (internal)"},
    "DHE": {"input payload after decrypt", "calc finished result"},
}
PUBLIC = {"client hello, random bytes", "server key exchange", "input record from network"}

START = re.compile(r"(?:dumping|value of) '(.*)' \(\d+ (?:bytes|bits)")
HEX = re.compile(r"(?:[0-9a-f]{4}: )?((?: [0-9a-f]{2}){1,16})(?:\s.*)?")
SHOWN = re.compile(r"(\w+\.[ch]):\d+: (.*)")


@pytest.fixture(scope="module")
def check(native_tls: NativeTls, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("debug")
    return native_tls.build(directory / "debug_check", "tls_debug", "tls_session")


def run(check: Path, directory: Path, exchange: str, level: int) -> tuple[list[str], list[str]]:
    """Return the lines that mbedTLS hands over, and those that are shown without their place."""
    kind, suite = EXCHANGES[exchange]
    files = write_der(make_authority(kind).issue_server(kind, "server.test"), directory)
    command = [check, suite, *files, str(level)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    shown = [SHOWN.fullmatch(line) for line in result.stdout.splitlines()]
    assert all(shown), result.stdout
    return result.stderr.splitlines(), [match[2] for match in shown if match]


def collect_dumps(lines: list[str]) -> dict[str, list[bytes]]:
    """Return what was dumped under each name."""
    dumps: dict[str, list[bytes]] = {}
    name = ""
    for line in lines:
        if start := START.match(line):
            name = start[1]
            dumps.setdefault(name, []).append(b"")
        elif name and (digits := HEX.fullmatch(line)):
            dumps[name][-1] += bytes.fromhex(digits[1])
        else:
            name = ""
    return dumps


def read_master(lines: list[str]) -> bytes:
    (master,) = (line for line in lines if line.startswith("master: "))
    return bytes.fromhex(master.removeprefix("master: "))


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_secrets_are_not_shown(check: Path, tmp_path: Path, exchange: str) -> None:
    given, shown = run(check, tmp_path, exchange, 4)
    dumps, visible = collect_dumps(given), collect_dumps(shown)
    assert dumps["master secret"][0] == read_master(given)
    hidden = SECRETS[exchange] | OTHERS[exchange]
    assert hidden <= dumps.keys()
    everything = b"\n".join(data for parts in visible.values() for data in parts)
    for name in hidden:
        assert visible[name] == [b""] * len(dumps[name])
        assert shown[find(shown, name) + 1] == "(secret, not shown)"
    for name in SECRETS[exchange]:
        for secret in dumps[name]:
            assert len(secret) >= 32
            pieces = {secret[start : start + 8] for start in range(len(secret) - 7)}
            assert not any(piece in everything for piece in pieces), name
    assert "password" not in "\n".join(shown)


def find(lines: list[str], name: str) -> int:
    return next(number for number, line in enumerate(lines) if f"'{name}'" in line)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_everything_else_is_shown(check: Path, tmp_path: Path, exchange: str) -> None:
    given, shown = run(check, tmp_path, exchange, 4)
    dumps, visible = collect_dumps(given), collect_dumps(shown)
    for name in PUBLIC:
        assert visible[name] == dumps[name]
    texts = [line for line in given if not HEX.fullmatch(line) and not line.startswith("master: ")]
    assert texts == [
        line for line in shown if not HEX.fullmatch(line) and line != "(secret, not shown)"
    ]


def test_levels(check: Path, tmp_path: Path) -> None:
    lengths = []
    for level in range(5):
        given, shown = run(check, tmp_path, "ECDHE", level)
        digits = "".join(re.findall(r"[0-9a-f]{2}", " ".join(shown)))
        assert read_master(given).hex()[:16] not in digits
        lengths.append(len(shown))
    assert lengths[0] == 0
    assert lengths == sorted(set(lengths))
