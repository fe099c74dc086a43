"""Profiles that extend others, and settings of the command line: what is wrong, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile import list_presets, load_profile
from nodemcu_tls_build.profile.layers import read_layers

HEAD = 'schema = 1\nname = "{name}"\n'


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(HEAD.format(name=path.stem) + text)
    return path


def refuse(name: Path | str, *settings: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_profile(str(name), settings)
    return caught.value


def test_each_file_is_laid_over_what_it_extends(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "a.toml", 'extends = "ecdsa"\ntls.in_buffer = "8KiB"\n')
    write(tmp_path / "deep" / "b.toml", 'extends = "a.toml"\ntls.in_buffer = "6KiB"\n')
    path = write(tmp_path / "c.toml", 'extends = "deep/b.toml"\ntls.out_buffer = 1024\n')
    tls = load_profile(str(path)).tls
    assert (tls.in_buffer, tls.out_buffer) == (6144, 1024)
    assert tls.curves == load_profile("ecdsa").tls.curves
    assert tls.max_chain == load_profile("default").tls.max_chain
    labels = [layer.label for layer in read_layers(str(path))]
    files = [str(tmp_path / name) for name in ("deep/a.toml", "deep/b.toml", "c.toml")]
    assert labels == ["preset default", "preset ecdsa", *files]


def test_name_and_description_are_not_inherited(tmp_path: Path) -> None:
    path = write(tmp_path / "a.toml", 'extends = "ecdsa"\n')
    assert load_profile(str(path)).description == ""
    (tmp_path / "b.toml").write_text('extends = "a.toml"\n')
    problems = refuse(tmp_path / "b.toml").problems
    assert problems == tuple(f"{tmp_path}/b.toml: {key}: missing" for key in ("schema", "name"))


def test_a_file_is_found_from_the_file_that_extends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "base.toml", "tls.in_buffer = 8192\n")
    write(tmp_path / "below" / "base.toml", "tls.in_buffer = 6144\n")
    write(tmp_path / "below" / "a.toml", 'extends = "base.toml"\n')
    write(tmp_path / "below" / "up.toml", 'extends = "../base.toml"\n')
    monkeypatch.chdir(tmp_path)
    assert load_profile("below/a.toml").tls.in_buffer == 6144
    assert load_profile("below/up.toml").tls.in_buffer == 8192


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_circle(tmp_path: Path, length: int) -> None:
    paths = [
        write(tmp_path / f"{number}.toml", f'extends = "./{(number + 1) % length}.toml"\n')
        for number in range(length)
    ]
    error = refuse(paths[0])
    circle = " extends ".join(map(str, [*paths, paths[0]]))
    assert error.message == f"a profile extends itself: {circle}"
    assert error.hint == "Take one of the `extends` out."
    assert error.problems == tuple(
        f'{path}:3: extends: "./{(number + 1) % length}.toml"' for number, path in enumerate(paths)
    )


def test_a_circle_through_a_link(tmp_path: Path) -> None:
    path = write(tmp_path / "a.toml", 'extends = "link.toml"\n')
    (tmp_path / "link.toml").symlink_to(path)
    assert refuse(path).message.startswith("a profile extends itself: ")


def test_what_is_extended_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.toml", 'tls.sni = true\nextends = "b.toml"\n')
    error = refuse(path)
    assert error.message == f"profile {path} has one problem"
    assert error.problems == (f"{path}:4: extends: profile {tmp_path}/b.toml does not exist",)
    path = write(tmp_path / "a.toml", 'extends = "ecdas"\n')
    error = refuse(path)
    assert error.problems == (f'{path}:3: extends: there is no profile "ecdas"',)
    assert error.hint and error.hint.startswith('Did you mean "ecdsa"? ')
    path = write(tmp_path / "a.toml", 'extends = ""\n')
    assert refuse(path).problems == (f'{path}:3: extends: there is no profile ""',)
    path = write(tmp_path / "a.toml", "extends = 3\n")
    assert refuse(path).problems == (f"{path}:3: extends: must be a string, found 3",)


def test_a_problem_is_told_of_the_file_that_has_it(tmp_path: Path) -> None:
    base = write(tmp_path / "base.toml", "[tls]\nsni = 1\nin_buffer = 3\n")
    path = write(
        tmp_path / "a.toml", 'extends = "base.toml"\n[tls]\nin_buffer = "8KB"\ncurve = 1\n'
    )
    assert refuse(path).problems == (
        f"{base}:4: tls.sni: must be true or false, found 1",
        f'{path}:5: tls.in_buffer: a size is a number of bytes or a string such as "4KiB" or'
        ' "1MiB", found "8KB"',
        f'{path}:6: tls.curve: unknown key, found 1; did you mean "curves"?',
    )


def test_a_conflict_is_told_of_the_topmost_file_that_causes_it(tmp_path: Path) -> None:
    base = write(tmp_path / "base.toml", 'tls.key_exchanges = ["ECDHE-RSA"]\n')
    path = write(tmp_path / "a.toml", 'extends = "base.toml"\ntls.signatures = ["ECDSA"]\n')
    assert refuse(path).problems == (
        f'{base}:3: tls.key_exchanges: "ECDHE-RSA" needs "RSA" in tls.signatures',
    )
    path = write(tmp_path / "b.toml", 'tls.signatures = ["ECDSA"]\n')
    assert refuse(path).problems[0].startswith(f"{path}:3: tls.key_exchanges: ")


def test_an_extended_file_for_a_newer_version(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('schema = 2\nname = "base"\nnews = 1\n')
    error = refuse(write(tmp_path / "a.toml", 'extends = "base.toml"\ntls = 1\n'))
    assert error.message.startswith(f"profile {tmp_path}/base.toml is for a newer version")
    assert error.hint == "Update nodemcu-tls."


def test_an_extended_file_that_is_not_toml(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text("name = \n")
    error = refuse(write(tmp_path / "a.toml", 'extends = "base.toml"\n'))
    assert error.message == f"profile {tmp_path}/base.toml is not TOML"


def test_settings_of_the_command_line() -> None:
    settings = (
        *("tls.in_buffer=8KiB", "tls.max_fragment = none", "tls.sni=false", "crypto.mpi_window=3"),
        *("tls.curves=secp256r1, x25519", 'tls.alpn=["mqtt", "x"]', "mbedtls.version=2.28.3"),
        *("tls.versions=1.2", "name=other", 'optimise.lua="speed"', "tls.max_chain=1"),
        "tls.max_chain=2",
    )
    profile = load_profile("ecdsa", settings)
    tls = profile.tls
    assert (profile.name, profile.mbedtls.version) == ("other", "2.28.3")
    assert profile.optimise.lua == "speed"
    assert profile.crypto.mpi_window == 3
    assert (tls.in_buffer, tls.max_fragment, tls.sni, tls.max_chain) == (8192, "none", False, 2)
    assert (tls.curves, tls.alpn, tls.versions) == (
        ("secp256r1", "x25519"),
        ("mqtt", "x"),
        ("1.2",),
    )
    assert load_profile("default", ["tls.alpn="]).tls.alpn == ()


@pytest.mark.parametrize(
    "setting",
    ["tls.sni", "=1", "tls.=1", ".sni=1", "a.b.c=1", "", "extends=ecdsa", "tls..sni=1"],
)
def test_what_is_no_setting(setting: str) -> None:
    error = refuse("default", setting)
    assert error.message == f'--set "{setting}" is no setting'
    assert error.hint == "Give it as --set table.key=value, such as --set tls.in_buffer=8KiB."


def test_a_table_that_is_none_is_blamed_for_what_is_in_it() -> None:
    assert refuse("default", "tls=3", "tls.sessions=4").message == '--set "tls=3" is no setting'
    assert refuse("ecdsa", "tls.sessions=0").message == "the preset ecdsa has one problem"


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("tls.in_bufer=1", 'tls.in_bufer: unknown key, found 1; did you mean "in_buffer"?'),
        ("in_buffer=1", 'in_buffer: unknown key, found 1; did you mean "tls.in_buffer"?'),
        ("tls.in_buffer=20", "tls.in_buffer: must be at least 512 bytes, found 20"),
        ("tls.in_buffer=-1", "tls.in_buffer: must be at least 512 bytes, found -1"),
        ("tls.sni=maybe", 'tls.sni: must be true or false, found "maybe"'),
        ("tls.sni=true\ntls.verify=true", r'tls.sni: must be true or false, found "true\ntl'),
        ("crypto.mpi_window=" + "[" * 3000, "crypto.mpi_window: must be a whole number, found"),
        ("tls=3", "tls: must be a table, found 3"),
        ("tls.curves=secp256r1,,x25519", 'tls.curves[1]: "" is not one of '),
        ("schema=2", "schema: is for a newer version of nodemcu-tls: this one reads schema 1,"),
        ("tls.signatures=ECDSA,DSA", 'tls.signatures[1]: "DSA" is not one of '),
        ("tls.cipher_suites=TLS_RSA_WITH_RC4_128_SHA", "tls.cipher_suites[0]: no cipher suite"),
    ],
)
def test_wrong_settings(setting: str, problem: str) -> None:
    (found,) = refuse("default", setting).problems
    assert found.startswith(f"--set: {problem}")


def test_every_wrong_setting_is_told_beside_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.toml", "tls.verify = 3\ntls.sni = 3\n")
    assert refuse(path, "tls.sni=4", "tls.max_chain=99").problems == (
        f"{path}:3: tls.verify: must be true or false, found 3",
        "--set: tls.sni: must be true or false, found 4",
        "--set: tls.max_chain: must be at most 8, found 99",
    )


def test_a_conflict_between_a_file_and_the_command_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.toml", 'tls.in_buffer = "2KiB"\ntls.max_fragment = "2KiB"\n')
    (problem,) = refuse(path, "tls.in_buffer=1KiB").problems
    assert problem == (
        f"{path}:4: tls.max_fragment: asks for records of 2048 bytes, tls.in_buffer holds 1024"
    )


def test_every_preset_says_whom_it_is_for() -> None:
    for name in list_presets():
        assert load_profile(name).description
