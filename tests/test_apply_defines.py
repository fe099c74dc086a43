from __future__ import annotations

import subprocess

import pytest

from nodemcu_tls_build.apply.defines import clear_define, mentions, set_define


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("#define X 1\n", "#define X 2\n"),
        ("#define X 2\n", "#define X 2\n"),
        ("#define X\t\t1 // why\r\n", "#define X\t\t2 // why\r\n"),
        ("  #  define X 1 /* why */\n", "  #define X 2 /* why */\n"),
        ("//#define X 1\n", "#define X 2\n"),
        ("  // #define X\n", "  #define X 2\n"),
        ("#undef X\n", "#define X 2\n"),
        ("//#define X 7\n#define X 1\n", "//#define X 7\n#define X 2\n"),
        (
            "#ifdef A\n#define X 1\n#else\n#define X 3\n#endif\n",
            "#ifdef A\n#define X 2\n#else\n#define X 2\n#endif\n",
        ),
        ("/*\n#define X 1\n*/\n#endif\n", "/*\n#define X 1\n*/\n#define X 2\n#endif\n"),
        ('char *a = "/*";\n#define X 1\n', 'char *a = "/*";\n#define X 2\n'),
        (
            "char a = '\"'; /*\n#define X 1\n*/\n",
            "char a = '\"'; /*\n#define X 1\n*/\n#define X 2\n",
        ),
        ("// \\\n#define X 1\n", "// \\\n#define X 1\n#define X 2\n"),
        ("#define X \\\n  1\nint a;\n", "#define X 2\nint a;\n"),
        ("#define XY 1\n#endif\n", "#define XY 1\n#define X 2\n#endif\n"),
        ("#define A\r\n#endif\r\n", "#define A\r\n#define X 2\r\n#endif\r\n"),
        ("int a;", "int a;\n#define X 2\n"),
        ("", "#define X 2\n"),
        ("// \x85#define X 1\n#define X 1", "// \x85#define X 1\n#define X 2"),
    ],
)
def test_setting(text: str, wanted: str) -> None:
    assert set_define(text, "X", "2") == wanted
    assert set_define(wanted, "X", "2") == wanted


def test_a_switch_keeps_what_stands_beside_it() -> None:
    assert set_define("//#define TLS // the module\n", "TLS") == "#define TLS // the module\n"
    assert set_define("#define TLS 1\n", "TLS", "1") == "#define TLS 1\n"


def test_a_new_line_goes_where_its_like_are() -> None:
    text = "//#define M_GPIO\n#define M_NODE\n#define M_TMR\n\n#define Z\n#endif\n"
    assert "#define M_NODE\n#define M_TLS\n#define M_TMR\n" in set_define(text, "M_TLS", after="M_")
    assert set_define(text, "M_ADC", after="M_").index("M_TMR") < set_define(
        text, "M_ADC", after="M_"
    ).index("M_ADC")


GUARDED = "#ifndef H_\n#define H_\n#ifndef LUA_CROSS_COMPILER\n{}#endif\n#endif\n"


CONDITIONAL = [
    ("#ifdef A\n#define X 1\n#endif\n", "#ifdef A\n#define X 2\n#endif\n#define X 2\n"),
    ("#if 0\n//#define X\n#endif\n", "#if 0\n//#define X\n#endif\n#define X 2\n"),
    (
        "#if A\n#elif B\n#define X 1\n#else\n#endif\n//#define X\n",
        "#if A\n#elif B\n#define X 2\n#else\n#endif\n#define X 2\n",
    ),
    (
        "#define X 1\n#ifdef A\n#undef X\n#endif\n",
        "#define X 2\n#ifdef A\n#undef X\n#endif\n#define X 2\n",
    ),
    ("#ifdef A\n#define XA\n#endif\n", "#ifdef A\n#define XA\n#endif\n#define X 2\n"),
    ("#ifndef X\n#define X 1\n#endif\n", "#ifndef X\n#define X 2\n#endif\n"),
    ("#ifdef X\n#else\n#define X\n#endif\n", "#ifdef X\n#else\n#define X 2\n#endif\n"),
    (GUARDED.format("//#define X\n"), GUARDED.format("#define X 2\n")),
    (GUARDED.format("#define X 1\n"), GUARDED.format("#define X 2\n")),
    (
        GUARDED.format("#if !defined(A)\n#define X 1\n#endif\n"),
        GUARDED.format("#if !defined(A)\n#define X 2\n#endif\n")[:-7] + "#define X 2\n#endif\n",
    ),
    ("#endif\n#if A\n#define X 1\n", "#endif\n#if A\n#define X 2\n"),
]


@pytest.mark.parametrize(("text", "wanted"), CONDITIONAL)
@pytest.mark.parametrize("after", [None, "X"])
def test_what_a_condition_may_leave_out_does_not_count(
    text: str, wanted: str, after: str | None
) -> None:
    found = set_define(text, "X", "2", after=after)
    assert sorted(found.split("\n")) == sorted(wanted.split("\n"))
    assert found == wanted or after
    assert set_define(found, "X", "2", after=after) == found


@pytest.mark.parametrize("text", [text for text, _ in CONDITIONAL[:-1]])
@pytest.mark.parametrize("others", ["", "-DA", "-DB", "-DA -DB"])
def test_a_compiler_finds_it_defined(text: str, others: str) -> None:
    command = ["cc", "-Werror", "-E", "-dM", *others.split(), "-"]
    found = set_define(text, "X", "2")
    shown = subprocess.run(command, input=found, capture_output=True, text=True, check=True)
    assert "#define X 2\n" in shown.stdout


def test_clearing() -> None:
    assert (
        clear_define("#define X 1 // why\n//#define X\n", "X") == "#undef X // why\n//#define X\n"
    )
    assert clear_define("#undef X\n#define Y\n", "X") == "#undef X\n#define Y\n"


def test_mentioning() -> None:
    assert mentions("//#define X\n", "X")
    assert mentions("#undef X\n", "X")
    assert not mentions("#define XX\n/*\n#define X\n*/\n", "X")
