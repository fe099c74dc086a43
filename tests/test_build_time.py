"""The time of the build: what it is, and that it alone is no reason to build again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builds import LINK_STEPS, list_steps, load_report, run_build

from nodemcu_tls_build.build import build_firmware
from nodemcu_tls_build.build_time import (
    VARIABLE,
    BuildTime,
    choose_build_time,
    render_build_time,
    settle_build_time,
)
from nodemcu_tls_build.errors import BuildError
from nodemcu_tls_build.fresh import STAMP_NAME, find_fresh_build
from nodemcu_tls_build.process import run_capture
from nodemcu_tls_build.request import BuildRequest
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.toolchain import find_compiler, find_ninja

DAY = datetime(2026, 2, 28, tzinfo=UTC)
LATE = 4_000_000_000  # more than 32 bits have with a sign


class Quiet:
    """A build's progress, not shown."""

    def status(self, text: str) -> None:
        pass

    def step(self, done: int, total: int, text: str) -> None:
        pass


@pytest.fixture
def set_day(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that lets builds in this process happen on the nth day after DAY."""
    monkeypatch.delenv(VARIABLE)

    def set_number(number: int) -> None:
        class Day(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                return DAY + timedelta(days=number, hours=13)

        monkeypatch.setattr("nodemcu_tls_build.build.datetime", Day)

    return set_number


def build(request: BuildRequest) -> tuple[int, str]:
    """Build; return the number of steps and the time that the report names."""
    result = build_firmware(request, Quiet())
    assert result.report == load_report(request.out_dir)
    return result.compiled, result.report["build_time"]


def make_request(out_dir: Path) -> BuildRequest:
    return BuildRequest("default", None, out_dir, None)


def test_another_day_is_no_reason_to_build(
    own_build: Path, set_day: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = make_request(own_build)
    set_day(0)
    assert find_fresh_build(request) is None  # it was built with SOURCE_DATE_EPOCH
    assert build(request) == (3, "2026-02-28T00:00:00Z")

    set_day(1)
    assert find_fresh_build(request)
    (request.work_dir / STAMP_NAME).unlink()
    assert build(request) == (0, "2026-02-28T00:00:00Z")

    (request.work_dir / "obj" / "app" / "main.c.o").unlink()
    assert build(request) == (4, "2026-03-01T00:00:00Z")
    assert build(request) == (0, "2026-03-01T00:00:00Z")

    set_day(0)  # the clock was wrong
    assert build(request) == (3, "2026-02-28T00:00:00Z")


def test_source_date_epoch_is_one(
    own_build: Path, set_day: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = make_request(own_build)
    set_day(0)
    for value, steps, text in (
        ("1700000000", 3, "2023-11-14T22:13:20Z"),
        ("0", 3, "1970-01-01T00:00:00Z"),
        (str(LATE), 3, "2096-10-02T07:06:40Z"),
        (f"0{LATE}", 0, "2096-10-02T07:06:40Z"),
    ):
        monkeypatch.setenv(VARIABLE, value)
        assert find_fresh_build(request) is None
        assert build(request) == (steps, text)
        assert find_fresh_build(request)
    monkeypatch.delenv(VARIABLE)
    assert find_fresh_build(request) is None
    assert build(request) == (3, "2026-02-28T00:00:00Z")


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", " 1", "1_0", "٣", "253402300800"])
def test_source_date_epoch_that_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(BuildError, match="not a number of seconds since 1970") as caught:
        choose_build_time(DAY)
    assert repr(text) in caught.value.message
    assert caught.value.hint


def test_it_is_told_before_anything_is_built(tmp_path: Path) -> None:
    result = run_build(cwd=tmp_path, SOURCE_DATE_EPOCH="soon")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "Error: SOURCE_DATE_EPOCH is 'soon', not a number of seconds since 1970",
        "Hint: Unset it, or set it as in: SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)",
    ]
    assert list(tmp_path.iterdir()) == []


def test_command_takes_it(own_build: Path, tmp_path: Path) -> None:
    result = run_build(cwd=tmp_path, SOURCE_DATE_EPOCH="1700000000")
    assert list_steps(result) == ["CC obj/app/build_time.c.o", *LINK_STEPS]
    assert load_report(own_build)["build_time"] == "2023-11-14T22:13:20Z"
    assert list_steps(run_build(cwd=tmp_path, SOURCE_DATE_EPOCH="1700000000")) == []


def test_the_day_is_that_of_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    for text in ("2026-02-28T00:00:00Z", "2026-02-28T23:59:59Z", "2026-03-01T01:30:00+02:00"):
        chosen = choose_build_time(datetime.fromisoformat(text))
        assert chosen == BuildTime(int(DAY.timestamp()), is_given=False)


@pytest.mark.parametrize("is_given", [False, True], ids=["day", "given"])
def test_source_text(check_golden: Callable[[str, str], None], *, is_given: bool) -> None:
    name = "given" if is_given else "day"
    check_golden(f"build_time-{name}.c", render_build_time(BuildTime(LATE, is_given)))


def test_source_text_compiles_to_the_number(tmp_path: Path) -> None:
    compiler = find_compiler()
    source, object_path = tmp_path / "build_time.c", tmp_path / "build_time.o"
    source.write_text(render_build_time(BuildTime(LATE, is_given=False)))
    flags = ["-std=c99", "-fdata-sections", "-Wall", "-Wextra", "-Werror"]
    options = [*flags, f"-I{app_dir() / 'tls'}", f"--specs={compiler.specs}"]
    run_capture([compiler.path, *options, "-c", source, "-o", object_path])
    section, content = ".rodata.build_time", tmp_path / "content"
    copy = [f"{compiler.prefix}objcopy", "-O", "binary", f"--only-section={section}"]
    run_capture([*copy, object_path, content])
    assert int.from_bytes(content.read_bytes(), "little") == LATE


@pytest.mark.parametrize("text", [None, "", "const int64_t build_time = 5;", "\xff", "day + x"])
def test_file_that_is_not_whole_is_written_anew(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "gen" / "build_time.c"
    path.parent.mkdir()
    earlier = render_build_time(BuildTime(1_600_000_000, is_given=False))
    if text is not None:
        path.write_text(text.replace("day", earlier), encoding="latin-1")
    wanted = BuildTime(int(DAY.timestamp()), is_given=False)
    (tmp_path / "build.ninja").write_text("build nothing: phony\n")  # nothing else to do
    assert settle_build_time(wanted, find_ninja(), tmp_path) == wanted
    assert path.read_text() == render_build_time(wanted)
