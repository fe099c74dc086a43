from __future__ import annotations

from pathlib import Path

import pytest

from nodemcu_tls_build.process import run_capture
from nodemcu_tls_build.profile.preprocessor import holds, parse_condition, read_headers

CONDITIONS = (
    "defined(A)",
    "defined A && !defined(B)",
    "!(defined(A) || defined(B)) || defined(C)",
    "defined(A) && ( !defined(B) || ( \\\n !defined(C) && defined(D) ) )",
    "D > 16 && D <= 0x20u",
    "D != 0 || MISSING",
    "!MISSING && D == 32",
    "INDIRECT >= 32",
)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("names", ["", "A", "AB", "ABC", "C", "AD", "D", "BD"])
def test_conditions_are_what_a_compiler_makes_of_them(condition: str, names: str) -> None:
    macros = dict.fromkeys(names, "32") | {"INDIRECT": "D"}
    text = "".join(f"#define {name} {value}\n" for name, value in macros.items())
    text += f"#if {condition}\nyes\n#endif\n"
    expected = "yes" in run_capture(["gcc", "-E", "-P", "-x", "c", "-"], input=text)
    assert holds(parse_condition(condition.replace("\\\n", " ")), macros) == expected


@pytest.mark.parametrize("text", ["", "defined(", "(A", "A)", "A &&", "f(x)", "'A' == 65", "A ? 1"])
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot read|not closed"):
        parse_condition(text)


def test_headers_are_read_as_a_compiler_does(tmp_path: Path) -> None:
    (tmp_path / "one.h").write_text("""\
#ifndef ONE_H
#define ONE_H
#include "two.h" /* which is there */
#include <absent.h>
#if defined(A) // a comment
#  define FIRST 1
#elif defined(B)
#define SECOND "no // comment"
#else
#define THIRD
#endif
#ifdef A
#if __has_feature(x)
#error "never"
#elif defined(FROM_TWO) && \\
    !defined(C)
#error "A needs C"
#endif
#else
#error "no A"
#undef FROM_TWO
#endif
#endif
""")
    (tmp_path / "two.h").write_text('#include "one.h"\n#define FROM_TWO 2 * 3\n')
    with_a = read_headers([tmp_path / "one.h"], {"A": ""}, tmp_path)
    assert with_a.macros == {"A": "", "ONE_H": "", "FROM_TWO": "2 * 3", "FIRST": "1"}
    assert [refusal.text for refusal in with_a.refusals] == ["A needs C"]
    assert all(holds(part, with_a.macros) for part in with_a.refusals[0].conditions)
    with_b = read_headers([tmp_path / "one.h"], {"B": ""}, tmp_path)
    assert with_b.macros == {"B": "", "ONE_H": "", "SECOND": '"no // comment"'}
    assert [refusal.text for refusal in with_b.refusals] == ["no A"]
    assert {"FIRST", "SECOND", "THIRD"} <= set(with_b.makers)
