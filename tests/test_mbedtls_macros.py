from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nodemcu_tls_build.process import run_capture
from nodemcu_tls_build.profile import Profile, list_macros, load_profile
from nodemcu_tls_build.render import render_user_mbedtls
from nodemcu_tls_build.sources import SourceTree, find_source
from nodemcu_tls_build.toolchain import Compiler, find_compiler

FLAGS = "-mlongcalls -mtext-section-literals -ffunction-sections -fdata-sections -std=gnu99"
OPTIMISE = {"size": "-Os", "speed": "-O2"}
WARNINGS = ("-Wall", "-Wextra", "-Werror")

VARIANTS = {
    "speed": """\
optimise.mbedtls = "speed"
crypto.aes_tables = "ram"
crypto.aes_fewer_tables = false
crypto.small_digests = false
crypto.small_camellia = false
crypto.mpi_window = 6
crypto.ecp_window = 6
crypto.ecp_fixed_point = true
crypto.nist_reduction = false
""",
    "all that TLS 1.2 has": """\
tls.key_exchanges = ["ECDHE-ECDSA", "ECDHE-RSA", "DHE-RSA", "RSA"]
tls.ciphers = ["AES", "CAMELLIA", "CHACHA20-POLY1305"]
tls.modes = ["GCM", "CBC", "CTR", "CFB", "CCM", "CCM_8"]
tls.curves = ["secp521r1", "brainpoolP512r1", "secp256r1"]
tls.alpn = ["h2", "http/1.1"]
tls.sni = false
tls.verify = true
tls.verify_dates = false
tls.max_fragment = "none"
""",
    "debugging": "mbedtls.debug = true\n",
    "ECDSA only": """\
tls.key_exchanges = ["ECDHE-ECDSA"]
tls.ciphers = ["AES"]
tls.modes = ["GCM"]
tls.digests = ["SHA-256"]
tls.signatures = ["ECDSA"]
tls.curves = ["secp256r1"]
""",
    "RSA without curves": """\
tls.key_exchanges = ["DHE-RSA"]
tls.modes = ["CBC"]
tls.digests = ["SHA-256", "SHA-512"]
tls.signatures = ["RSA"]
tls.curves = []
tls.in_buffer = 512
tls.out_buffer = "16KiB"
tls.max_fragment = 512
tls.resumption = false
""",
    "ECDSA above RSA": """\
tls.key_exchanges = ["DHE-RSA", "RSA"]
tls.signatures = ["ECDSA", "RSA"]
""",
}
# What mbedTLS 2.16 has not.
NEWER = {
    "buffers released": 'tls.idle_buffers = "release"\n',
    "buffers shrunk": 'tls.idle_buffers = "shrink"\ntls.max_fragment = 512\n',
    "x25519": 'tls.curves = ["x25519", "secp256r1"]\n',
}
TLS_1_3 = {
    "1.2 and 1.3": 'tls.versions = ["1.2", "1.3"]\ntls.keep_peer_certificate = true\n',
    "1.3 alone": """\
tls.versions = ["1.3"]
tls.max_fragment = "none"
tls.keep_peer_certificate = true
tls.curves = ["x25519", "secp256r1"]
tls.ciphers = ["AES", "CHACHA20-POLY1305"]
tls.signatures = ["ECDSA"]
tls.key_exchanges = ["ECDHE-ECDSA"]
tls.resumption = false
""",
}
ALL = (
    [("3.6.6", name) for name in (*VARIANTS, *NEWER, *TLS_1_3)]
    + [("2.28.3", name) for name in (*VARIANTS, *NEWER)]
    + [("2.16.3", name) for name in VARIANTS]
)


@pytest.fixture(scope="module", params=["3.6.6", "2.28.3", "2.16.3"])
def tree(
    request: pytest.FixtureRequest,
    source_archives: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> SourceTree:
    archive = source_archives[f"mbedtls-{request.param}"]
    cache_dir = tmp_path_factory.mktemp("cache")
    return find_source(
        "mbedtls", request.param, archive_dir=archive.parent, cache_dir=cache_dir, report=print
    )


@pytest.fixture(scope="module")
def compiler() -> Compiler:
    return find_compiler()


@pytest.fixture
def make_profile(tmp_path: Path, tree: SourceTree) -> Callable[[str], Profile]:
    """Return the default profile for the tree's mbedTLS with these lines added."""

    def make(lines: str) -> Profile:
        path = tmp_path / "variant.toml"
        kept = "tls.keep_peer_certificate = true\n" if tree.version == "2.16.3" else ""
        path.write_text(
            f'schema = 1\nname = "variant"\nmbedtls.version = "{tree.version}"\n{kept}{lines}'
        )
        return load_profile(str(path))

    return make


# Its ssl_tls.c declares two parameters as longer arrays than it defines them as, and has SHA-384
# written into 48 bytes by a function whose parameter is of the 64 bytes of SHA-512.
EXCUSED = {"2.16.3": ("-Wno-array-parameter", "-Wno-stringop-overflow")}


def list_names(profile: Profile) -> Iterator[str]:
    return (macro.name for section in list_macros(profile) for macro in section.macros)


def make_flags(compiler: Compiler, tree: SourceTree, header_dir: Path) -> list[str]:
    warnings = (*WARNINGS, *EXCUSED.get(tree.version, ()))
    own = [*FLAGS.split(), *warnings, '-DMBEDTLS_CONFIG_FILE="user_mbedtls.h"']
    paths = [f"--specs={compiler.specs}", f"-I{header_dir}", f"-I{tree.path / 'include'}"]
    return own + paths


def compile_files(
    compiler: Compiler, tree: SourceTree, profile: Profile, out_dir: Path, *options: str
) -> None:
    """Compile every file of the library with the profile's header, as the firmware does."""
    (out_dir / "user_mbedtls.h").write_text(render_user_mbedtls(profile, tree.path / "include"))
    fixed = [*make_flags(compiler, tree, out_dir), OPTIMISE[profile.optimise.mbedtls], *options]
    sources = sorted((tree.path / "library").glob("*.c"))
    assert len(sources) > 75

    def compile_one(source: Path) -> None:
        run_capture([compiler.path, *fixed, "-c", source, "-o", out_dir / f"{source.stem}.o"])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compile_one, sources))


def test_every_macro_is_one_that_the_release_has(
    tree: SourceTree, make_profile: Callable[[str], Profile]
) -> None:
    paths = [*(tree.path / "include" / "mbedtls").glob("*.h"), *tree.path.glob("library/*.[ch]")]
    known = set(re.findall(r"\bMBEDTLS_\w+", "\n".join(path.read_text() for path in paths)))
    for lines in ("", *VARIANTS.values()):
        names = list(list_names(make_profile(lines)))
        assert len(names) == len(set(names))
        assert {name for name in names if not name.startswith("NODEMCU_TLS_")} <= known


def test_every_macro_has_a_reason_of_one_line() -> None:
    for section in list_macros(load_profile("default")):
        assert section.macros
        for macro in section.macros:
            assert re.fullmatch(r"[^\n*]{3,90}", macro.reason), macro


def test_the_default_compiles_and_lacks_nothing(
    compiler: Compiler,
    tree: SourceTree,
    make_profile: Callable[[str], Profile],
    tmp_path: Path,
) -> None:
    compile_files(compiler, tree, make_profile(""), tmp_path)
    objects = sorted(tmp_path.glob("*.o"))
    whole = tmp_path / "whole.o"
    run_capture([f"{compiler.prefix}ld", "-r", "-o", whole, *objects])
    undefined = run_capture([f"{compiler.prefix}nm", "--undefined-only", whole]).split()
    missing = {name for name in undefined if name.startswith(("mbedtls_", "psa_"))}
    assert missing == {"mbedtls_platform_gmtime_r"}  # the firmware's
    assert not {"fopen", "open", "socket", "pthread_mutex_lock", "__muldi3"} & set(undefined)


@pytest.mark.parametrize("variant", {**VARIANTS, **NEWER, **TLS_1_3})
def test_other_profiles_compile(
    compiler: Compiler,
    tree: SourceTree,
    make_profile: Callable[[str], Profile],
    tmp_path: Path,
    variant: str,
) -> None:
    if (tree.version, variant) in ALL:
        lines = (VARIANTS | NEWER | TLS_1_3)[variant]
        compile_files(compiler, tree, make_profile(lines), tmp_path, "-fsyntax-only")


def test_what_the_firmware_reads(
    compiler: Compiler,
    tree: SourceTree,
    make_profile: Callable[[str], Profile],
    tmp_path: Path,
) -> None:
    """Check types, order and end of the list of curves, and the fragment's code, by compiling."""
    lines = 'tls.curves = ["secp384r1", "secp256r1"]\ntls.max_fragment = "1KiB"\n'
    (tmp_path / "user_mbedtls.h").write_text(
        render_user_mbedtls(make_profile(lines), tree.path / "include")
    )
    source = tmp_path / "reader.c"
    source.write_text("""\
#include <mbedtls/ssl.h>
#if MBEDTLS_VERSION_MAJOR >= 3
static const uint16_t groups[] = {NODEMCU_TLS_GROUPS};
#else
static const mbedtls_ecp_group_id groups[] = {NODEMCU_TLS_GROUPS};
#endif
int configure(mbedtls_ssl_config *config);
int configure(mbedtls_ssl_config *config)
{
    _Static_assert(NODEMCU_TLS_MAX_FRAGMENT == MBEDTLS_SSL_MAX_FRAG_LEN_1024, "code");
#if MBEDTLS_VERSION_MAJOR >= 3
    static const unsigned expected[] = {24, 23, 0}; /* numbers of the TLS registry */
    mbedtls_ssl_conf_groups(config, groups);
#else
    static const unsigned expected[] = {MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_SECP256R1, 0};
    mbedtls_ssl_conf_curves(config, groups);
#endif
    _Static_assert(sizeof(groups) / sizeof(*groups) == 3, "length");
    for (unsigned i = 0; i < 3; i++) {
        if (groups[i] != expected[i]) {
            extern int wrong_order(void);
            return wrong_order(); /* optimised away, or else the link would miss it */
        }
    }
    return mbedtls_ssl_conf_max_frag_len(config, NODEMCU_TLS_MAX_FRAGMENT);
}
""")
    flags = ["-O2", *make_flags(compiler, tree, tmp_path)]
    run_capture([compiler.path, *flags, "-c", source, "-o", tmp_path / "reader.o"])
    undefined = run_capture([f"{compiler.prefix}nm", "--undefined-only", tmp_path / "reader.o"])
    assert "wrong_order" not in undefined


def test_what_idle_buffers_resumption_and_debug_decide(tmp_path: Path) -> None:
    def names(lines: str) -> set[str]:
        path = tmp_path / "variant.toml"
        path.write_text(f'schema = 1\nname = "variant"\n{lines}')
        return set(list_names(load_profile(str(path))))

    default, variable = names(""), "MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH"
    assert names('tls.idle_buffers = "keep"\n') == default
    shrunk = names('tls.idle_buffers = "shrink"\ntls.in_buffer = "8KiB"\n')
    assert shrunk - default == {variable}
    released = names('tls.idle_buffers = "release"\n')
    assert released - default == {variable, "NODEMCU_TLS_RELEASE_BUFFERS"}
    assert default - names("tls.resumption = false\n") == {
        "MBEDTLS_SSL_SESSION_TICKETS",
        "NODEMCU_TLS_SESSIONS",
    }
    assert names("mbedtls.debug = true\n") - default == {"MBEDTLS_DEBUG_C"}


def test_what_2_28_builds_together() -> None:
    default = load_profile("default")

    def names(version: str, digests: tuple[str, ...]) -> set[str]:
        profile = default.model_copy(
            update={
                "mbedtls": default.mbedtls.model_copy(update={"version": version}),
                "tls": default.tls.model_copy(update={"digests": digests}),
            }
        )
        return {name for name in list_names(profile) if "SHA" in name and "SMALLER" not in name}

    sha_256, sha_384 = "MBEDTLS_SHA256_C", "MBEDTLS_SHA384_C"
    sha_512, without = "MBEDTLS_SHA512_C", "MBEDTLS_SHA512_NO_SHA384"
    assert names("2.28.3", ("SHA-256", "SHA-224", "SHA-384")) == {sha_256, sha_512}
    assert names("2.28.3", ("SHA-256", "SHA-512")) == {sha_256, sha_512, without}
    assert names("3.6.6", ("SHA-256", "SHA-384")) == {sha_256, sha_384}
    assert names("3.6.6", ("SHA-256", "SHA-512")) == {sha_256, sha_512}


def test_crypto_decides_on_tables_and_reduction() -> None:
    default = load_profile("default")
    off = ("aes_fewer_tables", "small_digests", "small_camellia", "nist_reduction")
    crypto = default.crypto.model_copy(update=dict.fromkeys(off, False) | {"aes_tables": "ram"})
    fast = set(list_names(default.model_copy(update={"crypto": crypto})))
    assert set(list_names(default)) - fast == {
        "MBEDTLS_AES_FEWER_TABLES",
        "MBEDTLS_AES_ROM_TABLES",
        "MBEDTLS_CAMELLIA_SMALL_MEMORY",
        "MBEDTLS_ECP_NIST_OPTIM",
        "MBEDTLS_SHA256_SMALLER",
        "MBEDTLS_SHA512_SMALLER",
    }
