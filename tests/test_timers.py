"""The `tmr` module's timers on the emulated chip."""

from __future__ import annotations

from pathlib import Path

from emulated import run_lines


def test_timer_modes(firmware: Path) -> None:
    script = """
        local semi, single, auto = tmr.create(), tmr.create(), tmr.create()
        local counts = { 0, 0, 0 }
        print(single:alarm(2, tmr.ALARM_SINGLE, function(t)
          counts[1] = counts[1] + 1
          print("single", t == single, t:state())
        end))
        semi:register(3, tmr.ALARM_SEMI, function(t)
          counts[2] = counts[2] + 1
          print("semi", t:state())
          if counts[2] < 3 then print(t:start()) end
        end)
        print(semi:state())
        print(semi:start(), semi:start())
        auto:alarm(5, tmr.ALARM_AUTO, function(t)
          counts[3] = counts[3] + 1
          if counts[3] == 10 then
            print("auto", t:state())
            print(t:stop(), t:stop(), t:state())
            print(unpack(counts))
          end
        end)
    """
    assert run_lines(firmware, script) == [
        "true",
        f"false\t{2}",
        "true\tfalse",
        "single\ttrue\tnil",
        *["semi\tfalse\t2", "true"] * 2,
        "semi\tfalse\t2",
        "auto\ttrue\t1",
        "true\tfalse\tfalse\t1",
        "1\t3\t10",
    ]


def test_timers_fire_when_due_and_not_before(firmware: Path) -> None:
    script = """
        local start = tmr.now()
        for _, ms in ipairs { 600, 200, 400 } do
          tmr.create():alarm(ms, tmr.ALARM_SINGLE, function()
            print(ms, tmr.now() - start >= ms * 1000)
          end)
        end
        collectgarbage() collectgarbage()
    """
    assert run_lines(firmware, script) == ["200\ttrue", "400\ttrue", "600\ttrue"]


def test_timer_that_is_changed_while_it_runs(firmware: Path) -> None:
    script = """
        local t = tmr.create()
        print(t:state(), t:start(), t:stop())
        t:alarm(6870947, tmr.ALARM_SINGLE, function() print("never") end)
        t:interval(1)
        t:alarm(5, tmr.ALARM_AUTO, function(t)
          print("fired", t:state())
          t:unregister()
          print(t:state())
          print(t:start())
          local other = tmr.create()
          other:alarm(50, tmr.ALARM_SINGLE, function() print("never") end)
          tmr.create():alarm(1, tmr.ALARM_SINGLE, function() other:unregister() end)
        end)
        print(t:start(), t:start(true))
    """
    assert run_lines(firmware, script) == [
        "nil\tfalse\tfalse",
        "false\ttrue",
        "fired\ttrue\t1",
        "nil",
        "false",
    ]


def test_timer_arguments(firmware: Path) -> None:
    script = """
        local function try(f, ...) print((select(2, pcall(f, ...)))) end
        local t = tmr.create()
        local function f() end
        try(t.alarm, t, 0, tmr.ALARM_SINGLE, f)
        try(t.alarm, t, 6870948, tmr.ALARM_SINGLE, f)
        try(t.alarm, t, 0/0, tmr.ALARM_SINGLE, f)
        try(t.alarm, t, "soon", tmr.ALARM_SINGLE, f)
        try(t.alarm, t, 1, 3, f)
        try(t.alarm, t, 1, -1, f)
        try(t.alarm, t, 1, tmr.ALARM_AUTO)
        try(t.alarm, t, 1, tmr.ALARM_AUTO, "f")
        try(t.alarm, 1, 1, tmr.ALARM_AUTO, f)
        try(t.alarm, net.createConnection(), 1, tmr.ALARM_AUTO, f)
        try(t.start)
        try(t.interval, t, -1)
    """
    interval = "bad argument #2 to '?' (interval must be 1 to 6870947 milliseconds)"
    mode = (
        "bad argument #3 to '?' (mode must be tmr.ALARM_SINGLE, tmr.ALARM_SEMI or tmr.ALARM_AUTO)"
    )
    assert run_lines(firmware, script) == [
        *([interval] * 3),
        "bad argument #2 to '?' (number expected, got string)",
        *([mode] * 2),
        "bad argument #4 to '?' (function expected, got no value)",
        "bad argument #4 to '?' (function expected, got string)",
        "bad argument #1 to '?' (tmr.timer expected, got number)",
        "bad argument #1 to '?' (tmr.timer expected, got userdata)",
        "bad argument #1 to '?' (tmr.timer expected, got no value)",
        interval,
    ]


def test_unused_timers_are_collected(firmware: Path) -> None:
    script = """
        local function turn(n)
          for _ = 1, n do
            local t = tmr.create()
            t:alarm(1000, tmr.ALARM_AUTO, function() t:stop() end)
            t:stop()
          end
          collectgarbage() collectgarbage()
          return node.heap()
        end
        turn(20)
        local before = turn(20)
        print(before - turn(400) < 200)
    """
    assert run_lines(firmware, script) == ["true"]
