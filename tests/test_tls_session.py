"""Sessions kept and resumed, natively under sanitizers, against mbedTLS's own server."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_tls import NativeTls, run_check, write_der
from pki import make_authority

# Only with CBC does encrypt-then-MAC matter; only then can it be mistaken.
SUITES = {
    "GCM": "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
    "CBC": "TLS-ECDHE-ECDSA-WITH-AES-256-CBC-SHA384",
}
BOTH = """\
first: whole
again: resumed
and again: resumed
other key: whole
forgotten: whole
not forgotten: resumed
third: whole
fourth: whole
used again: resumed
fifth: whole
unused longest: whole
used not so long ago: resumed
all forgotten: whole
a day later: whole
"""
EXPECTED = f"""\
- tickets
{BOTH}\
after the ticket's time: whole
refused, no new ticket: whole
not the refused ticket: whole
the new one: resumed
without tickets: whole
and then: whole
memory: short
- IDs
{BOTH}\
lost by the server: whole
known again: resumed
lost, and MAC-then-encrypt: whole
and again so: resumed
back: whole
a ticket for an ID: resumed
with the ticket: resumed
a day after the first: whole
"""


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES.keys())
def test_sessions(native_tls: NativeTls, tmp_path: Path, suite: str) -> None:
    check = native_tls.build(tmp_path / "session_check", "tls_session")
    files = write_der(make_authority("ecdsa").issue_server("ecdsa", "server.test"), tmp_path)
    assert run_check(check, suite, *files) == EXPECTED.splitlines()
