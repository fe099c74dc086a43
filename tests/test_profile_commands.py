"""`nodemcu-tls profile`: what it says to people and to programs."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nodemcu_tls_build.cli import cli
from nodemcu_tls_build.profile import list_macros, list_presets, load_profile
from nodemcu_tls_build.profile.offer import describe_offer
from nodemcu_tls_build.profile.settings import list_setting_keys
from nodemcu_tls_build.profile.suites import list_suites

WRONG = 'schema = 1\nname = "wrong"\n[tls]\nin_bufer = 1\nout_buffer = "4kb"\nsni = 3\n'


def run(*args: str, answers: str | None = None, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["profile", *args], input=answers)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def read(*args: str, code: int = 0) -> Any:
    """Return the JSON that a command prints, which must be all that it prints."""
    result = run(*args, "--json", code=code)
    assert result.stderr == ""
    return json.loads(result.stdout)


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.toml"
    path.write_text(WRONG)
    return path


def test_list() -> None:
    found = read("list")
    assert [entry["name"] for entry in found] == list_presets()
    for entry in found:
        profile = load_profile(entry["name"])
        assert entry["sha256"] == profile.digest()
        assert entry["cipher_suites"] == len(list_suites(profile.tls))
        assert entry["cost"]["measured"], "run `make costs`"
    shown = run("list").stdout
    rows = shown.partition("\n\n")[0].splitlines()[1:]
    assert [row.split()[0] for row in rows] == list_presets()
    for entry in found:
        assert f"\n{entry['name']}\n  {entry['description'][:30]}" in shown
        assert f" {entry['cost']['flash']:,} " in shown


@pytest.mark.parametrize("name", list_presets())
def test_no_line_is_wider_than_a_terminal_and_none_is_coloured(name: str) -> None:
    for args in (["list"], ["show", name], ["explain", name], ["diff", "default", name]):
        shown = run(*args).stdout
        assert [line for line in shown.splitlines() if len(line) > 79] == []
        assert "\x1b" not in shown
        assert not any(line != line.rstrip() for line in shown.splitlines())


def test_show_is_the_offer() -> None:
    profile = load_profile("public", ["tls.alpn=mqtt"])
    found = read("show", "public", "--set", "tls.alpn=mqtt")
    assert found["profile"] == profile.to_dict() | {"sha256": profile.digest()}
    assert found["offer"] == describe_offer(profile).to_dict()
    shown = run("show", "public", "--set", "tls.alpn=mqtt").stdout
    offer = describe_offer(profile)
    names = [
        *(suite.name for suite in offer.suites),
        *(group.name for group in offer.groups),
        *(algorithm.name for algorithm in offer.signature_algorithms),
        *sorted(offer.extensions),
    ]
    places = [shown.index(f"{name}") for name in names]
    assert places == sorted(places)
    assert "\nALPN           mqtt\n" in shown
    assert "\nRecords        16 KiB in, " in shown
    assert profile.digest() in shown


def test_check(wrong: Path) -> None:
    assert run("check", "tiny").stdout.startswith("profile tiny is right: 1 cipher suite, ")
    found = read("check", "tiny")
    assert found["macros"] == sum(len(part.macros) for part in list_macros(load_profile("tiny")))
    assert found["problems"] == []

    result = run("check", str(wrong), "--set", "tls.max_chain=9", code=1)
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: profile {wrong} has 4 problems\n  - {wrong}:4: ")
    assert "  - --set: tls.max_chain: must be at most 8, found 9\nHint: " in result.stderr
    error = read("check", str(wrong), code=1)["error"]
    assert error["problems"] == [
        f'{wrong}:4: tls.in_bufer: unknown key, found 1; did you mean "in_buffer"?',
        f'{wrong}:5: tls.out_buffer: a size is a number of bytes or a string such as "4KiB" or'
        ' "1MiB", found "4kb"',
        f"{wrong}:6: tls.sni: must be true or false, found 3",
    ]
    for args in (["show"], ["explain"], ["diff", "default"]):
        assert read(*args, str(wrong), code=1)["error"]["problems"] == error["problems"]


def test_explain_has_every_setting_and_every_macro_that_one_sets() -> None:
    for name in list_presets():
        profile = load_profile(name)
        found = read("explain", name)
        assert [item["key"] for item in found["settings"]] == list_setting_keys()
        assert found["cipher_suites"] == [suite.name for suite in list_suites(profile.tls)]
        wanted = [
            (macro.key, macro.name, macro.value, macro.reason)
            for section in list_macros(profile)
            for macro in section.macros
            if macro.key is not None
        ]
        explained = [
            (item["key"], macro["name"], macro["value"], macro["reason"])
            for item in found["settings"]
            for macro in item["macros"]
        ]
        assert sorted(explained, key=str) == sorted(wanted, key=str)
        for item in found["settings"]:
            assert item["text"]
            assert item["macros"] or item["effect"]
            is_list = isinstance(item["value"], list)
            assert item["costs"] or item["unmeasured"] or is_list, item["key"]
            table, key = item["key"].split(".")
            assert item["value"] == profile.to_dict()[table][key]


def test_explain_says_who_says_so(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(
        'schema = 1\nname = "base"\nextends = "ecdsa"\ntls.sni = false\n[crypto]\nmpi_window = 1\n'
    )
    path = tmp_path / "a.toml"
    path.write_text('schema = 1\nname = "a"\nextends = "base.toml"\ntls.max_chain = 1\n')
    found = read("explain", str(path), "--set", "tls.verify=true")
    origins = {item["key"]: item["origin"] for item in found["settings"]}
    assert origins["tls.verify"] == "--set"
    assert origins["tls.max_chain"] == f"{path}:4"
    assert origins["tls.sni"] == f"{tmp_path}/base.toml:4"
    assert origins["crypto.mpi_window"] == f"{tmp_path}/base.toml:6"
    assert origins["tls.curves"] == "preset ecdsa"
    assert origins["board.name"] == "preset default"


def test_explain_one_setting() -> None:
    shown = run("explain", "default", "tls.key_exchanges").stdout
    assert shown.startswith('tls.key_exchanges = ["ECDHE-ECDSA", "ECDHE-RSA", "DHE-RSA"]\n')
    assert "\nMBEDTLS_KEY_EXCHANGE_DHE_RSA_ENABLED" in shown
    assert "\nwithout DHE-RSA" in shown
    assert re.search(r"\nTLS_DHE_RSA_WITH_AES_256_GCM_SHA384 +DHE-RSA\n", shown)
    assert "MBEDTLS_AES_C" not in shown
    assert "\ntls." not in shown


def test_explain_a_table_of_settings() -> None:
    keys = [item["key"] for item in read("explain", "default", "crypto")["settings"]]
    assert keys == [key for key in list_setting_keys() if key.startswith("crypto.")]


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("tls.in_bufer", "tls.in_buffer"),
        ("tlss", "tls"),
        ("in_buffer", "tls.in_buffer"),
        ("crypto.aes_table", "crypto.aes_tables"),
    ],
)
def test_explain_what_there_is_not(key: str, nearest: str) -> None:
    error = read("explain", "default", key, code=1)["error"]
    assert error["message"] == f"there is no setting {key}"
    assert error["hint"].startswith(f"Did you mean {nearest}? ")


def test_diff() -> None:
    found = read("diff", "default", "ecdsa")
    assert found["profiles"] == ["default", "ecdsa"]
    assert found["settings"]["tls.modes"] == [["GCM", "CBC", "CTR", "CFB"], ["GCM"]]
    assert "tls.in_buffer" not in found["settings"]
    assert found["macros"]["MBEDTLS_CAMELLIA_C"] == ["", None]
    assert found["macros"]["MBEDTLS_SSL_OUT_CONTENT_LEN"] == ["4096", "2048"]
    assert "MBEDTLS_AES_C" not in found["macros"]
    suites = [len(list_suites(load_profile(name).tls)) for name in found["profiles"]]
    assert [len(names) for names in found["suites"]] == suites
    assert found["costs"][0]["flash"] > found["costs"][1]["flash"]
    shown = run("diff", "default", "ecdsa").stdout
    saved = found["costs"][1]["flash"] - found["costs"][0]["flash"]
    assert f"\ndifference          {saved:,} " in shown
    assert re.search(r"\nMBEDTLS_CAMELLIA_C +set +not set\n", shown)
    assert "\nTLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256       17       2\n" in shown


def test_diff_of_the_same() -> None:
    shown = run("diff", "ecdsa", "ecdsa").stdout
    assert shown.startswith("Setting: no difference\n\nMacro: no difference\n\n")
    found = read("diff", "ecdsa", "ecdsa", "--set", "tls.sni=false")
    assert found["settings"] == {"tls.sni": [True, False]}


def test_diff_tells_the_two_apart_and_every_member() -> None:
    other = "tls.curves=secp384r1,secp256r1,brainpoolP256r1,brainpoolP384r1,secp256k1"
    shown = run("diff", "default", "default", "--set", other).stdout
    assert re.match(r"Setting +default +default --set\n", shown)
    assert re.search(r"\nNODEMCU_TLS_GROUPS  SECP256R1, SECP384R1, +SECP384R1, SECP256R1,\n", shown)
    assert "\nCipher suite, place: no difference\n" in shown
    named = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    shown = run("diff", "default", "tiny").stdout
    assert f'\ntls.cipher_suites\n  default: []\n  tiny: ["{named}"]\n' in shown
    assert "members" not in shown


def test_explain_lists_changes_that_the_profile_could_make() -> None:
    changes = {
        name: [
            cost["value"]
            for cost in read("explain", name, "tls.key_exchanges")["settings"][0]["costs"]
        ]
        for name in ("default", "ecdsa")
    }
    assert ["ECDHE-ECDSA", "DHE-RSA"] in changes["default"]
    assert ["ECDHE-ECDSA", "DHE-RSA"] not in changes["ecdsa"]
    assert ["ECDHE-ECDSA"] in changes["ecdsa"]
    shown = run("explain", "default", "tls.curves").stdout
    assert re.search(r"\nsecp384r1 first +\+0 .* \+7\d\.\d M\n", shown)
    assert not re.search(r"[+-]0\.0 M", run("explain", "default", "tls").stdout)


def test_every_macro_has_a_reason_that_is_more_than_its_key() -> None:
    for name in list_presets():
        for section in list_macros(load_profile(name)):
            for macro in section.macros:
                assert " " in macro.reason, macro
                assert macro.reason not in {macro.key, f"{macro.key}: {macro.choice}"}


ANSWERS = "mine\npublic\necdsa\n8KiB\nmqtt,http/1.1\nno\n512KiB\n"


def test_init_writes_what_was_answered(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    shown = run("init", str(path), answers=ANSWERS).stdout
    assert shown.splitlines()[-2:] == [
        f"Wrote {path}: build it with `nodemcu-tls build --profile {path}`.",
        f"For your editor: nodemcu-tls profile schema > {tmp_path}/nodemcu-tls.schema.json",
    ]
    run("check", str(path))
    profile = load_profile(str(path))
    assert (profile.name, profile.extends) == ("mine", "public")
    assert profile.tls.key_exchanges == ("ECDHE-ECDSA",)
    assert profile.tls.signatures == ("ECDSA",)
    assert (profile.tls.in_buffer, profile.tls.alpn) == (8192, ("mqtt", "http/1.1"))
    assert (profile.tls.verify, profile.board.flash_size) == (False, 524288)
    text = path.read_text()
    assert text.startswith("#:schema ./nodemcu-tls.schema.json\n")
    assert all(len(line) < 80 for line in text.splitlines())
    for key in list_setting_keys():
        assert f"\n{key.split('.')[1]} = " in text or f"\n#{key.split('.')[1]} = " in text


def test_what_init_leaves_as_comments_is_what_holds(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    for preset in list_presets():
        run("init", str(path), "--force", answers=f"x\n{preset}\n\n\n\n\n\n")
        inherited = load_profile(str(path))
        assert set(tomllib.loads(path.read_text())) - {"board", "mbedtls", "optimise"} == {
            *("schema", "name", "description", "extends", "crypto", "tls")
        }
        lines = path.read_text().splitlines()[3:]
        path.write_text("\n".join(re.sub("^#(?! [^ ])", "", line) for line in lines))
        assert load_profile(str(path)) == inherited
        settings = {"name", "description"}
        wanted = load_profile(preset).to_dict()
        assert {k: v for k, v in inherited.to_dict().items() if k not in settings} == {
            k: v for k, v in wanted.items() if k not in settings
        }


def test_init_asks_again(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    answers = "a b\nmine\nnone\ntiny\ndsa\nrsa\n4KB\n100\n1KiB\nno\nmaybe\nyes\n2MiB\n1MiB\n"
    result = run("init", str(path), answers=answers)
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert [error.removeprefix("Error: ").split(",")[0] for error in errors] == [
        "a name is up to 48 letters",
        '"none" is none of debug',
        '"dsa" is none of ecdsa',
        'a size is a number of bytes or a string such as "4KiB" or "1MiB"',
        "--set: tls.in_buffer: must be at least 512 bytes",
        '"maybe" is neither yes nor no',
        '--set: board.flash_size: "2MiB" is not one of "512KiB"',
    ]
    profile = load_profile(str(path))
    assert profile.tls.key_exchanges == ("ECDHE-RSA",)
    assert (profile.tls.in_buffer, profile.tls.max_fragment) == (1024, 1024)
    assert profile.tls.alpn == ("no",)


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text("mine")
    result = run("init", str(path), answers=ANSWERS, code=1)
    assert result.stderr.startswith(f"Error: {path} exists\nHint: Overwrite it with --force")
    assert path.read_text() == "mine"
    run("init", "--force", str(path), answers="mine\n", code=1)  # the answers end
    assert path.read_text() == "mine"
    run("init", "--force", str(path), answers=ANSWERS)
    assert path.read_text() != "mine"


def test_init_names_a_file_that_is_no_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for given, told in (
        ("default", "./default"),
        ("my prof;x.toml", "'my prof;x.toml'"),
        (f"{tmp_path}/plain", f"{tmp_path}/plain"),
    ):
        shown = run("init", given, answers=f"mine{ANSWERS[4:]}").stdout
        assert f"build it with `nodemcu-tls build --profile {told}`.\n" in shown
        (argument,) = shlex.split(told)
        assert read("check", argument)["name"] == "mine"


def test_init_gives_a_handshake_the_heap_that_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    shown = run("init", str(path), answers="mine\necdsa\nboth\n16KiB\n\n\n\n").stdout
    budget = load_profile(str(path)).tls.heap_budget
    assert f"tls.heap_budget={budget // 1024}KiB." in shown
    assert budget > load_profile("ecdsa").tls.heap_budget
    run("check", str(path))


def test_init_without_answers(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    result = run("init", str(path), answers="mine\n", code=1)
    assert result.stdout.endswith(" [default]: \n")
    assert result.stderr == (
        "Error: the answers ended before the last question: nothing is written\n"
        "Hint: Answer on a terminal, or give a line for each question.\n"
    )
    assert not path.exists()


@pytest.mark.parametrize("names", ["ümlaut", '[""]', '["a b"]', '["a\\\\b"]', "x" * 256])
def test_protocol_names_that_cannot_be_offered(names: str) -> None:
    (problem,) = read("check", "default", "--set", f"tls.alpn={names}", code=1)["error"]["problems"]
    assert problem.startswith(
        "--set: tls.alpn[0]: a protocol name is 1 to 255 printable ASCII characters (RFC 7301),"
        " here without blanks, quotes and backslashes, found "
    )


def test_the_extensions_are_those_of_a_first_handshake() -> None:
    both = ("--set", 'tls.versions=["1.2","1.3"]', "--set", "tls.keep_peer_certificate=true")
    note = "one that resumes a session of TLS 1.3 has others"
    assert note in run("show", "default", *both).stdout
    assert note not in run("show", "default").stdout
    assert note not in run("show", "default", *both, "--set", "tls.resumption=false").stdout
