from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from builds import describe_tree

from nodemcu_tls_build.errors import OutputError
from nodemcu_tls_build.output import hold_directory, publish_files


def test_one_build_at_a_time(tmp_path: Path) -> None:
    work_dir = tmp_path / "out" / "work"
    with hold_directory(work_dir):
        before = describe_tree(work_dir)
        with pytest.raises(OutputError, match=r"another build is running in .*out$"):
            hold_directory(work_dir).__enter__()
        with hold_directory(tmp_path / "other" / "work"):
            pass
    with hold_directory(work_dir):
        pass
    assert describe_tree(work_dir) == before


def test_heirs_hold_the_directory_too(tmp_path: Path) -> None:
    with hold_directory(tmp_path / "work") as lock:
        heir = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lock])
    try:
        with pytest.raises(OutputError, match="another build"):
            hold_directory(tmp_path / "work").__enter__()
    finally:
        heir.communicate()
    with hold_directory(tmp_path / "work"):
        pass


def test_a_directory_with_other_files_is_left_alone(tmp_path: Path) -> None:
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    (work_dir / "build.ninja").write_text("mine")
    before = describe_tree(work_dir)
    with pytest.raises(OutputError, match="has other files in it"):
        hold_directory(work_dir).__enter__()
    assert describe_tree(work_dir) == before


def test_publish(tmp_path: Path) -> None:
    stage_dir = tmp_path / "stage"
    publish_files({"a": b"1", "b": b"2"}, tmp_path, stage_dir=stage_dir)
    before = describe_tree(tmp_path)
    publish_files({"a": b"1", "b": b"3"}, tmp_path, stage_dir=stage_dir)
    after = describe_tree(tmp_path)
    assert after["a"] == before["a"]
    assert (tmp_path / "b").read_bytes() == b"3"
    assert not stage_dir.exists()


def test_leftovers_of_a_killed_build_do_no_harm(tmp_path: Path) -> None:
    stage_dir = tmp_path / "stage"
    stage_dir.mkdir()
    for name in ("a", "old"):
        (stage_dir / name).write_text("left over")
    publish_files({"a": b"1"}, tmp_path, stage_dir=stage_dir)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_publish_all_or_nothing(tmp_path: Path) -> None:
    stage_dir = tmp_path / "stage"
    publish_files({"a": b"1"}, tmp_path, stage_dir=stage_dir)
    (tmp_path / "b").mkdir()
    before = describe_tree(tmp_path)
    for blocked_dir in (stage_dir, tmp_path / "file" / "stage"):
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="cannot write"):
            publish_files({"a": b"2", "b": b"3"}, tmp_path, stage_dir=blocked_dir)
    (tmp_path / "file").unlink()
    assert describe_tree(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
