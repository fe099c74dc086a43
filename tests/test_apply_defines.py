from __future__ import annotations

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
        ("#ifdef A\n#define X 1\n#else\n#define X 3\n#endif\n",) * 1
        + ("#ifdef A\n#define X 2\n#else\n#define X 2\n#endif\n",),
        ("/*\n#define X 1\n*/\n#endif\n", "/*\n#define X 1\n*/\n#define X 2\n#endif\n"),
        ('char *a = "/*";\n#define X 1\n', 'char *a = "/*";\n#define X 2\n'),
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


def test_clearing() -> None:
    assert (
        clear_define("#define X 1 // why\n//#define X\n", "X") == "#undef X // why\n//#define X\n"
    )
    assert clear_define("#undef X\n#define Y\n", "X") == "#undef X\n#define Y\n"


def test_mentioning() -> None:
    assert mentions("//#define X\n", "X")
    assert mentions("#undef X\n", "X")
    assert not mentions("#define XX\n/*\n#define X\n*/\n", "X")
