from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from pydantic import ValidationError

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile import Profile, list_macros, list_presets, load_profile
from nodemcu_tls_build.profile.lines import find_key_lines, find_line
from nodemcu_tls_build.profile.model import Board, Crypto, Mbedtls, Optimise, Tls
from nodemcu_tls_build.profile.values import parse_size

HEAD = 'schema = 1\nname = "mine"\n'


def write(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def find_problems(tmp_path: Path, text: str) -> list[str]:
    """Return the problems of a profile that starts with HEAD, so that `text` starts in line 3."""
    path = write(tmp_path, HEAD + text)
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    assert caught.value.hint and "default.toml" in caught.value.hint
    assert all(problem.startswith(path) for problem in caught.value.problems)
    return [problem.removeprefix(path).lstrip(":") for problem in caught.value.problems]


def test_the_default_is_what_the_module_documents() -> None:
    assert load_profile("default").to_dict() == {
        "schema": 1,
        "name": "default",
        "description": "The documented defaults of the TLS module: TLS 1.2, fragments of 4 KiB.",
        "board": {
            "name": "virtual",
            "flash_size": 1048576,
            "flash_mode": "dio",
            "flash_frequency": "40MHz",
        },
        "mbedtls": {"version": "3.6.6", "debug": False},
        "optimise": dict.fromkeys(("mbedtls", "lwip", "lua", "firmware"), "size"),
        "crypto": {
            "aes_tables": "flash",
            "aes_fewer_tables": True,
            "small_digests": True,
            "small_camellia": True,
            "max_key_bits": 4096,
            "mpi_window": 2,
            "ecp_window": 2,
            "ecp_fixed_point": False,
            "nist_reduction": True,
        },
        "tls": {
            "versions": ["1.2"],
            "key_exchanges": ["ECDHE-ECDSA", "ECDHE-RSA", "DHE-RSA"],
            "ciphers": ["AES", "CAMELLIA"],
            "modes": ["GCM", "CBC", "CTR", "CFB"],
            "digests": ["SHA-256", "SHA-224", "SHA-384", "SHA-512", "SHA-1", "RIPEMD-160"],
            "signatures": ["ECDSA", "RSA", "RSA-PSS"],
            "curves": [
                "secp256r1",
                "secp384r1",
                "brainpoolP256r1",
                "brainpoolP384r1",
                "secp256k1",
            ],
            "cipher_suites": [],
            "in_buffer": 4096,
            "out_buffer": 4096,
            "max_fragment": 4096,
            "idle_buffers": "keep",
            "resumption": True,
            "sessions": 4,
            "alpn": [],
            "sni": True,
            "verify": False,
            "verify_dates": True,
            "keep_peer_certificate": False,
            "max_chain": 4,
            "heap_budget": 28672,
        },
    }


def test_every_preset_loads_under_its_own_name() -> None:
    assert "default" in list_presets()
    for name in list_presets():
        assert load_profile(name).name == name


def test_every_field_is_described() -> None:
    for table in (Profile, Board, Mbedtls, Optimise, Crypto, Tls):
        assert table.__doc__
        assert all(field.description for field in table.model_fields.values()), table


def test_a_file_states_what_differs_from_the_default(tmp_path: Path) -> None:
    profile = load_profile(write(tmp_path, f"{HEAD}[tls]\nout_buffer = '2KiB'\n"))
    assert profile.name == "mine"
    assert profile.description == ""
    assert profile.tls.out_buffer == 2048
    assert profile.tls.curves == load_profile("default").tls.curves
    assert profile.optimise.mbedtls == "size"


def test_a_profile_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_profile("default").tls.in_buffer = 1  # type: ignore[misc]


def test_the_digest_follows_the_settings_and_not_how_they_are_written(tmp_path: Path) -> None:
    digests = [
        load_profile(write(tmp_path, HEAD + text)).digest()
        for text in (
            '[tls]\nin_buffer = "8KiB"\nmax_fragment = 1024\n',
            "# a comment\ntls.max_fragment = '1KiB'\ntls.in_buffer = 8192\n",
            '[tls]\nin_buffer = "8KiB"\nmax_fragment = 2048\n',
        )
    ]
    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 64


@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_text_of_any_editor(tmp_path: Path, lead: bytes, end: bytes) -> None:
    path = write(tmp_path, lead + end.join([b"schema = 1", b'name = "mine"', b""]))
    assert load_profile(path).name == "mine"


@pytest.mark.parametrize(
    ("value", "size"),
    [(0, 0), (4096, 4096), ("4096", 4096), ("512B", 512), ("4KiB", 4096), ("1 MiB", 1048576)],
)
def test_sizes(value: object, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize(
    "value",
    ["4K", "4kb", "4KB", "-4KiB", "1.5KiB", "", "KiB", "4KiB\n", "9" * 13, 4096.0, True, []],
)
def test_meaningless_sizes(value: object) -> None:
    with pytest.raises(ValueError, match=r"a size is .* such as"):
        parse_size(value)


def test_every_problem_is_listed_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = """\
colour = "red"
in_buffer = 3
[board]
flash_size = "4MB"
[crypto]
max_key_bits = 1024
mpi_window = 7
[mbedtls]
optimize = "speed"
version = "3.6"
debug = 1
[tls]
versions = []
key_exchanges = [
    "ECDHE_RSA", # not the underscore
    "ECDHE-RSA",
]
ciphers = "AES"
modes = ["CTR"]
digests = ["SHA-256", "SHA-1", "SHA-1"]
curves = ["P-256", "bp384", 7]
in_buffer = "64KiB"
out_buffer = 100
max_fragment = 3000
idle_buffers = "released"
resumption = "yes"
"""
    curves = (
        '"secp256r1", "secp384r1", "secp521r1", "secp256k1", "brainpoolP256r1",'
        ' "brainpoolP384r1", "brainpoolP512r1", "x25519"'
    )
    exchanges = '"ECDHE-ECDSA", "ECDHE-RSA", "DHE-RSA", "RSA"'
    size = 'a size is a number of bytes or a string such as "4KiB" or "1MiB"'
    assert find_problems(tmp_path, text) == [
        '3: colour: unknown key, found "red"; '
        "known here: schema, name, description, extends, board, mbedtls, optimise, crypto, tls",
        '4: in_buffer: unknown key, found 3; did you mean "tls.in_buffer"?',
        f'6: board.flash_size: {size}, found "4MB"',
        "8: crypto.max_key_bits: 1024 is not one of 2048, 3072, 4096, 8192",
        "9: crypto.mpi_window: must be at most 6, found 7",
        '11: mbedtls.optimize: unknown key, found "speed"; did you mean "optimise"?',
        '12: mbedtls.version: "3.6" is not one of "3.6.6", "2.28.3", "2.16.3";'
        ' did you mean "3.6.6"?',
        "13: mbedtls.debug: must be true or false, found 1",
        "15: tls.versions: must name at least one, found []",
        f'17: tls.key_exchanges[0]: "ECDHE_RSA" is not one of {exchanges}; '
        'did you mean "ECDHE-RSA"?',
        '20: tls.ciphers: must be a list of strings, found "AES"',
        '21: tls.modes: no cipher suite of TLS 1.2 is left: TLS needs "GCM", "CCM", "CBC" or'
        ' "CCM_8" in tls.modes, or "CHACHA20-POLY1305" in tls.ciphers',
        '22: tls.digests: SHA-1: listed more than once, found ["SHA-256", "SHA-1", "SHA-1"]',
        f'23: tls.curves[0]: "P-256" is not one of {curves}; did you mean "secp256r1"?',
        f'23: tls.curves[1]: "bp384" is not one of {curves}; did you mean "brainpoolP384r1"?',
        f"23: tls.curves[2]: 7 is not one of {curves}",
        '24: tls.in_buffer: must be at most 16384 bytes, found "64KiB"',
        "25: tls.out_buffer: must be at least 512 bytes, found 100",
        '26: tls.max_fragment: 3000 is not one of 512, "1KiB", "2KiB", "4KiB", "none"',
        '27: tls.idle_buffers: "released" is not one of "keep", "shrink", "release"; '
        'did you mean "release"?',
        '28: tls.resumption: must be true or false, found "yes"',
    ]


def test_settings_that_do_not_go_together(tmp_path: Path) -> None:
    text = """\
tls.signatures = ["RSA"]
tls.curves = []
tls.modes = ["CTR", "CFB"]
tls.digests = ["SHA-1"]
tls.ciphers = ["CAMELLIA"]
tls.in_buffer = "1KiB"
"""
    assert find_problems(tmp_path, text) == [
        '3: tls.key_exchanges: "ECDHE-ECDSA" needs "ECDSA" in tls.signatures',
        '4: tls.key_exchanges: "ECDHE-ECDSA" needs a curve in tls.curves',
        '4: tls.key_exchanges: "ECDHE-RSA" needs a curve in tls.curves',
        '5: tls.modes: no cipher suite of TLS 1.2 is left: TLS needs "CCM", "CBC", "CCM_8" or "GCM"'
        ' in tls.modes, or "CHACHA20-POLY1305" in tls.ciphers',
        '6: tls.digests: TLS needs "SHA-256" for its handshake',
        '7: tls.ciphers: needs "AES": the random generator is made of it',
        "8: tls.max_fragment: asks for records of 4096 bytes, tls.in_buffer holds 1024",
    ]


def test_buffers_that_are_shrunk_have_something_to_lose(tmp_path: Path) -> None:
    (problem,) = find_problems(tmp_path, 'tls.idle_buffers = "shrink"\n')
    assert problem == (
        '3: tls.idle_buffers: "shrink" needs a tls.max_fragment below tls.in_buffer'
        " or tls.out_buffer"
    )
    for smaller in ('tls.max_fragment = "2KiB"', 'tls.in_buffer = "8KiB"'):
        text = f'{HEAD}tls.idle_buffers = "shrink"\n{smaller}\n'
        assert load_profile(write(tmp_path, text)).tls.idle_buffers == "shrink"


ONLY_1_3 = """\
tls.versions = ["1.3"]
tls.keep_peer_certificate = true
tls.max_fragment = "none"
tls.out_buffer = 512
"""


def test_a_send_buffer_holds_the_hello(tmp_path: Path) -> None:
    """With the key of TLS 1.3 and a session's ticket, whatever else is in it."""
    (problem,) = find_problems(tmp_path, ONLY_1_3)
    told = "with a host name of 64 and a ticket of 224"
    assert problem == f"6: tls.out_buffer: 512 bytes hold no ClientHello of 564, {told}"
    assert load_profile(write(tmp_path, f"{HEAD}{ONLY_1_3}tls.resumption = false\n"))
    assert load_profile(write(tmp_path, f"{HEAD}tls.out_buffer = 512\n"))


def test_a_signature_needs_its_curve_and_an_exchange_its_signature(tmp_path: Path) -> None:
    text = 'tls.key_exchanges = ["DHE-RSA"]\ntls.signatures = ["ECDSA"]\ntls.curves = []\n'
    assert find_problems(tmp_path, text) == [
        '3: tls.key_exchanges: "DHE-RSA" needs "RSA" in tls.signatures',
        '4: tls.signatures: "ECDSA" needs a curve in tls.curves',
    ]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "mbedtls.version = 2.28\n",
            [
                '3: mbedtls.version: 2.28 is not one of "3.6.6", "2.28.3", "2.16.3"; did you mean'
                ' "2.28.3"?'
            ],
        ),
        (
            'tls.max_fragment = "NONE"\n',
            [
                '3: tls.max_fragment: "NONE" is not one of 512, "1KiB", "2KiB", "4KiB", "none"; did'
                ' you mean "none"?'
            ],
        ),
        (
            'tls.cipher_suites = [\n  "TLS_RSA_WITH_AES_128_CCM",\n'
            '  "TLS_RSA_WITH_AES_128_CM",\n]\n'
            'tls.key_exchanges = ["RSA"]\ntls.modes = ["CCM"]\n',
            [
                "5: tls.cipher_suites[1]: no cipher suite that can be offered has this IANA name,"
                ' found "TLS_RSA_WITH_AES_128_CM"; did you mean "TLS_RSA_WITH_AES_128_CCM"?'
            ],
        ),
        (
            'tls.digests = ["SHA-256", "SHA384", "SHA-1", "SHA-1"]\n',
            [
                '3: tls.digests[1]: "SHA384" is not one of "SHA-256", "SHA-224", "SHA-384",'
                ' "SHA-512", "SHA-1", "RIPEMD-160"; did you mean "SHA-384"?',
                '3: tls.digests: SHA-1: listed more than once, found ["SHA-256", "SHA384", "SHA-1",'
                ' "SHA-1"]',
            ],
        ),
    ],
    ids=["a number", "none", "a suite", "twice"],
)
def test_what_was_meant(tmp_path: Path, text: str, problems: list[str]) -> None:
    assert find_problems(tmp_path, text) == problems


def test_tls_1_3_alone_asks_nothing_of_the_key_exchanges_of_1_2(tmp_path: Path) -> None:
    """It has one of its own; the default's are not all for ECDSA."""
    lines = ONLY_1_3.replace("512", "1024") + 'tls.signatures = ["ECDSA"]\n'
    profile = load_profile(write(tmp_path, HEAD + lines))
    assert "ECDHE-RSA" in profile.tls.key_exchanges
    names = {macro.name for section in list_macros(profile) for macro in section.macros}
    assert "MBEDTLS_DHM_C" not in names
    assert "MBEDTLS_ECDH_C" in names


def test_what_is_wrong_in_itself_causes_no_conflict(tmp_path: Path) -> None:
    (problem,) = find_problems(tmp_path, 'tls.signatures = ["DSA"]\n')
    assert problem.startswith('3: tls.signatures[0]: "DSA" is not one of')


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tls = 3\n", "3: tls: must be a table, found 3"),
        (
            "tls.curves = 2026-01-01\n",
            '3: tls.curves: must be a list of strings, found "2026-01-01"',
        ),
        (
            'board.flash_size = "2MiB"\n',
            '3: board.flash_size: "2MiB" is not one of "512KiB", "1MiB"',
        ),
        (
            'crypto.max_key_bits = "4096"\n',
            '3: crypto.max_key_bits: "4096" is not one of 2048, 3072, 4096, 8192; a number has no'
            " quotes",
        ),
        ("description = 1\n", "3: description: must be a string, found 1"),
        ('"\\u001b[2J" = 1\n', ' "\\u001b[2J": unknown key, found 1; known here: '),
    ],
)
def test_the_wrong_kind_of_value(tmp_path: Path, text: str, problem: str) -> None:
    path = write(tmp_path, HEAD + text)
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    assert caught.value.problems[0].startswith(f"{path}:{problem}")


@pytest.mark.parametrize("name", ['""', '"a b"', '"*/"', '"-x"', f'"{"x" * 49}"', '"a\\n"'])
def test_a_name_is_fit_for_a_comment_and_a_file(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, f"schema = 1\nname = {name}\n")
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    assert caught.value.problems == (
        f"{path}:2: name: must be up to 48 letters, digits, dots, dashes and underscores,"
        f" found {name}",
    )


def test_what_every_file_has_to_say(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    with pytest.raises(ConfigError, match="has 2 problems") as caught:
        load_profile(path)
    assert caught.value.problems == (f"{path}: schema: missing", f"{path}: name: missing")


@pytest.mark.parametrize("schema", ["0", "true", "1.0", '"1"'])
def test_a_schema_that_never_was(tmp_path: Path, schema: str) -> None:
    path = write(tmp_path, f'schema = {schema}\nname = "mine"\n')
    with pytest.raises(ConfigError, match="has one problem") as caught:
        load_profile(path)
    assert caught.value.problems == (f"{path}:1: schema: must be 1, found {schema}",)


def test_a_newer_schema_is_the_only_thing_said(tmp_path: Path) -> None:
    path = write(tmp_path, 'schema = 2\nname = "mine"\nquantum = true\n')
    with pytest.raises(ConfigError, match="for a newer version of nodemcu-tls") as caught:
        load_profile(path)
    assert caught.value.hint == "Update nodemcu-tls."
    assert caught.value.problems == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = \n", "line 1, column 8"),
        ("a = 1\na = 2\n", "line 2"),
        ("\0", "line 1"),
        (f"a = {'[' * 5000}", "nested too deep"),
        (f"a = {'9' * 5000}", "digits"),
    ],
    ids=["syntax", "key twice", "NUL", "nesting", "number"],
)
def test_what_is_not_toml(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match="is not TOML") as caught:
        load_profile(path)
    assert reason in caught.value.problems[0]


@pytest.mark.parametrize("data", [b'schema = 1\nname = "\xff"\n', "a\n".encode("utf-16")])
def test_what_is_not_utf8(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ConfigError, match=r"is not UTF-8: line \d has the byte 0xff") as caught:
        load_profile(write(tmp_path, data))
    assert caught.value.hint == "Save the file as UTF-8."


def test_files_that_cannot_be_read(
    tmp_path: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    with pytest.raises(ConfigError, match="does not exist") as caught:
        load_profile(str(tmp_path / "absent.toml"))
    assert caught.value.hint and "default" in caught.value.hint
    with pytest.raises(ConfigError, match="is not a file"):
        load_profile(f"{tmp_path}/")
    with pytest.raises(ConfigError, match="is not a file") as caught:
        load_profile("/dev/zero")
    assert str(caught.value.hint).startswith("Give a regular file: ")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_profile("a\0.toml")
    with pytest.raises(ConfigError, match="larger than"):
        load_profile(write(tmp_path, "#" * 300_000))
    path = write(tmp_path, HEAD)
    Path(path).chmod(0)
    tmp_path.chmod(0o755)
    with unprivileged(), pytest.raises(ConfigError, match="cannot be read"):
        load_profile(path)


def test_an_unknown_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match='there is no profile "defualt"') as caught:
        load_profile("defualt")
    presets = ", ".join(list_presets())
    assert caught.value.hint == f'Did you mean "default"? The presets are: {presets}.'
    monkeypatch.chdir(tmp_path)
    Path("mine").write_text(HEAD)
    with pytest.raises(ConfigError) as caught:
        load_profile("mine")
    assert caught.value.hint and caught.value.hint.endswith(
        "For the file of that name give ./mine."
    )
    assert load_profile(f".{os.sep}mine").name == "mine"


def test_lines_of_keys() -> None:
    text = '''\
top = """
not = "a key"
[not.a.table]
"""
a.b = 1 # a = "comment"
[ "x" . y ]
list = [
  "k = 1", [ # ]
  ], # ]
  { z = 1 },
]
"quoted key" = 2
s = \'\'\'x = 1\'\'\'
after = "\\"["
[[array]]
k = { deep = 1 }
'''
    lines = find_key_lines(text)
    assert lines == {
        ("top",): 1,
        ("a", "b"): 5,
        ("x", "y"): 6,
        ("x", "y", "list"): 7,
        ("x", "y", "list", "0"): 8,
        ("x", "y", "list", "1"): 8,
        ("x", "y", "list", "2"): 10,
        ("x", "y", "quoted key"): 12,
        ("x", "y", "s"): 13,
        ("x", "y", "after"): 14,
        ("array",): 15,
        ("array", "k"): 16,
    }
    assert find_line(lines, ("array", "k", "deep")) == 16
    assert find_line(lines, ("x",)) is None
