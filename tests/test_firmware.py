"""Lua on the emulated chip: the language, and the modules that need no network."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from emulated import run_lines, run_lua


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_exit_code(firmware: Path, code: int) -> None:
    result = run_lua(firmware, f"print('before') os.exit({code}) print('after')")
    assert (result.returncode, result.stdout) == (code, "before\n")


def test_exit_from_anywhere(firmware: Path) -> None:
    for script in (
        "pcall(coroutine.wrap(function() os.exit(9) end))",
        "table.sort({ 2, 1 }, function() os.exit(9) end)",
        "tmr.create():alarm(1, tmr.ALARM_SINGLE, function() os.exit(9) end)",
        "xpcall(error, function() os.exit(9) end)",
    ):
        assert run_lua(firmware, script).returncode == 9
    assert run_lua(firmware, "os.exit()").returncode == 0
    assert run_lua(firmware, "os.exit('x')").returncode == 1


def test_uncaught_error_ends_with_its_traceback(firmware: Path) -> None:
    script = """
        local function inner() error("no good") end
        function outer() inner() end
        outer()
    """
    result = run_lua(firmware, script)
    assert result.returncode == 1
    name = result.stdout.partition("test.lua")[0] + "test.lua"
    assert result.stdout.splitlines() == [
        f"{name}:2: no good",
        "stack traceback:",
        "\t[C]: in function 'error'",
        f"\t{name}:2: in function 'inner'",
        f"\t{name}:3: in function 'outer'",
        f"\t{name}:4: in main chunk",
    ]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("error({})", "(error object is a table value)"),
        ("error()", "(error object is a nil value)"),
        ("error(nil)", "(error object is a nil value)"),
        ("error(setmetatable({}, { __tostring = error }))", "(error object is a table value)"),
        ("error('plain', 0)", "plain"),
        ("debug = nil error('', 0)", ""),
        ("local x = nil + 1", "attempt to perform arithmetic on a nil value"),
        ("tmr.create():alarm(1, tmr.ALARM_SINGLE, function() error('late', 0) end)", "late"),
        ("for", "'<name>' expected near '<eof>'"),
        ("x = = 1", "unexpected symbol near '='"),
        ("return '", "unfinished string near '<eof>'"),
    ],
)
def test_error_of_any_kind_ends_with_1(firmware: Path, script: str, message: str) -> None:
    result = run_lua(firmware, script)
    assert result.returncode == 1
    assert result.stdout.splitlines()[0].endswith(message)


def test_script_of_any_form(firmware: Path) -> None:
    assert run_lines(firmware, "") == []
    assert run_lines(firmware, "print(1)\r\nprint(2)") == ["1", "2"]
    assert run_lines(firmware, "print(...)") == [""]
    assert run_lines(firmware, "-- no line end") == []
    assert run_lines(firmware, "#!/usr/bin/lua\nprint(debug.getinfo(1).currentline)") == ["2"]
    long = "-- " + "x" * 5000 + "\n" + "print(#'" + "y" * 3000 + "')"
    assert run_lines(firmware, long) == ["3000"]


def test_language(firmware: Path) -> None:
    script = r"""
        local t = setmetatable({ 1, 2, nil, 4 }, { __index = function(_, k) return k .. "?" end })
        print(#"a\0b", t[1], t.x, #{ 1, 2, 3 }, select("#", nil, nil))
        print(("x,y,,z"):gsub(",", ";"), ("key = value"):match("^(%w+)%s*=%s*(%w+)$"))
        print(table.concat({ 1, 2, 3 }, "-"), unpack({ 4, 5 }))
        local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end)
        print(co(1), co(21))
        local list = { 5, 3, 9, 1 }
        table.sort(list, function(a, b) return a > b end)
        print(unpack(list))
        print(pcall(error, { code = 7 }))
        print(loadstring("return 1 +")) print(loadstring("return 1 + 1")())
        print(loadfile("none.lua")) print(pcall(dofile, "none.lua"))
        print(string.format("%5.2f|%-5s|%05d|%x|%q|%c", math.pi, "ab", 42, 255, "a\n\"b\"", 65))
        print(type(print), tostring(nil), tonumber("0x10"), tonumber("z", 36))
        print(string.byte("A"), ("%s"):rep(3), ("abc"):upper():reverse())
        print(loadstring(string.dump(function() return "dumped" end))())
    """
    table_address = re.compile(r"table: 0x[0-9a-f]+|table: [0-9a-f]+")
    lines = [table_address.sub("table", line) for line in run_lines(firmware, script)]
    assert lines == [
        "3\t1\tx?\t3\t2",
        "x;y;;z\tkey\tvalue",
        "1-2-3\t4\t5",
        "2\t42",
        "9\t5\t3\t1",
        "false\ttable",
        "nil\t[string \"return 1 +\"]:1: unexpected symbol near '<eof>'",
        "2",
        "nil\tcannot open none.lua: No such file or directory",
        "false\tcannot open none.lua: No such file or directory",
        ' 3.14|ab   |00042|ff|"a\\',
        '\\"b\\""|A',
        "function\tnil\t16\t35",
        "65\t%s%s%s\tCBA",
        "dumped",
    ]


def test_numbers_are_the_hosts(firmware: Path) -> None:
    values = {
        "0.1": 0.1,
        "1/3": 1 / 3,
        "-1/3": -1 / 3,
        "2^31": 2.0**31,
        "-2^31": -(2.0**31),
        "2^53": 2.0**53,
        "1e15": 1e15,
        "123456789012345678": 123456789012345678.0,
        "1e308 * 1.5": 1.5e308,
        "0.1 + 0.2": 0.1 + 0.2,
        "7 % 3": 7 % 3,
        "-7 % 3": -7 % 3,
        "7.5 % -2": 7.5 % -2,
        "math.sqrt(2)": math.sqrt(2),
        "math.sin(1)": math.sin(1),
        "math.exp(1)": math.e,
        "math.log(10)": math.log(10),
        "math.fmod(-7, 3)": math.fmod(-7, 3),
        "math.floor(-1.5)": -2,
        "math.atan2(1, -1)": math.atan2(1, -1),
        "2 ^ 0.5": 2**0.5,
        "tonumber('12345.678901')": 12345.678901,
        "255": 255,
        "-0": -0.0,
        "99999999999999": 99999999999999,
        "65535 * 65537": 65535 * 65537,
    }
    script = "\n".join(f"print({expression})" for expression in values)
    assert run_lines(firmware, script) == [f"{value:.14g}" for value in values.values()]
    assert run_lines(firmware, "print(1/0, -1/0, 0/0 ~= 0/0)") == ["inf\t-inf\ttrue"]


def test_libraries(firmware: Path) -> None:
    """A library is a table that is filled when it is first used."""
    script = """
        local _ = math.pi, table.sort, debug.traceback, os.time, node.heap, tmr.now, net.TCP, tls.x
        for _, name in ipairs { "os", "node", "tmr", "net", "tls" } do
          local names = {}
          for key in pairs(_G[name]) do names[#names + 1] = key end
          table.sort(names)
          print(name, unpack(names))
        end
        print(io, require, package, module, os.execute)
    """
    assert run_lines(firmware, script) == [
        "os\tclock\texit\ttime",
        "node\tchipid\theap\trestart",
        "tmr\tALARM_AUTO\tALARM_SEMI\tALARM_SINGLE\tcreate\tnow\ttime",
        "net\tTCP\tcreateConnection\tdns",
        "tls\tcert\tcreateConnection",
        "nil\tnil\tnil\tnil\tnil",
    ]


def test_clocks(firmware: Path) -> None:
    script = """
        local start, clock = tmr.now(), os.clock()
        for _ = 1, 20000 do end
        print(tmr.now() > start, os.clock() > clock, tmr.time() >= 0, os.time() > 1.7e9)
        print(tmr.now() % 1 == 0, os.time() % 1 == 0)
    """
    assert run_lines(firmware, script) == ["true\ttrue\ttrue\ttrue", "true\ttrue"]


def test_node(firmware: Path) -> None:
    script = """
        local before = node.heap()
        local big = ("x"):rep(5000)
        local after = node.heap()
        print(before > 20000, before < 51200, before - after >= 5000)
        big = nil
        collectgarbage() collectgarbage()
        print(node.heap() >= before - 100)
        print(node.chipid())
    """
    assert run_lines(firmware, script) == ["true\ttrue\ttrue", "true", str(0x123456)]


def test_resolve(firmware: Path) -> None:
    script = """
        print((select(2, pcall(net.dns.resolve))))
        print((select(2, pcall(net.dns.resolve, "x"))))
        for _, name in ipairs { "server.test", "192.0.2.9", "nothing.invalid" } do
          net.dns.resolve(name, function(socket, ip) print(name, socket, ip) end)
        end
        print("not yet")
    """
    lines = run_lines(firmware, script)
    assert lines[:3] == [
        "bad argument #1 to '?' (string expected, got no value)",
        "bad argument #2 to '?' (function expected, got no value)",
        "not yet",
    ]
    assert sorted(lines[3:]) == [
        "192.0.2.9\tnil\t192.0.2.9",
        "nothing.invalid\tnil\tnil",
        "server.test\tnil\t10.0.2.2",
    ]
