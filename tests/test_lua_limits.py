"""What Lua runs out of on a small chip ends in a Lua error: no crash, no hang, no silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from emulated import run_lua

# A function that comes back to itself through C: in CALL it is `again`.
RECURSION = """
local depth = 0
local function again(...)
  depth = depth + 1
  CALL
  return true
end
local ok, message = pcall(again, 2, 1)
print(ok, depth >= 5, message)
print(pcall(string.rep, "still alive ", 2))
"""
CALLS = {
    "pcall": "assert(pcall(again))",
    "xpcall": "assert(xpcall(again, function(m) return m end))",
    "error handler": "assert(xpcall(error, again))",
    "gsub": "return #string.gsub('x', 'x', again)",
    "tostring": "return #tostring(setmetatable({}, { __tostring = again }))",
    "__index": "return #setmetatable({}, { __index = again }).x",
    "__newindex": "setmetatable({}, { __newindex = again }).x = 1",
    "__add": "return 1 + (1 + setmetatable({}, { __add = again }))",
    "__lt": "local t = setmetatable({}, { __lt = again }) return #(t < t)",
    "__eq": "local m = { __eq = again } return #(setmetatable({}, m) == setmetatable({}, m))",
    "__concat": "return setmetatable({}, { __concat = again }) .. 'x' .. 'y'",
    "sort": "table.sort({ 2, 1 }, again)",
    "foreach": "table.foreach({ 1 }, again)",
    "coroutine.wrap": "return #coroutine.wrap(again)()",
    "coroutine.resume": "return #select(2, assert(coroutine.resume(coroutine.create(again))))",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_recursion_through_c(firmware: Path, call: str) -> None:
    result = run_lua(firmware, RECURSION.replace("CALL", f"do {call} end"))
    assert result.returncode == 0, result.stdout
    first, second = result.stdout.splitlines()
    assert first.startswith("false\ttrue\t")
    in_handler = ("error in error handling",) if call == CALLS["error handler"] else ()
    assert first.endswith(("stack overflow", "not enough memory", *in_handler))
    assert second == "true\tstill alive still alive "


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("local function f() return 1 + f() end f()", "not enough memory"),
        ("return string.rep('x', 1e9)", "not enough memory"),
        ("local s = 'x' while true do s = s .. s end", "not enough memory"),
        ("local t = {} for i = 1, 1e9 do t[i] = i end", "not enough memory"),
        ("local t = {} while true do t[{}] = true end", "not enough memory"),
        ("local t while true do t = { t } end", "not enough memory"),
        ("return unpack({}, 1, 1e6)", "too many results to unpack"),
        ("return unpack({}, 1, 5000)", "too many results to unpack"),
        ("return unpack({}, -2 ^ 31, 2 ^ 31 - 1)", "too many results to unpack"),
        ("return unpack({}, 0, 2 ^ 31 - 1)", "too many results to unpack"),
        ("string.format('%100d', 1)", "invalid format (width or precision too long)"),
        ("string.find('a', ('()'):rep(50))", ("too many captures", "pattern too complex)")),
    ],
)
def test_too_much(firmware: Path, statement: str, reason: str | tuple[str, ...]) -> None:
    script = f"""
        local ok, message = pcall(function() {statement} end)
        print(ok, message)
        print(pcall(string.rep, "x", 5000))
    """
    result = run_lua(firmware, script)
    assert result.returncode == 0, result.stdout
    first, second = result.stdout.splitlines()
    assert first.startswith("false\t")
    assert first.endswith(reason)
    assert second == f"true\t{'x' * 5000}"


def test_option_for_the_c_api_only(firmware: Path) -> None:
    """Lua 5.1 crashes on it: it takes a function from the stack that is not there."""
    script = """
        for _, options in ipairs { ">S", "S>", ">" } do
          print(pcall(debug.getinfo, 1, options))
        end
        print(pcall(debug.getinfo, coroutine.create(function() end), 1, ">f"))
        local function f() return debug.getinfo(1, "l").currentline end
        print(f(), debug.getinfo(print, "S").what, debug.getinfo(1).short_src)
    """
    result = run_lua(firmware, script)
    assert result.returncode == 0, result.stdout
    lines = result.stdout.splitlines()
    assert all(line.endswith("(invalid option)") for line in lines[:4])
    assert lines[4].startswith("6\tC\t")


@pytest.mark.parametrize("count", [30, 1000])
@pytest.mark.parametrize("item", ["a?", "a*", "a-", "(a)"])
def test_long_pattern(firmware: Path, item: str, count: int) -> None:
    """The matcher recurses once for each item of a pattern."""
    script = f"""
        local text, pattern = ("a"):rep({count}), ("{item}"):rep({count})
        local ok, first = pcall(string.find, text, pattern)
        print(ok, first)
        pcall(string.gsub, text, pattern, "")
        pcall(function() for _ in text:gmatch(pattern) do end end)
        print("alive")
    """
    result = run_lua(firmware, script)
    assert result.returncode == 0, result.stdout
    first, second = result.stdout.splitlines()
    assert first == "true\t1" or (count == 1000 and first.startswith("false\t"))
    assert second == "alive"


# Constructs that nest: how they open, what stands in the middle, how they close.
NESTED = {
    "parentheses": ("x = ", "(", "1", ")"),
    "tables": ("x = ", "{", "", "}"),
    "calls": ("x = ", "f(", "", ")"),
    "callbacks": ("", "f(function(a, b) ", "", "end) "),
    "blocks": ("", "do ", "", "end "),
    "conditions": ("", "if a then ", "", "end "),
    "loops": ("", "for i = 1, 2 do ", "", "end "),
    "minus signs": ("x = ", "- ", "1", ""),
    "concatenations": ("x = ", "a .. ", "1", ""),
}


@pytest.mark.parametrize("parts", NESTED.values(), ids=NESTED)
def test_nested_source(firmware: Path, parts: tuple[str, str, str, str]) -> None:
    start, opening, middle, closing = parts

    def nest(depth: int) -> str:
        return f"{start}{opening * depth}{middle}{closing * depth}"

    likely = run_lua(firmware, f"local never = function(f, a) {nest(4)} end print('compiled')")
    assert likely.stdout == "compiled\n"
    absurd = run_lua(firmware, nest(500))
    assert absurd.returncode == 1
    assert absurd.stdout.splitlines()[0].endswith(
        ("chunk has too many syntax levels", "not enough memory")
    )


def test_script_larger_than_the_heap(firmware: Path) -> None:
    result = run_lua(firmware, "\n".join(f"x{n} = 'value {n}'" for n in range(3000)))
    assert result.returncode == 1
    assert result.stdout == "not enough memory\n"
