from __future__ import annotations

import os
from pathlib import Path

import pytest

from nodemcu_tls_build.errors import OutputError, ToolFailed
from nodemcu_tls_build.ninja import has_work, run_ninja
from nodemcu_tls_build.toolchain import find_ninja

GRAPH = """\
rule copy
  command = cat $in > $out && echo copied $in
  description = COPY $in
build b: copy a
build c: copy b
"""


class Recorder:
    """What ninja was heard to do and to say."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, str]] = []
        self.lines: list[str] = []

    def status(self, text: str) -> None:
        self.lines.append(text)

    def step(self, done: int, total: int, text: str) -> None:
        self.steps.append((done, total, text))


@pytest.fixture
def progress() -> Recorder:
    return Recorder()


def run(work_dir: Path, progress: Recorder, *, verbose: bool = False, lock: int = 2) -> int:
    return run_ninja(find_ninja(), work_dir, jobs=1, verbose=verbose, progress=progress, lock=lock)


def write_rule(work_dir: Path, command: str) -> None:
    (work_dir / "build.ninja").write_text(f"rule r\n  command = {command}\nbuild out: r\n")


def test_steps(tmp_path: Path, progress: Recorder) -> None:
    (tmp_path / "build.ninja").write_text(GRAPH)
    (tmp_path / "a").write_text("content\n")
    assert has_work(find_ninja(), tmp_path)
    assert not (tmp_path / "b").exists()
    assert run(tmp_path, progress) == 2
    assert progress.steps == [(1, 2, "COPY a"), (2, 2, "COPY b")]
    assert progress.lines == []
    assert not has_work(find_ninja(), tmp_path)
    assert run(tmp_path, progress) == 0
    assert len(progress.steps) == 2


def test_verbose(tmp_path: Path, progress: Recorder) -> None:
    (tmp_path / "build.ninja").write_text(GRAPH)
    (tmp_path / "a").write_text("content\n")
    run(tmp_path, progress, verbose=True)
    assert progress.steps[0] == (1, 2, "cat a > b && echo copied a")
    assert progress.lines == ["copied a", "copied b"]


def test_failed_command(tmp_path: Path, progress: Recorder) -> None:
    write_rule(tmp_path, "echo what went wrong >&2; exit 7")
    with pytest.raises(ToolFailed) as caught:
        run(tmp_path, progress)
    lines = caught.value.output.splitlines()
    assert lines[0].startswith("FAILED: ")
    assert lines[-1] == "what went wrong"
    assert caught.value.command[1:] == ("-C", str(tmp_path), "-j1")
    assert has_work(find_ninja(), tmp_path)


def test_ninjas_own_errors_are_shown(tmp_path: Path, progress: Recorder) -> None:
    for text, reason in (
        ("build out: nothing\n", "build.ninja:1: unknown build rule 'nothing'"),
        ("build out: phony gone\ndefault out\n", "'gone', needed by 'out', missing"),
    ):
        (tmp_path / "build.ninja").write_text(text)
        with pytest.raises(ToolFailed) as caught:
            run(tmp_path, progress)
        assert reason in caught.value.output
        with pytest.raises(ToolFailed):
            has_work(find_ninja(), tmp_path)


def test_full_disk(tmp_path: Path, progress: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    write_rule(tmp_path, "cat build.ninja > /dev/full")
    with pytest.raises(OutputError, match="the disk is full") as caught:
        run(tmp_path, progress)
    assert "Free some space" in (caught.value.hint or "")


def test_environment(tmp_path: Path, progress: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "LANG", "KEPT"):
        monkeypatch.setenv(name, "set")
    write_rule(tmp_path, 'echo "$$CPATH$$C_INCLUDE_PATH$$LIBRARY_PATH $$LC_ALL $$KEPT" > out')
    run(tmp_path, progress)
    assert (tmp_path / "out").read_text() == " C set\n"


def test_commands_have_the_lock(tmp_path: Path, progress: Recorder) -> None:
    with (tmp_path / "lock").open("w") as lock:
        write_rule(tmp_path, f"readlink /proc/self/fd/{lock.fileno()} > out")
        run(tmp_path, progress, lock=lock.fileno())
    assert (tmp_path / "out").read_text() == f"{os.path.realpath(tmp_path)}/lock\n"
