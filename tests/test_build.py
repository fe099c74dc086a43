"""What a build leaves behind, and what it does again when something has changed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path

import pytest
from builds import (
    BUILD,
    LINK_STEPS,
    PUBLISHED,
    describe_tree,
    hash_published,
    list_steps,
    load_report,
    run_build,
    start_build,
)
from cryptography.hazmat.primitives.serialization import Encoding
from emulated import run_lua
from pki import make_authority, make_pem

from nodemcu_tls_build.build_output import load_build_output
from nodemcu_tls_build.files import hash_file
from nodemcu_tls_build.image import find_build_id
from nodemcu_tls_build.memmap import FLASH_WINDOW, IROM, IROM_OFFSET, KIB
from nodemcu_tls_build.process import run_capture
from nodemcu_tls_build.profile import load_profile
from nodemcu_tls_build.sources import load_lock
from nodemcu_tls_build.toolchain import find_compiler, find_ninja

# A profile that differs from the default one in the library itself and in what is made of it.
CHANGED_PROFILE = """\
schema = 1
name = "changed"
[mbedtls]
version = "2.28.3"
[optimise]
mbedtls = "speed"
[tls]
key_exchanges = ["ECDHE-ECDSA"]
ciphers = ["AES"]
signatures = ["ECDSA"]
in_buffer = "8KiB"
"""

ODD_NAME = "it's a $HOME, 100% #1: [new]; a\\b & ünï|c*de\nof two lines"


def test_the_output_directory(whole_build: Path) -> None:
    assert {path.name for path in whole_build.iterdir()} == {*PUBLISHED, "work"}
    for name in ("firmware.elf", "firmware.map", "bootrom.elf"):
        assert (whole_build / name).read_bytes() == (whole_build / "work" / name).read_bytes()


def test_report_names_what_the_build_was_made_of(whole_build: Path) -> None:
    report = load_report(whole_build)
    gcc_says = run_capture([find_compiler().path, "--version"])
    assert re.search(rf" {re.escape(report['tools']['compiler'])}\b", gcc_says)
    assert run_capture([find_ninja(), "--version"]).startswith(report["tools"]["ninja"])
    assert report["tools"]["esptool"] == metadata.version("esptool")
    assert report["version"] == metadata.version("nodemcu-tls")
    profile = load_profile("default")
    assert report["profile"] == profile.to_dict() | {"sha256": profile.digest()}
    assert report["ca"] == []
    built = datetime.fromisoformat(report["build_time"])
    assert built.timestamp() == int(os.environ["SOURCE_DATE_EPOCH"])
    versions = {"mbedtls": "3.6.6", "lwip": "2.1.3", "lua": "5.1.5"}
    assert {source["name"]: source["version"] for source in report["sources"]} == versions
    for source in report["sources"]:
        pinned = load_lock().get(source["name"], source["version"]).archives
        assert (source["archive"], source["sha256"]) in [(a.names[0], a.sha256) for a in pinned]


def test_report_describes_the_images(whole_build: Path) -> None:
    report = load_report(whole_build)
    flash = (whole_build / "flash.bin").read_bytes()
    assert [(i["name"], i["offset"]) for i in report["images"]] == [
        ("0x00000.bin", 0),
        ("0x10000.bin", 0x10000),
    ]
    for image in (*report["images"], report["flash"]):
        data = (whole_build / image["name"]).read_bytes()
        assert image["length"] == len(data)
        assert image["sha256"] == hash_file(whole_build / image["name"])
        assert flash[image["offset"] : image["offset"] + len(data)] == data
    boot, code = report["images"]
    assert set(flash[boot["length"] : code["offset"]]) == {0xFF}
    assert len(flash) == code["offset"] + code["length"]
    assert report["flash_size"] == 1024 * KIB


def test_esptool_accepts_the_boot_image(whole_build: Path) -> None:
    esptool = (sys.executable, "-m", "esptool", "--chip", "esp8266", "image-info")
    told = run_capture([*esptool, whole_build / "0x00000.bin"])
    assert re.search(r"Checksum: 0x[0-9a-f]{2} \(valid\)", told)
    assert re.search(r"Flash size: 1MB", told)


def test_sizes_are_those_of_the_elf_file(whole_build: Path) -> None:
    sizes = load_report(whole_build)["sizes"]
    tool = f"{find_compiler().prefix}size"
    told = run_capture([tool, "-A", "-d", whole_build / "firmware.elf"])
    rows = re.findall(r"^(\.\S+)\s+(\d+)\s+(\d+)$", told, re.MULTILINE)
    sections = [(int(size), int(address)) for _, size, address in rows if int(address)]
    in_flash = sum(size for size, address in sections if IROM.covers(address, size))
    assert sizes["regions"]["flash"]["used"] == sizes["total"]["flash"] == in_flash
    on_chip = sum(size for name, size in sizes["total"].items())
    emulator_only = sizes["regions"]["emulator"]["used"]
    assert on_chip + emulator_only == sum(size for size, _ in sections)
    for column, total in sizes["total"].items():
        assert sum(component[column] for component in sizes["components"].values()) == total
    image_length = load_report(whole_build)["images"][1]["length"]
    assert in_flash <= image_length <= in_flash + 16
    assert FLASH_WINDOW.start + 0x10000 == IROM.start


def test_build_id_is_in_the_report_the_flash_and_the_elf_file(whole_build: Path) -> None:
    build_id = load_report(whole_build)["build_id"]
    flash = (whole_build / "flash.bin").read_bytes()
    assert find_build_id(flash[IROM_OFFSET:]) == build_id
    assert load_build_output(whole_build).build_id == build_id
    assert bytes.fromhex(build_id) in (whole_build / "firmware.elf").read_bytes()
    assert bytes.fromhex(build_id) not in (whole_build / "bootrom.elf").read_bytes()


def test_build_id_changes_with_what_is_built(own_build: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(make_pem(make_authority("ecdsa").certificate))
    (tmp_path / "p.toml").write_text('schema = 1\nname = "p"\n[board]\nflash_size = "512KiB"\n')
    tomorrow = str(int(os.environ["SOURCE_DATE_EPOCH"]) + 86400)
    seen = [load_report(own_build)["build_id"]]
    for args, environment in (
        (["--ca", "ca.pem"], {}),
        (["--profile", "p.toml"], {}),
        ([], {"SOURCE_DATE_EPOCH": tomorrow}),
        ([], {}),
    ):
        run_build(*args, cwd=tmp_path, **environment)
        seen.append(load_report(own_build)["build_id"])
    assert seen[-1] == seen[0]
    assert len(set(seen)) == 4


@pytest.mark.parametrize("stamp", ["kept", "lost"])
def test_nothing_to_do(own_build: Path, tmp_path: Path, stamp: str) -> None:
    assert list_steps(run_build(cwd=tmp_path)) == []
    before = describe_tree(own_build)
    if stamp == "lost":
        (own_build / "work" / "stamp.json").unlink()
    result = run_build(cwd=tmp_path)
    assert list_steps(result) == []
    assert "\nNothing to do for build/flash.bin" in result.stdout
    after = describe_tree(own_build)
    if stamp == "lost":
        assert after.pop("work/stamp.json") != before.pop("work/stamp.json")
    assert after == before


def test_ca_comes_and_goes(own_build: Path, whole_build: Path, tmp_path: Path) -> None:
    ca = make_authority("ecdsa", "Test CA").certificate
    (tmp_path / "ca.pem").write_bytes(make_pem(ca))
    steps = ["CC obj/app/server_ca.c.o", *LINK_STEPS]
    for args in (["--ca", "ca.pem"], ["--ca", "other.pem"]):
        result = run_build(*args, cwd=tmp_path)
        assert list_steps(result) == steps
        assert "\nCA built in: CN=Test CA\n" in result.stdout
        assert ca.public_bytes(Encoding.DER) in (own_build / "flash.bin").read_bytes()
        assert load_report(own_build)["ca"][0]["subject"] == "CN=Test CA"
        ca = make_authority("ecdsa", "Test CA").certificate
        (tmp_path / "other.pem").write_bytes(make_pem(ca))
    result = run_build(cwd=tmp_path)
    assert list_steps(result) == steps
    assert "\nCA built in: none" in result.stdout
    assert hash_published(own_build) == hash_published(whole_build)


def test_profile_change_leaves_nothing_stale(own_build: Path, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(CHANGED_PROFILE)
    steps = list_steps(run_build("--profile", "p.toml", cwd=tmp_path))
    compiled = {step.split("/")[1] for step in steps if step.startswith("CC ")}
    assert compiled == {"mbedtls", "app"}  # neither Lua nor lwIP nor the boot ROM depends on it
    assert steps[-2:] == LINK_STEPS
    booted = run_lua(own_build, "print(node.heap() > 20000) os.exit(7)")
    assert booted.returncode == 7
    assert "true" in booted.stdout.splitlines()
    assert list_steps(run_build("--profile", "p.toml", cwd=tmp_path)) == []

    clean_dir = tmp_path / ODD_NAME / "out"
    build_with_an_interruption(clean_dir, tmp_path / "p.toml")
    assert hash_published(own_build) == hash_published(clean_dir)


def test_header_that_changes_is_read_again(own_build: Path, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('schema = 1\nname = "p"\n[tls]\nin_buffer = "8KiB"\n')
    steps = list_steps(run_build("--profile", "p.toml", cwd=tmp_path))
    compiled = {step.split("/")[1] for step in steps if step.startswith("CC ")}
    assert compiled == {"mbedtls", "app"}
    assert "CC obj/mbedtls/library/ssl_msg.c.o" in steps
    assert "CC obj/app/tls/tls_engine.c.o" in steps
    assert "CC obj/app/main.c.o" not in steps


def build_with_an_interruption(out_dir: Path, profile_path: Path) -> None:
    """Build where nothing was built before: press Ctrl-C early, then let it be finished."""
    out_dir.parent.mkdir()
    args = ("--profile", profile_path, "--out")
    with start_build(*args, out_dir, cwd=profile_path.parent) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        stdout, stderr = process.communicate()
    assert process.returncode == 130
    assert stdout == ""
    assert stderr.endswith("Interrupted.\n")
    assert [path.name for path in out_dir.iterdir()] == ["work"]

    steps = list_steps(run_build(*args, "out", "-j", "3", cwd=out_dir.parent))
    compiled = [step for step in steps if step.startswith("CC ")]
    units = list(out_dir.rglob("*.o"))
    assert 0.5 * len(units) < len(compiled) < len(units)  # what was done is not done again
    assert list_steps(run_build(*args, out_dir, cwd=profile_path.parent)) == []


def test_killed_then_the_same_as_if_not(own_build: Path, whole_build: Path, tmp_path: Path) -> None:
    shutil.rmtree(own_build / "work" / "obj" / "lua")
    before = hash_published(own_build)
    with start_build(cwd=tmp_path) as process:
        process.kill()
    result = run_build(cwd=tmp_path)
    while "another build is running" in result.stderr:  # the last compilers have yet to end
        result = run_build(cwd=tmp_path)
    assert 10 < len(list_steps(result)) < 40
    assert hash_published(own_build) == before == hash_published(whole_build)


def test_moved_directory_is_as_good(own_build: Path, tmp_path: Path) -> None:
    own_build.rename(tmp_path / "moved here")
    assert list_steps(run_build("--out", "moved here", cwd=tmp_path)) == []


def test_the_command_by_its_other_names(own_build: Path, tmp_path: Path) -> None:
    bin_dir = Path(sys.executable).parent
    module = ("-m", "nodemcu_tls_build", "build")
    for command in (
        BUILD,
        (str(bin_dir / "nodemcu-tls"), "build"),
        (str(bin_dir / "python3"), *module),
        (str(bin_dir / "python"), *module),
    ):
        assert list_steps(run_build(cwd=tmp_path, command=command)) == []
        (own_build / "work" / "stamp.json").unlink()


def test_lost_objects_are_made_again(own_build: Path, whole_build: Path, tmp_path: Path) -> None:
    (own_build / "work" / "obj" / "lua" / "src" / "lapi.c.o").unlink()
    assert list_steps(run_build("-j", "1", cwd=tmp_path)) == [
        "CC obj/lua/src/lapi.c.o",
        *LINK_STEPS,
    ]
    assert hash_published(own_build) == hash_published(whole_build)


def test_what_is_published_is_put_right(own_build: Path, whole_build: Path, tmp_path: Path) -> None:
    run_build(cwd=tmp_path)
    (own_build / "flash.bin").write_bytes(b"something else")
    (own_build / "0x00000.bin").unlink()
    assert list_steps(run_build(cwd=tmp_path)) == []
    assert hash_published(own_build) == hash_published(whole_build)
