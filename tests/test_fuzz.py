"""Every fuzz target over its corpus, and some way on from there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fuzzing import CORPUS_DIR, TARGETS, Target, build_target, run_target

RUNS = 20_000
SEED = 20240607


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_target(target: Target, tmp_path: Path) -> None:
    kept = sorted(target.corpus_dir.iterdir())
    assert len(kept) >= 10
    assert all(path.stat().st_size <= target.max_length for path in kept)
    program = build_target(target, tmp_path)
    result = run_target(target, program, f"-runs={RUNS}", f"-seed={SEED}", limit=600)
    assert result.returncode == 0, result.stdout
    executed = re.search(r"stat::number_of_executed_units: (\d+)", result.stdout)
    assert executed
    assert int(executed[1]) >= RUNS
    assert sorted(target.corpus_dir.iterdir()) == kept


def test_every_target_is_in_the_table() -> None:
    sources = {path.stem for path in CORPUS_DIR.parent.glob("*.c")}
    assert sources == {target.name for target in TARGETS}
    assert {path.name for path in CORPUS_DIR.iterdir()} == sources
