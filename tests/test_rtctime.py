"""The board's clock as Lua sees it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from emulated import Console, run_lines, run_lua

DATES = (
    "1970-01-01T00:00:00",
    "1970-12-31T23:59:59",
    "1999-12-31T23:59:59",
    "2000-02-29T12:34:56",
    "2000-12-31T00:00:00",
    "2001-03-01T00:00:00",
    "2016-12-31T23:59:59",
    "2026-11-23T17:31:05",
    "2038-01-19T03:14:07",
    "2038-01-19T03:14:08",
    "2096-02-29T00:00:00",
    "2100-02-28T23:59:59",
    "2100-03-01T00:00:00",
    "2106-02-07T06:28:16",
    "9999-12-31T23:59:59",
)


def test_calendar(firmware: Path) -> None:
    dates = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in DATES]
    script = """
        for seconds in ([[%s]]):gmatch("%%d+") do
          local t = rtctime.epoch2cal(tonumber(seconds))
          print(("%%04d-%%02d-%%02dT%%02d:%%02d:%%02d"):format(
            t.year, t.mon, t.day, t.hour, t.min, t.sec), t.yday, t.wday)
        end
    """
    seconds = " ".join(str(int(date.timestamp())) for date in dates)
    assert run_lines(firmware, script % seconds) == [
        f"{text}\t{date.timetuple().tm_yday}\t{date.isoweekday() % 7 + 1}"
        for text, date in zip(DATES, dates, strict=True)
    ]


def test_clock_is_the_hosts_unless_told(firmware: Path) -> None:
    before = int(time.time())
    (line,) = run_lines(firmware, "print(os.time(), rtctime.get())")
    seconds, again, microseconds, rate = map(int, line.split("\t"))
    assert before <= seconds <= again <= time.time() + 1
    assert 0 <= microseconds < 1_000_000
    assert rate == 0


def test_clock_that_is_told(firmware: Path) -> None:
    script = "print(os.time(), rtctime.get())"
    assert run_lua(firmware, script, "--clock", "none").stdout == "nil\t0\t0\t0\n"
    for clock, told in (("2100-03-01", 4107542400), ("2031-05-01T12:00+02:00", 1935396000)):
        result = run_lua(firmware, script, "--clock", clock)
        seconds, again, *_ = map(int, result.stdout.split())
        assert told <= seconds <= again < told + 3600, clock


def test_clock_that_is_none(firmware: Path) -> None:
    for clock, message in (
        ("soon", "'soon' is neither a date like 2031-05-01T12:00 nor none"),
        ("1969-12-31", "'1969-12-31' is before 1970"),
        ("1970-01-01", "'1970-01-01' is before 1970"),
    ):
        result = run_lua(firmware, "", "--clock", clock)
        assert (result.returncode, result.stdout) == (2, "")
        assert f"Invalid value for '--clock': {message}" in result.stderr


def test_clock_that_is_set(firmware: Path) -> None:
    script = """
        rtctime.set(4102444799, 999990)
        tmr.create():alarm(1, tmr.ALARM_SINGLE, function()
          print(os.time(), rtctime.get())
          rtctime.set(nil, nil, 5)
          rtctime.set(1e9)
          print(os.time(), (rtctime.get()))
          rtctime.set(0)
          print(os.time(), rtctime.get())
        end)
    """
    first, second, third = run_lines(firmware, script)
    for line, told in ((first, 4102444800), (second, 1000000000)):
        seconds, again, *_ = map(int, line.split("\t"))
        assert told <= seconds <= again < told + 3600
    assert third == "nil\t0\t0\t0"


def test_wrong_arguments_are_named(firmware: Path) -> None:
    script = """
        local function try(f, ...) print((select(2, pcall(f, ...)))) end
        for _, seconds in ipairs { -1, 253402300800, 0/0, 1/0, "now" } do
          try(rtctime.set, seconds)
        end
        for _, microseconds in ipairs { -1, 1e6, 0/0, "x" } do try(rtctime.set, 1, microseconds) end
        try(rtctime.epoch2cal, -1)
        try(rtctime.epoch2cal)
    """
    seconds = "bad argument #1 to '?' (seconds since 1970 must be 0 to 253402300799)"
    microseconds = "bad argument #2 to '?' (microseconds must be 0 to 999999)"
    assert run_lines(firmware, script) == [
        *([seconds] * 4),
        "bad argument #1 to '?' (number expected, got string)",
        *([microseconds] * 3),
        "bad argument #2 to '?' (number expected, got string)",
        seconds,
        "bad argument #1 to '?' (number expected, got no value)",
    ]


def test_clock_outlives_a_restart(firmware: Path, tmp_path: Path) -> None:
    script_path = tmp_path / "clock.lua"
    script_path.write_text("""
        local first = rtctime.get() < 4e9
        if first then rtctime.set(4e9) end
        print("at", os.time())
        if first or os.time() < 4000000003 then
          tmr.create():alarm(1000, tmr.ALARM_SINGLE, node.restart)
        else
          print("end")
        end
    """)
    with Console(firmware, "--script", str(script_path)) as console:
        shown = console.wait_for("end")
    rows = [line.split("\t") for line in shown.splitlines()]
    times = [int(row[1]) for row in rows]
    assert len(times) > 1
    assert times[0] >= 4_000_000_000
    assert times[-1] >= 4_000_000_003
    assert times == sorted(times)
