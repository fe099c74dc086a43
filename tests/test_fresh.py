"""The quick way to say that there is nothing to do: taken when all is as it was, and only then."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from builds import (
    LINK_STEPS,
    describe_published,
    hash_published,
    list_steps,
    load_report,
    run_build,
)
from pki import make_authority, make_pem

import nodemcu_tls_build
from nodemcu_tls_build.build import build_firmware
from nodemcu_tls_build.files import hash_file
from nodemcu_tls_build.fresh import STAMP_NAME, find_fresh_build
from nodemcu_tls_build.request import BuildRequest
from nodemcu_tls_build.resources import app_dir, templates_dir
from nodemcu_tls_build.toolchain import find_compiler

HEAVY = ("cryptography", "elftools", "jinja2", "pydantic", "rich")
ROOT = Path(nodemcu_tls_build.__file__).parent
PROFILE = (ROOT / "profile" / "presets" / "default.toml").read_text()
EXTENDING = 'schema = 1\nname = "p"\nextends = "below/base.toml"\n'


class Quiet:
    """A build's progress, not shown."""

    def status(self, text: str) -> None:
        pass

    def step(self, done: int, total: int, text: str) -> None:
        pass


@pytest.fixture
def built(own_build: Path, tmp_path: Path, source_archives: dict[str, Path]) -> BuildRequest:
    """Return a request that was just built, from a profile, a CA and archives of its own."""
    ca = make_authority("ecdsa", end=timedelta(days=2)).certificate
    (tmp_path / "ca.pem").write_bytes(make_pem(ca))
    archives_dir = tmp_path / "archives"
    request = BuildRequest(str(tmp_path / "p.toml"), tmp_path / "ca.pem", own_build, archives_dir)
    build_again(request, source_archives)
    return request


def build_again(request: BuildRequest, archives: dict[str, Path]) -> None:
    """Put right what a request names besides the CA, and build it."""
    Path(request.profile).write_text(EXTENDING)
    base_path = find_base(request)
    base_path.parent.mkdir(exist_ok=True)
    base_path.write_text(PROFILE)
    assert request.archive_dir
    request.archive_dir.mkdir(exist_ok=True)
    for archive in archives.values():
        link_path = request.archive_dir / archive.name
        if not link_path.exists():
            link_path.symlink_to(archive)
    build_firmware(request, Quiet())


def find_base(request: BuildRequest) -> Path:
    """Return the file that the request's profile extends."""
    return Path(request.profile).parent / "below" / "base.toml"


def remove(path: Path) -> bool:
    path.unlink()
    return True


def touch(path: Path) -> bool:
    path.touch()
    return True


def change_secretly(path: Path) -> bool:
    """Change a file, but neither its size nor its time."""
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return True


def spoil_stamp(request: BuildRequest, *, text: str) -> int:
    return (request.work_dir / STAMP_NAME).write_text(text)


def remove_archives(request: BuildRequest) -> bool:
    assert request.archive_dir
    shutil.rmtree(request.archive_dir)
    return True


def test_fresh_as_long_as_nothing_changes(
    built: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for request in (built, replace(built, jobs=3, verbose=True)):
        result = find_fresh_build(request)
        assert result
        assert result.report == load_report(built.out_dir)
        assert result.compiled == 0
    moved = replace(built, out_dir=tmp_path / "elsewhere")
    built.out_dir.rename(moved.out_dir)
    assert find_fresh_build(moved)
    assert find_fresh_build(built) is None
    monkeypatch.chdir(tmp_path)
    assert find_fresh_build(replace(moved, out_dir=Path("elsewhere")))


CHANGES: dict[str, Callable[[BuildRequest], object]] = {
    "CA": lambda r: r.ca_path and r.ca_path.write_bytes(r.ca_path.read_bytes() + b"\n"),
    "build time": lambda r: touch(r.work_dir / "gen" / "build_time.c"),
    "CA is gone": lambda r: r.ca_path and remove(r.ca_path),
    "profile": lambda r: Path(r.profile).write_text(EXTENDING.replace("below", "./below")),
    "extended profile": lambda r: find_base(r).write_text(PROFILE.replace('"4KiB"', '"2KiB"')),
    "extended profile is gone": lambda r: remove(find_base(r)),
    "profile is gone": lambda r: remove(Path(r.profile)),
    "one more archive": lambda r: r.archive_dir and (r.archive_dir / "new").write_bytes(b""),
    "archives are gone": remove_archives,
    "result": lambda r: (r.out_dir / "flash.bin").write_bytes(b""),
    "result, secretly": lambda r: change_secretly(r.out_dir / "flash.bin"),
    "result is gone": lambda r: remove(r.out_dir / "0x10000.bin"),
    "report": lambda r: (r.out_dir / "build.json").write_text("{}"),
    "generated file": lambda r: touch(r.work_dir / "gen" / "server_ca.c"),
    "graph": lambda r: touch(r.work_dir / "build.ninja"),
    "object is gone": lambda r: remove(r.work_dir / "obj" / "lua" / "src" / "lapi.c.o"),
    "linked file is gone": lambda r: remove(r.work_dir / "firmware.elf"),
    "stamp is gone": lambda r: remove(r.work_dir / STAMP_NAME),
    **{
        f"stamp is {text!r}": partial(spoil_stamp, text=text)
        for text in ("", "{", "[]", "{}", '{"valid_until": null, "files": [], "inputs": {}}')
    },
}


def test_every_change_is_noticed(built: BuildRequest, source_archives: dict[str, Path]) -> None:
    assert built.ca_path
    pem = built.ca_path.read_bytes()
    before = hash_published(built.out_dir)
    for name, change in CHANGES.items():
        assert find_fresh_build(built), name
        change(built)
        assert find_fresh_build(built) is None, name
        built.ca_path.write_bytes(pem)
        build_again(built, source_archives)
        assert hash_published(built.out_dir) == before, name


def test_another_request_is_not_fresh(built: BuildRequest, tmp_path: Path) -> None:
    other_ca = tmp_path / "other.pem"
    other_ca.write_bytes(make_pem(make_authority("ecdsa").certificate))
    assert find_fresh_build(replace(built, ca_path=None)) is None
    assert find_fresh_build(replace(built, ca_path=other_ca)) is None
    assert find_fresh_build(replace(built, ca_path=tmp_path)) is None
    assert find_fresh_build(replace(built, profile="default")) is None
    assert find_fresh_build(replace(built, profile=str(tmp_path))) is None
    assert find_fresh_build(replace(built, settings=("tls.sni=false",))) is None
    assert find_fresh_build(replace(built, archive_dir=None)) is None
    assert find_fresh_build(replace(built, out_dir=tmp_path)) is None
    assert find_fresh_build(built)
    build_firmware(replace(built, ca_path=None), Quiet())
    assert find_fresh_build(replace(built, ca_path=None))
    assert find_fresh_build(replace(built, ca_path=tmp_path / "missing")) is None


def test_other_tools_are_not_fresh(
    built: BuildRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler_path = find_compiler().path
    link_path = tmp_path / "bin" / compiler_path.name
    link_path.parent.mkdir()
    link_path.symlink_to(compiler_path)
    monkeypatch.setenv("NODEMCU_TLS_CC", str(link_path))
    assert find_fresh_build(built) is None
    monkeypatch.setenv("NODEMCU_TLS_CC", str(tmp_path / "none"))
    assert find_fresh_build(built) is None
    monkeypatch.delenv("NODEMCU_TLS_CC")
    assert find_fresh_build(built)
    packages_dir = tmp_path / "lib" / "site-packages"
    packages_dir.mkdir(parents=True)
    monkeypatch.syspath_prepend(packages_dir)
    assert find_fresh_build(built) is None


def test_expiry_of_the_ca_is_noticed(built: BuildRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    for days, is_fresh in ((1, True), (3, False), (-1, False)):
        monkeypatch.setattr(time, "time", lambda days=days: now + days * 86400)
        assert (find_fresh_build(built) is not None) == is_fresh


@dataclass(frozen=True)
class Checkout:
    """A copy of this program, for tests to change, and a build by it beside it."""

    path: Path

    @property
    def build_dir(self) -> Path:
        return self.path.parent / "build"

    def run(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-X", "importtime", "-m", "nodemcu_tls_build", "build")
        environment |= {"PYTHONPATH": str(self.path)}
        return run_build(*args, cwd=self.path.parent, command=command, **environment)

    def build(self, *, quickly: bool = False) -> list[str]:
        result = self.run()
        imported = [name for name in HEAVY if f" {name}\n" in result.stderr]
        assert (imported == []) == quickly
        return list_steps(result)


@pytest.fixture(scope="module")
def checkout(whole_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = Checkout(tmp_path_factory.mktemp("copy") / "checkout")
    skip = shutil.ignore_patterns("__pycache__", "_data")
    shutil.copytree(ROOT, checkout.path / ROOT.name, ignore=skip)
    shutil.copytree(app_dir(), checkout.path / "app")
    shutil.copytree(templates_dir(), checkout.path / "templates")
    shutil.copytree(whole_build, checkout.build_dir)
    assert "CC obj/app/main.c.o" in checkout.build()
    assert hash_published(checkout.build_dir)["flash.bin"] == hash_file(whole_build / "flash.bin")
    return checkout


def test_program_that_changes(checkout: Checkout, whole_build: Path) -> None:
    assert checkout.build(quickly=True) == []
    (checkout.path / "nodemcu_tls_build" / "size.py").touch()
    assert checkout.build() == []
    assert checkout.build(quickly=True) == []

    app = checkout.path / "app"
    header_path = app / "tls" / "tls_error.h"
    header_path.write_text(header_path.read_text() + "\n")
    steps = checkout.build()
    assert "CC obj/app/tls/tls_error.c.o" in steps
    assert "CC obj/app/runtime/float64.c.o" not in steps

    extra_path = app / "modules" / "extra.c"
    extra_path.write_text("extern int extra;\nint extra = 1;\n")
    assert checkout.build() == ["CC obj/app/modules/extra.c.o", *LINK_STEPS]
    extra_path.unlink()
    assert checkout.build() == LINK_STEPS

    for path, steps in (
        (checkout.path / "templates" / "server_ca.c.j2", ["CC obj/app/server_ca.c.o", *LINK_STEPS]),
        (app / "ld" / "sections.ld", ["LINK bootrom.elf", *LINK_STEPS]),
    ):
        path.write_text(f"{path.read_text()}/* changed */\n")
        assert sorted(checkout.build()) == sorted(steps)
    assert checkout.build(quickly=True) == []
    assert hash_file(checkout.build_dir / "flash.bin") == hash_file(whole_build / "flash.bin")


def test_error_in_a_c_file(checkout: Checkout) -> None:
    main_path = checkout.path / "app" / "main.c"
    good_code = main_path.read_text()
    main_path.write_text(f"#error broken on purpose\n{good_code}")
    before = describe_published(checkout.build_dir)

    result = checkout.run("--json", LANG="de_DE.UTF-8", LANGUAGE="de")
    assert result.returncode == 1
    error = json.loads(result.stdout)["error"]
    assert error["kind"] == "ToolFailed"
    assert error["message"] == "the firmware could not be built: ninja ended with exit code 1"
    assert error["hint"].startswith("The first FAILED line names the file.")
    assert error["exit_code"] == 1
    assert error["command"][-2:] == ["-C", "build/work"]
    assert error["output"].startswith("FAILED: ")
    assert "main.c:1:2: error: #error broken on purpose" in error["output"]
    assert describe_published(checkout.build_dir) == before

    result = checkout.run("-v")
    assert result.returncode == 1
    assert result.stdout == ""
    assert "\n  FAILED: " in result.stderr
    assert "main.c:1:2: error: #error broken on purpose" in result.stderr

    main_path.write_text(good_code)
    assert checkout.build() == ["CC obj/app/main.c.o", *LINK_STEPS]
    assert describe_published(checkout.build_dir) == before
