"""The user_mbedtls.h of a tree, against the headers of each mbedTLS that a tree may have."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from nodemcu_tree import MBEDTLS, USER_MBEDTLS, make_tree

from nodemcu_tls_build.apply import apply_plan, make_plan
from nodemcu_tls_build.apply.header import keep_platform
from nodemcu_tls_build.process import run_capture
from nodemcu_tls_build.profile import list_macros
from nodemcu_tls_build.sources import SourceTree, find_source
from nodemcu_tls_build.toolchain import find_compiler

FLAGS = "-O2 -mlongcalls -mtext-section-literals -Wpointer-arith -Werror -std=gnu99"
USER_CONFIG_FILE = '-DMBEDTLS_USER_CONFIG_FILE="user_mbedtls.h"'
NEEDED = {  # by the tree's own connections
    *("MBEDTLS_ENTROPY_C", "MBEDTLS_PEM_PARSE_C", "MBEDTLS_PK_PARSE_C"),
    *("MBEDTLS_X509_CRT_PARSE_C", "MBEDTLS_BASE64_C", "MBEDTLS_CTR_DRBG_C"),
}
DERIVED = {  # by mbedTLS itself
    *("MBEDTLS_PK_PARSE_EC_COMPRESSED", "MBEDTLS_CONFIG_H"),
}
NOT_FOR_TREES = re.compile("HAVE_TIME|_ALT$|REMOVE_INFO")
NOT_IN_TREES = {"net_sockets.c", "timing.c"}


@pytest.fixture(scope="module", params=["2.16.3", "2.28.3", "3.6.6"])
def source(
    request: pytest.FixtureRequest,
    source_archives: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> SourceTree:
    archive = source_archives[f"mbedtls-{request.param}"]
    cache_dir = tmp_path_factory.mktemp("cache")
    return find_source(
        "mbedtls", request.param, archive_dir=archive.parent, cache_dir=cache_dir, report=print
    )


def make_real_tree(path: Path, source: SourceTree) -> Path:
    tree = make_tree(path, headers=source.path / "include/mbedtls")
    if (source.path / "include/psa").is_dir():
        (path / "app/include/psa").symlink_to(source.path / "include/psa")
    return tree


def compile_command(tree: Path, *args: object) -> list[str | Path]:
    compiler = find_compiler()
    specs = f"--specs={compiler.specs}"
    include = tree / "app/include"
    return [compiler.path, specs, *FLAGS.split(), "-I", include, *map(str, args)]


def list_defined(tree: Path, source_text: str, *args: str) -> set[str]:
    source = tree / "all.c"
    source.write_text(source_text)
    shown = run_capture(compile_command(tree, "-dM", "-E", *args, source))
    return set(re.findall(r"^#define (MBEDTLS_\w+)", shown, re.M))


def test_all_of_mbedtls_compiles_in_the_tree(source: SourceTree, tmp_path: Path) -> None:
    tree = make_real_tree(tmp_path / "tree", source)
    apply_plan(make_plan(tree, profile="default"))
    files = sorted(
        path for path in (source.path / "library").glob("*.c") if path.name not in NOT_IN_TREES
    )
    assert len(files) > 50
    # As NodeMCU's Makefile has it; mbedTLS 3.6 by itself has macros that are not defined.
    undefined = "-Wno-undef" if source.version.startswith("3.") else "-Wundef"
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(
            lambda path: run_capture(
                compile_command(tree, undefined, USER_CONFIG_FILE, "-fsyntax-only", path)
            ),
            files,
        ):
            pass


@pytest.mark.parametrize("first", ["user_mbedtls.h", "mbedtls/ssl.h"])
def test_nothing_is_on_that_nobody_asked_for(
    source: SourceTree, tmp_path: Path, first: str
) -> None:
    tree = make_real_tree(tmp_path / "tree", source)
    plan = make_plan(tree, profile="default")
    config = plan.tree.config
    apply_plan(plan)
    text = f'#include <stddef.h>\n#include "{first}"\n#include "mbedtls/version.h"\n'
    defined = list_defined(tree, text, USER_CONFIG_FILE)
    options = set(re.findall(r"^\s*(?://)?\s*#define (MBEDTLS_\w+)[ \t]*$", config, re.M))
    assert len(options) > 100
    wanted = {macro.name for section in list_macros(plan.profile) for macro in section.macros}
    kept = "\n".join(keep_platform(USER_MBEDTLS))
    wanted |= set(re.findall(r"#define (MBEDTLS_\w+)", kept)) | NEEDED | DERIVED
    assert defined & options <= wanted
    missing = {name for name in wanted - DERIVED if name.startswith("MBEDTLS_")} - defined
    assert [name for name in missing if not NOT_FOR_TREES.search(name)] == []


def test_the_platform_is_the_trees_own() -> None:
    kept = keep_platform(USER_MBEDTLS)
    assert kept[:3] == ["#include <stdint.h>", "#include <stddef.h>", '#include "user_config.h"']
    assert "#undef MBEDTLS_HAVE_TIME" in kept
    assert "extern void *mbedtls_calloc_wrap(size_t n, size_t sz);" in kept
    assert "#define MBEDTLS_PLATFORM_STD_CALLOC mbedtls_calloc_wrap" in kept
    assert not [line for line in kept if "DES_C" in line or "DEBUG_C" in line or "KEY_EX" in line]
    assert "#ifdef DEVELOP_VERSION" not in kept


def test_conditions_around_the_platform_stay() -> None:
    text = """\
#ifdef A
#define MBEDTLS_DES_C
#else
#if B // two
#define MBEDTLS_PLATFORM_STD_FREE \\
    my_free
#endif
#endif
#if 0
#define MBEDTLS_AES_C
#endif
"""
    kept = keep_platform(text)
    assert [" ".join(line.split()) for line in kept] == [
        *("#ifdef A", "#else", "#if B", "#define MBEDTLS_PLATFORM_STD_FREE my_free"),
        *("#endif", "#endif"),
    ]


def test_what_only_looks_like_a_comment_is_kept() -> None:
    text = """\
#define MY_URL "http://example.org/x" // where
#define MY_GLOB "/*" /* all of it */
#define MY_QUOTE '"'
#define MY_TEXT "\\"/* not" // "but this"
#include <my//odd.h>
#define MY_LONG "a\\
b" /* "
*/
#define MY_END ("*/")
/* #define MY_OLD
"""
    assert keep_platform(text) == [
        '#define MY_URL "http://example.org/x"',
        '#define MY_GLOB "/*"',
        "#define MY_QUOTE '\"'",
        '#define MY_TEXT "\\"/* not"',
        "#include <my//odd.h>",
        '#define MY_LONG "ab"',
        '#define MY_END ("*/")',
    ]


def test_bytes_that_are_no_text_are_kept(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    line = b'#define MY_NAME "caf\xe9 \xe2\x82\xac"\n'
    (tree / MBEDTLS).write_bytes(line + (tree / MBEDTLS).read_bytes())
    apply_plan(make_plan(tree, profile="default"))
    assert line in (tree / MBEDTLS).read_bytes()
    assert make_plan(tree, profile="default").is_empty
