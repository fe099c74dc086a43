"""An apply is whole or not there, and nothing of the user's is lost by it or by its revert."""

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
    MBEDTLS,
    MODULES,
    USER_CONFIG,
    USER_MBEDTLS,
    USER_MODULES,
    VERSION_HEADER,
    list_actions,
    make_tree,
    read_tree,
    run_apply,
)
from pki import make_authority, make_pem

from nodemcu_tls_build.cli import cli


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree")


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authorities = (make_authority("ecdsa", f"CA {n}") for n in range(2))
    path.write_bytes(make_pem(*(authority.certificate for authority in authorities)))
    return path


def test_without_a_backup_the_header_of_an_apply_is_read_back(tree: Path) -> None:
    run_apply(tree)
    subprocess.run(["rm", "-r", tree / ".nodemcu-tls"], check=True)
    assert set(list_actions(run_apply(tree, "--json")).values()) == {"unchanged"}
    result = run_apply(tree, "--revert", code=1)
    assert "has no backup" in result.stderr


def test_revert_puts_back_what_was_there(tree: Path, ca: Path) -> None:
    (tree / CONFIG).chmod(0o640)
    before = read_tree(tree)
    run_apply(tree, "--ca", ca)
    run_apply(tree, "--set", "tls.in_buffer=8KiB")
    assert read_tree(tree) != before
    run_apply(tree, "--revert", "--dry-run")
    assert read_tree(tree) != before
    run_apply(tree, "--revert")
    assert read_tree(tree) == before
    assert (tree / CONFIG).stat().st_mode & 0o777 == 0o640
    assert not (tree / ".nodemcu-tls").exists()
    assert "Nothing to revert" in run_apply(tree, "--revert").stdout


def test_line_ends_and_other_bytes_stay(tree: Path) -> None:
    for name, text in ((CONFIG, USER_CONFIG), (MODULES, USER_MODULES), (MBEDTLS, USER_MBEDTLS)):
        (tree / name).write_bytes(text.replace("\n", "\r\n").encode() + b"// \xe9 \x85\r\n")
    before = read_tree(tree)
    run_apply(tree)
    for name in (CONFIG, MODULES, MBEDTLS):
        data = (tree / name).read_bytes()
        assert data.count(b"\r\n") == data.count(b"\n") > 10
    assert (tree / CONFIG).read_bytes().endswith(b"// \xe9 \x85\r\n")
    run_apply(tree, "--revert")
    assert read_tree(tree) == before


def test_a_link_stays_a_link(tree: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "config.h"
    mine.parent.mkdir()
    (tree / CONFIG).rename(mine)
    (tree / CONFIG).symlink_to(mine)
    run_apply(tree)
    assert (tree / CONFIG).is_symlink()
    assert "\n#define CLIENT_SSL_ENABLE\n//#define MD2" in mine.read_text()
    run_apply(tree, "--revert")
    assert (tree / CONFIG).is_symlink()
    assert mine.read_text() == USER_CONFIG
    assert sorted(path.name for path in mine.parent.iterdir()) == ["config.h"]


def test_what_is_not_to_be_written_is_left(tree: Path) -> None:
    (tree / MODULES).chmod(0o444)
    before = read_tree(tree)
    assert "read-only" in run_apply(tree, code=1).stderr
    assert read_tree(tree) == before
    (tree / MODULES).unlink()
    (tree / MODULES).symlink_to("nowhere")
    assert "lacks app/include/user_modules.h" in run_apply(tree, code=1).stderr
    (tree / MODULES).unlink()
    (tree / MODULES).mkdir()
    assert "is not a file" in run_apply(tree, code=1).stderr


@pytest.mark.parametrize("failing", range(5))
def test_all_or_nothing(
    tree: Path, ca: Path, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_tree(tree)
    replace = Path.replace
    count = 0

    def fail(self: Path, target: Path) -> Path:
        nonlocal count
        if self.name.endswith(".nodemcu-tls.tmp"):
            count += 1
            if count == failing + 1:
                raise OSError(28, "No space left on device", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    assert "No space left" in run_apply(tree, "--ca", ca, code=1).stderr
    assert read_tree(tree) == before
    assert not (tree / ".nodemcu-tls").exists()
    monkeypatch.undo()
    run_apply(tree, "--ca", ca)
    run_apply(tree, "--revert")
    assert read_tree(tree) == before


@pytest.mark.parametrize("point", range(5))
@pytest.mark.parametrize("then", ["apply", "revert"])
def test_an_apply_that_was_killed(tree: Path, ca: Path, point: int, then: str) -> None:
    """Die in the middle of the renaming, with no chance to take anything back."""
    before = read_tree(tree)
    pid = os.fork()
    if pid == 0:
        replace, done = Path.replace, []

        def die(self: Path, target: Path) -> Path:
            if self.name.endswith(".nodemcu-tls.tmp"):
                done.append(target)
                if len(done) > point:
                    os._exit(9)
            return replace(self, target)

        Path.replace = die  # type: ignore[method-assign]  # in this process only
        CliRunner().invoke(cli, ["apply", str(tree), "--ca", str(ca)])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    if then == "apply":
        run_apply(tree, "--ca", ca)
        assert set(list_actions(run_apply(tree, "--json")).values()) == {"unchanged"}
    run_apply(tree, "--revert")
    assert read_tree(tree) == before


def test_edits_since_are_not_lost(tree: Path) -> None:
    run_apply(tree)
    edited = (tree / MODULES).read_text().replace("//#define LUA_USE_MODULES_MQTT", "#define MQ")
    (tree / MODULES).write_text(edited)
    run_apply(tree, "--set", "tls.in_buffer=8KiB")
    assert (tree / MODULES).read_text() == edited
    for path in (tree / CONFIG, tree / MBEDTLS):
        path.write_text(path.read_text() + "// mine\n")
    before = read_tree(tree)
    report = json.loads(run_apply(tree, "--revert", "--json").stdout)
    assert report["kept"] == [CONFIG, MODULES, MBEDTLS]
    assert read_tree(tree) == before
    assert MBEDTLS in run_apply(tree, code=1).stderr
    assert read_tree(tree) == before
    run_apply(tree, "--revert", "--force")
    assert (tree / MODULES).read_text() == USER_MODULES
    assert (tree / f"{MODULES}.edited").read_text() == edited
    assert (tree / f"{MBEDTLS}.edited").read_bytes() == before[MBEDTLS]


def test_an_edit_between_two_applies_makes_a_revert_ask(tree: Path) -> None:
    run_apply(tree)
    (tree / CONFIG).write_text((tree / CONFIG).read_text().replace("FLASH_4M", "FLASH_1M"))
    run_apply(tree, "--set", "tls.in_buffer=8KiB")
    assert f"{CONFIG}: edited since" in run_apply(tree, "--revert").stdout


def test_a_revert_keeps_what_was_edited_and_puts_back_the_rest(tree: Path, ca: Path) -> None:
    before = read_tree(tree)
    run_apply(tree, "--ca", ca)
    mine = (tree / CONFIG).read_bytes() + b"// mine\n"
    (tree / CONFIG).write_bytes(mine)
    assert "is kept" in run_apply(tree, "--revert", "--dry-run").stdout
    shown = run_apply(tree, "--revert").stdout
    assert f"{CONFIG}: edited since the apply, is kept" in shown
    assert "but for what was edited" in shown
    assert read_tree(tree) == before | {CONFIG: mine}
    run_apply(tree, "--ca", ca)  # what was there first is known still
    run_apply(tree, "--revert", "--force")
    assert read_tree(tree) == before | {f"{CONFIG}.edited": mine}
    assert not (tree / ".nodemcu-tls").exists()


def git(tree: Path, *args: str) -> None:
    command = ["git", "-C", tree, "-c", "user.name=x", "-c", "user.email=x@x.test", *args]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def branches(tree: Path) -> Path:
    """Make the tree a repository with a branch `next`, whose mbedTLS and files are others."""
    git(tree, "init", "-q", "-b", "now")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "now")
    git(tree, "checkout", "-qb", "next")
    for name in (CONFIG, MODULES, MBEDTLS):
        (tree / name).write_text(
            (tree / name).read_text().replace("#define", "#define NEXT\n#define", 1)
        )
    version = tree / "app/include/mbedtls/version.h"
    version.write_text(VERSION_HEADER.format(2, 28, 8))
    git(tree, "commit", "-qam", "next")
    git(tree, "checkout", "-q", "now")
    return tree


def test_another_branch_is_told_and_can_be_gone_on_with(branches: Path, ca: Path) -> None:
    run_apply(branches, "--ca", ca)
    git(branches, "checkout", "-qf", "next")
    before = read_tree(branches)
    result = run_apply(branches, code=1)
    assert f"{MBEDTLS} is another one than before the apply" in result.stderr
    assert "mbedTLS 2.16.3 has become 2.28.8" in result.stderr
    assert "--force" in result.stderr
    assert "edited" not in result.stderr
    assert "mbedTLS 2.16.3 has become 2.28.8" in run_apply(branches, "--dry-run").stdout
    assert read_tree(branches) == before
    assert "what was remembered before" in run_apply(branches, "--force").stdout
    aside = branches / ".nodemcu-tls/before/1/original"
    assert (aside / MBEDTLS).read_text() == USER_MBEDTLS
    assert "Nothing to do" in run_apply(branches).stdout
    run_apply(branches, "--revert")
    new = {name: data for name, data in before.items() if name != "server-ca.crt"}
    assert read_tree(branches) == {n: d for n, d in new.items() if n != CA_HEADER}
    assert (aside / MBEDTLS).read_text() == USER_MBEDTLS


def test_a_revert_on_another_branch_leaves_its_files(branches: Path, ca: Path) -> None:
    run_apply(branches, "--ca", ca)
    git(branches, "checkout", "-qf", "next")
    before = read_tree(branches)
    shown = run_apply(branches, "--revert").stdout
    assert "is no longer what was applied to" in shown
    left = read_tree(branches)
    assert {n: d for n, d in before.items() if n not in {"server-ca.crt", CA_HEADER}} == left


def test_a_branch_with_the_same_files_is_no_edit(tree: Path) -> None:
    before = read_tree(tree)
    run_apply(tree)
    for name in (CONFIG, MODULES, MBEDTLS):
        (tree / name).write_bytes(before[name])
    version = tree / "app/include/mbedtls/version.h"
    version.write_text(VERSION_HEADER.format(2, 16, 12))
    assert "mbedTLS 2.16.12" in run_apply(tree).stdout
    run_apply(tree, "--revert")
    assert read_tree(tree) == before | {"app/include/mbedtls/version.h": version.read_bytes()}


def test_an_edited_header_is_put_aside(tree: Path) -> None:
    run_apply(tree)
    mine = (tree / MBEDTLS).read_bytes() + b"// mine\n"
    (tree / MBEDTLS).write_bytes(mine)
    run_apply(tree, code=1)
    assert "only with --force" in run_apply(tree, "--dry-run").stdout
    run_apply(tree, "--force")
    assert b"// mine" not in (tree / MBEDTLS).read_bytes()
    assert (tree / f"{MBEDTLS}.edited").read_bytes() == mine
    run_apply(tree, "--revert")
    assert (tree / MBEDTLS).read_text() == USER_MBEDTLS


def test_a_damaged_backup(tree: Path) -> None:
    run_apply(tree)
    original = tree / ".nodemcu-tls/original" / CONFIG
    original.write_text("other")
    assert "is damaged" in run_apply(tree, "--revert", code=1).stderr
    (tree / ".nodemcu-tls/state.json").write_text("{")
    assert "is damaged" in run_apply(tree, "--revert", code=1).stderr
    (tree / ".nodemcu-tls/state.json").write_text('{"schema": 2}')
    assert "another version" in run_apply(tree, code=1).stderr
