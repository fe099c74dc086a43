"""Record buffers given back between records, natively under sanitizers."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_tls import NativeTls, run_check, write_der
from pki import make_authority

SUITES = {
    "GCM": "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
    "CBC": "TLS-ECDHE-ECDSA-WITH-AES-256-CBC-SHA384",
}
NAMES = [f"{number}.server.test" for number in range(60)]  # more than tls.max_fragment


@pytest.fixture(scope="module")
def check(native_tls: NativeTls, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return native_tls.build(
        tmp_path_factory.mktemp("idle") / "idle_check", "tls_idle", "tls_session"
    )


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES.keys())
def test_nothing_is_lost_when_the_buffers_go_and_come(
    check: Path, tmp_path: Path, suite: str
) -> None:
    files = write_der(make_authority("ecdsa").issue_server("ecdsa", *NAMES), tmp_path)
    assert run_check(check, suite, *files, "agreed") == ["as agreed"]


def test_a_server_that_ignores_the_record_size(check: Path, tmp_path: Path) -> None:
    files = write_der(make_authority("ecdsa").issue_server("ecdsa", *NAMES), tmp_path)
    assert run_check(check, SUITES["CBC"], *files, "ignored") == ["enlarged"]


@pytest.mark.parametrize(
    ("server", "result"),
    [("parts", "as agreed"), ("starved", "out of memory"), ("large", "too large")],
)
def test_a_message_in_parts_needs_one_larger_buffer(
    native_tls: NativeTls, check: Path, tmp_path: Path, server: str, result: str
) -> None:
    files = write_der(make_authority("ecdsa").issue_server("ecdsa", *NAMES), tmp_path)
    is_old = "-2.28." in native_tls.tree.name
    printed = run_check(check, SUITES["GCM"], *files, server)
    assert printed == ["not put together" if is_old else result]
