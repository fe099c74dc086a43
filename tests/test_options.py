from __future__ import annotations

import re
from pathlib import Path

import pytest
from native_build import find_tree

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.process import run_capture
from nodemcu_tls_build.profile import FILE_NAMES, Profile, load_profile
from nodemcu_tls_build.profile.left_out import UNKNOWN
from nodemcu_tls_build.profile.mbedtls import find_choices
from nodemcu_tls_build.profile.options import Option, find_config_header, read_options
from nodemcu_tls_build.render import render_user_mbedtls
from nodemcu_tls_build.toolchain import find_compiler

VERSIONS = ("3.6.6", "2.28.3", "2.16.3")


def make_profile(version: str) -> Profile:
    default = load_profile("default")
    mbedtls = default.mbedtls.model_copy(update={"version": version})
    return default.model_copy(update={"mbedtls": mbedtls})


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def include_dir(version: str) -> Path:
    return find_tree("mbedtls", version).path / "include"


def test_the_header_sets_or_unsets_every_option(version: str, include_dir: Path) -> None:
    """The options are counted in mbedTLS's header by other means than the program's."""
    words = find_config_header(include_dir).read_text().replace("//", " ").split()
    named = {words[at + 1].partition("(")[0] for at, word in enumerate(words) if word == "#define"}
    known = {name for name in named if re.fullmatch(r"MBEDTLS_\w+(?<!_CONFIG_H)", name)}
    text = render_user_mbedtls(make_profile(version), include_dir)
    on = re.findall(r"^#define (MBEDTLS_\w+)", text, re.MULTILINE)
    gone = re.findall(r"^#undef (MBEDTLS_\w+)", text, re.MULTILINE)
    off = [name for name in gone if name not in on]
    assert set(on) < set(gone)  # whatever was set before it
    assert len(gone) == len(set(gone))
    assert len(on) + len(off) == len({*on, *off})
    assert known - FILE_NAMES <= {*on, *off}
    assert {*on, *off} - known <= set()
    assert len(known) > 290
    assert UNKNOWN not in text


def test_the_header_overrides_what_was_set_before(version: str, include_dir: Path) -> None:
    """With mbedTLS's own configuration in front of it, nothing of that is left."""
    text = render_user_mbedtls(make_profile(version), include_dir)
    left = {option.name for option in read_options(include_dir) if option.on}
    for directive, name in re.findall(r"^#(define|undef) (MBEDTLS_\w+)", text, re.MULTILINE):
        left = left | {name} if directive == "define" else left - {name}
    on = set(re.findall(r"^#define (MBEDTLS_\w+)", text, re.MULTILINE))
    assert left == on


def test_the_header_overrides_the_command_line(
    version: str, include_dir: Path, tmp_path: Path
) -> None:
    """What is defined already is taken away before: a compiler that minds has nothing to say."""
    compiler = find_compiler()
    header_path, source_path = tmp_path / "user_mbedtls.h", tmp_path / "source.c"
    header_path.write_text(render_user_mbedtls(make_profile(version), include_dir))
    source_path.write_text(
        '#include "user_mbedtls.h"\n'
        "#if MBEDTLS_SSL_IN_CONTENT_LEN != 4096\n#error not overridden\n#endif\n"
    )
    defines = ["-DMBEDTLS_SSL_IN_CONTENT_LEN=16384", "-DMBEDTLS_AES_C=1", "-DMBEDTLS_RSA_C=2"]
    paths = [f"--specs={compiler.specs}", f"-I{tmp_path}", f"-I{include_dir}"]
    run_capture([compiler.path, *paths, *defines, "-Werror", "-fsyntax-only", source_path])


def test_whatever_a_profile_can_set_is_an_option(version: str, include_dir: Path) -> None:
    names = {option.name for option in read_options(include_dir)}
    asked = {name for name in find_choices(version) if name.startswith("MBEDTLS_")}
    assert asked <= names


def test_what_is_read_of_an_option(tmp_path: Path) -> None:
    header = tmp_path / "mbedtls" / "config.h"
    header.parent.mkdir()
    header.write_text("""\
#ifndef MBEDTLS_CONFIG_H
#define MBEDTLS_CONFIG_H
/**
 * \\name SECTION: One
 * Uncomment `#define MBEDTLS_TEXT` to have it.
 */
#define MBEDTLS_ON
//#define MBEDTLS_OFF
/* \\} name SECTION: One */
/** \\name SECTION: Two */
//#define MBEDTLS_VALUE   16 /**< Something */
//#define MBEDTLS_CALL( cond ) assert( cond )
//#define MBEDTLS_LIST  A, \\
//                      B
#endif
""")
    assert read_options(tmp_path) == (
        Option("MBEDTLS_ON", True, None, "One"),
        Option("MBEDTLS_OFF", False, None, "One"),
        Option("MBEDTLS_VALUE", False, "16", "Two"),
        Option("MBEDTLS_CALL", False, "assert( cond )", "Two"),
        Option("MBEDTLS_LIST", False, "A,", "Two"),
    )


def test_a_directory_without_mbedtls(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no mbedTLS"):
        read_options(tmp_path)
