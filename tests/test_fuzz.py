"""Every fuzz target over its corpus, and some way on from there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from fuzzing import CORPUS_DIR, TARGETS, Target, build_target, run_target
from record_flights import CASES

SEED = 20240607


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_target(target: Target, tmp_path: Path) -> None:
    kept = sorted(target.corpus_dir.iterdir())
    assert len(kept) >= 10
    assert all(path.stat().st_size <= target.max_length for path in kept)
    program = build_target(target, tmp_path)
    result = run_target(target, program, f"-runs={target.runs}", f"-seed={SEED}", limit=600)
    assert result.returncode == 0, result.stdout
    executed = re.search(r"stat::number_of_executed_units: (\d+)", result.stdout)
    assert executed
    assert int(executed[1]) >= target.runs
    assert sorted(target.corpus_dir.iterdir()) == kept


def test_recorded_handshakes_still_come_to_their_end(tmp_path: Path) -> None:
    target = next(target for target in TARGETS if target.name == "fuzz_tls_conn")
    program = build_target(target, tmp_path)
    for case in CASES:
        result = subprocess.run(
            [program, target.corpus_dir / case.name],
            check=True,
            env=os.environ | {"TLS_CONN_TELL": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        told = re.search(r"^opened (\d+) resumed (\d+) ", result.stderr, re.MULTILINE)
        assert told
        # Else the client says something else than it did: run tests/record_flights.py.
        resumed = case.result.count("open, resumed")
        assert (int(told[1]), int(told[2])) == (len(case.result), resumed), case.name


def test_every_target_is_in_the_table() -> None:
    sources = {path.stem for path in CORPUS_DIR.parent.glob("*.c")}
    assert sources == {target.name for target in TARGETS}
    assert {path.name for path in CORPUS_DIR.iterdir()} == sources
