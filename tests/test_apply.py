"""What an apply puts into a tree, and which trees it refuses."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from nodemcu_tree import (
    CA_HEADER,
    CONFIG,
    LOADER,
    MBEDTLS,
    MODULES,
    OLD_MAKEFILE,
    USER_CONFIG,
    USER_MODULES,
    list_actions,
    make_tree,
    read_tree,
    run_apply,
)
from pki import make_authority, make_pem

from nodemcu_tls_build.cli import cli
from nodemcu_tls_build.profile import list_presets, load_profile


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree")


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authorities = (make_authority("ecdsa", f"CA {n}") for n in range(2))
    path.write_bytes(make_pem(*(authority.certificate for authority in authorities)))
    return path


def test_all_of_it(tree: Path, ca: Path) -> None:
    run_apply(tree, "--ca", ca, "--set", "tls.in_buffer=8KiB")
    assert (tree / CONFIG).read_text() == USER_CONFIG.replace(
        "//#define CLIENT_SSL", "#define CLIENT_SSL"
    ).replace("SIZE 5120", "SIZE 8192")
    assert (tree / MODULES).read_text() == USER_MODULES.replace(
        "//#define LUA_USE_MODULES_TLS", "#define LUA_USE_MODULES_TLS"
    )
    header = (tree / MBEDTLS).read_text()
    assert 'mbedTLS 2.16.3 for the profile "default"' in header
    assert "#define MBEDTLS_SSL_IN_CONTENT_LEN 8192\n" in header
    assert "mbedtls_calloc_wrap" in header
    assert (tree / "server-ca.crt").read_bytes() == ca.read_bytes()
    assert "CN=CA 1" in (tree / CA_HEADER).read_text()


def test_the_second_time_nothing_is_written(tree: Path, ca: Path) -> None:
    run_apply(tree, "--ca", ca)
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    result = run_apply(tree, "--json")
    assert set(list_actions(result).values()) == {"unchanged"}
    assert json.loads(result.stdout)["changed"] is False
    assert "Nothing to do" in run_apply(tree).stdout
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before


def test_a_dry_run_writes_nothing_and_shows_all(tree: Path, ca: Path) -> None:
    before = sorted(path.as_posix() for path in tree.rglob("*"))
    contents = read_tree(tree)
    shown = run_apply(tree, "--ca", ca, "--dry-run").stdout
    assert sorted(path.as_posix() for path in tree.rglob("*")) == before
    assert read_tree(tree) == contents
    for line in (
        f"--- a/{CONFIG}",
        "-//#define CLIENT_SSL_ENABLE",
        "+#define LUA_USE_MODULES_TLS",
        "--- /dev/null",
        f"+++ b/{CA_HEADER}",
        "nothing was written",
    ):
        assert line in shown
    assert "0xff, 0xff" not in shown
    assert "\x1b" not in shown
    result = CliRunner().invoke(cli, ["apply", str(tree), "--dry-run"], color=True)
    assert "\x1b[32m+#define LUA_USE_MODULES_TLS\x1b[0m" in result.stdout


def test_json(tree: Path, ca: Path) -> None:
    result = run_apply(tree, "--ca", ca, "--json")
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert report["mbedtls"] == {"found": "2.16.3", "profiled_as": "2.16.3"}
    assert report["ca"] == ["CN=CA 0", "CN=CA 1"]
    assert list_actions(result) == {
        "server-ca.crt": "created",
        CA_HEADER: "created",
        CONFIG: "changed",
        MODULES: "changed",
        MBEDTLS: "changed",
    }
    failed = json.loads(run_apply(tree / "nowhere", "--json", code=1).stdout)
    assert failed["error"]["kind"] == "TreeError"


def test_its_make_takes_the_header_without_python_2(tree: Path, ca: Path) -> None:
    run_apply(tree, "--ca", ca)
    header = (tree / CA_HEADER).read_bytes()
    shown = subprocess.run(["make", "-C", tree], check=True, capture_output=True, text=True).stdout
    assert "built with: HAVE_SSL_SERVER_CRT" in shown
    assert (tree / CA_HEADER).read_bytes() == header
    later = (tree / CA_HEADER).stat().st_mtime + 100
    os.utime(tree / "server-ca.crt", (later, later))
    assert subprocess.run(["make", "-C", tree], check=False, capture_output=True).returncode
    (tree / CA_HEADER).write_bytes(header)  # what make cut off
    os.utime(tree / "server-ca.crt", (later, later))
    assert "made newer" in run_apply(tree).stdout
    subprocess.run(["make", "-C", tree], check=True, capture_output=True)


def test_an_older_makefile_makes_the_header_anew(tree: Path, ca: Path) -> None:
    assert "in every build" not in run_apply(tree, "--ca", ca).stdout
    (tree / "Makefile").write_text(OLD_MAKEFILE)
    assert "server-ca.crt.h anew in every build" in run_apply(tree, "--ca", ca, "--dry-run").stdout
    assert (tree / CA_HEADER).stat().st_size > 0
    subprocess.run(["make", "-C", tree], check=False, capture_output=True)
    assert (tree / CA_HEADER).stat().st_size == 0  # which is what the note warns of
    (tree / "server-ca.crt").unlink()
    assert "in every build" not in run_apply(tree, "--dry-run").stdout


def test_the_trees_own_ca_is_taken(tree: Path, ca: Path) -> None:
    (tree / "server-ca.crt").write_bytes(ca.read_bytes())
    (tree / CA_HEADER).write_text("")  # Python 3 left it so
    before = read_tree(tree)
    actions = list_actions(run_apply(tree, "--json"))
    assert actions["server-ca.crt"] == "unchanged"
    assert actions[CA_HEADER] == "changed"
    run_apply(tree, "--revert")
    assert read_tree(tree) == before


def test_make_compiles_anew_when_a_ca_comes(tree: Path, ca: Path) -> None:
    run_apply(tree)
    os.utime(tree / MBEDTLS, (1, 1))
    assert f"{MBEDTLS}: made newer" in run_apply(tree, "--ca", ca).stdout
    assert (tree / MBEDTLS).stat().st_mtime > 1


def test_several_certificates_where_one_record_is_read(tree: Path, ca: Path) -> None:
    loader = tree / "app/mbedtls/app/espconn_mbedtls.c"
    loader.parent.mkdir(parents=True)
    loader.write_text(LOADER)
    assert "as text" in run_apply(tree, "--ca", ca).stdout
    values = (tree / CA_HEADER).read_text().partition("= {")[2].partition("}")[0].split(",")
    area = bytes(int(value, 16) for value in values if value.strip())
    assert len(area) == 4096
    assert area.count(b"-----BEGIN CERTIFICATE-----") == 2
    assert area.startswith(b"certificate\0")


@pytest.mark.parametrize("value", ["2KiB", "none"])
def test_the_length_that_servers_are_asked_for(tree: Path, value: str) -> None:
    path = tree / CONFIG
    path.write_text(
        USER_CONFIG.replace(
            "#define LUA_TASK", "#define SSL_MAX_FRAGMENT_LENGTH_CODE OLD // why\n#define LUA_TASK"
        )
    )
    run_apply(tree, "--set", f"tls.max_fragment={value}")
    line = next(line for line in path.read_text().split("\n") if "FRAGMENT" in line)
    assert (
        line
        == {
            "2KiB": "#define SSL_MAX_FRAGMENT_LENGTH_CODE MBEDTLS_SSL_MAX_FRAG_LEN_2048 // why",
            "none": "#undef SSL_MAX_FRAGMENT_LENGTH_CODE // why",
        }[value]
    )


@pytest.mark.parametrize("name", [CONFIG, MODULES, MBEDTLS, "Makefile"])
def test_an_unknown_tree_is_refused(tree: Path, name: str) -> None:
    (tree / name).unlink()
    before = read_tree(tree)
    assert f"it lacks {name}\n" in run_apply(tree, code=1).stderr
    assert read_tree(tree) == before


def test_what_else_is_no_tree(tmp_path: Path) -> None:
    assert "does not exist" in run_apply(tmp_path / "nowhere", code=1).stderr
    (tmp_path / "esp32" / "components").mkdir(parents=True)
    assert "for the ESP32" in run_apply(tmp_path / "esp32", code=1).stderr
    (tmp_path / "empty").mkdir()
    shown = run_apply(tmp_path / "empty", code=1).stderr
    assert "app/include/mbedtls/version.h" in shown
    assert CONFIG in shown


@pytest.mark.parametrize(
    ("version", "profiled_as"),
    [("2.16.3", "2.16.3"), ("2.16.12", "2.16.3"), ("2.28.10", "2.28.3"), ("3.6.2", "3.6.6")],
)
def test_the_version_is_the_trees(tmp_path: Path, version: str, profiled_as: str) -> None:
    tree = make_tree(tmp_path, version=version)
    report = json.loads(run_apply(tree, "--json", "--dry-run").stdout)
    assert report["mbedtls"] == {"found": version, "profiled_as": profiled_as}


@pytest.mark.parametrize("version", ["2.7.8", "2.6.1", "3.2.1", "4.0.0"])
def test_an_unknown_version_is_refused(tmp_path: Path, version: str) -> None:
    tree = make_tree(tmp_path, version=version)
    assert f"mbedTLS {version}" in run_apply(tree, code=1).stderr
    (tree / "app/include/mbedtls/version.h").write_text("// nothing\n")
    for header in (tree / "app/include/mbedtls").iterdir():
        header.write_text("// nothing\n")
    assert "does not tell the version" in run_apply(tree, code=1).stderr


@pytest.mark.parametrize("version", ["2.16.12", "2.28.8", "3.6.2"])
@pytest.mark.parametrize("preset", list_presets())
def test_every_preset_goes_into_every_tree(tmp_path: Path, preset: str, version: str) -> None:
    tree = make_tree(tmp_path, version=version)
    shown = run_apply(tree, "--profile", preset).stdout
    assert f"Applied the profile {preset}" in shown
    releases = load_profile(preset).tls.idle_buffers == "release"
    assert ('tls.idle_buffers = "release" has no effect' in shown) == releases


@pytest.mark.parametrize("setting", ['tls.versions=["1.2","1.3"]', "tls.curves=x25519,secp256r1"])
def test_a_profile_that_the_trees_mbedtls_cannot_do(tree: Path, setting: str) -> None:
    before = read_tree(tree)
    keep = "tls.keep_peer_certificate=true"
    shown = run_apply(tree, "--set", setting, "--set", keep, code=1).stderr
    assert f"--set: {setting.partition('=')[0]}: " in shown
    assert f"mbedtls.version is the tree's: {tree} has mbedTLS 2.16.3." in shown
    assert read_tree(tree) == before


def test_what_is_wrong_in_itself_is_not_the_trees(tree: Path) -> None:
    shown = run_apply(tree, "--set", "tls.idle_buffers=relaese", code=1).stderr
    assert 'did you mean "release"?' in shown
    assert "the tree's" not in shown


def test_usage(tree: Path) -> None:
    for option in ("--ca=x", "--profile=default", "--set=a.b=1"):
        assert "--revert takes no" in run_apply(tree, "--revert", option, code=2).stderr
    run_apply(code=2)
