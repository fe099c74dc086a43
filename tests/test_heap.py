"""The predicted heap of a handshake: compared with the emulator's, and told in plain words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from builds import load_report, run_build
from click.testing import CliRunner, Result
from emulated import HOST, run_lua
from handshake_cost import Site, link_measuring, measure_handshake
from measure_heap import TEN_LINES, measure_free_heap
from peers import run_s_server
from pki import Identity, make_authority, make_pem

from nodemcu_tls_build.certs.server_chain import load_chain
from nodemcu_tls_build.cli import cli
from nodemcu_tls_build.errors import CertificateError, ConfigError
from nodemcu_tls_build.profile import Profile, list_presets, load_profile
from nodemcu_tls_build.profile.buffers import measure_block, measure_buffers, measure_input
from nodemcu_tls_build.profile.chain import Certificate, Chain
from nodemcu_tls_build.profile.estimate import estimate_cost
from nodemcu_tls_build.profile.heap import check_budget, find_least, predict_heap
from nodemcu_tls_build.profile.heap_table import find_free_heap
from nodemcu_tls_build.profile.limits import check_least_heap
from nodemcu_tls_build.profile.remarks import list_notes

TOLERANCE = 0.1
# Chains by the kind of every key in them, and how many certificates the server sends.
CHAINS = (("ecdsa", 1), ("ecdsa", 3), ("rsa", 1), ("rsa", 3), ("rsa-4096", 1), ("secp384r1", 1))
P256_ONLY = {"ecdsa", "tiny"}


def issue(kind: str, length: int) -> tuple[Identity, Identity]:
    """Return a root and a server that sends so many certificates."""
    root = authority = make_authority(kind)
    for number in range(length - 1):
        authority = authority.issue_authority(kind, f"Intermediate {number}")
    return root, authority.issue_server(kind, HOST)


def write_chain(root: Identity, server: Identity, directory: Path) -> tuple[Path, Path]:
    """Write what the server sends, and the CA."""
    directory.mkdir(exist_ok=True)
    chain_path, ca_path = directory / "server.pem", directory / "ca.pem"
    chain_path.write_bytes(make_pem(server.certificate, *server.chain))
    ca_path.write_bytes(make_pem(root.certificate))
    return chain_path, ca_path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, int], Any]]:
    """Run a server for each chain; return by chain what is predicted from, and the site."""
    with ExitStack() as stack:
        found = {}
        for kind, length in CHAINS:
            directory = tmp_path_factory.mktemp(f"{kind}-{length}")
            root, server = issue(kind, length)
            chain = load_chain(*write_chain(root, server, directory))
            running = stack.enter_context(run_s_server(server, directory, "-rev"))
            pem = make_pem(root.certificate).decode()
            found[kind, length] = (chain, Site(running.port, pem))
        yield found


def compare(profile: Profile, measuring: Path, chain: Chain, site: Site) -> str | None:
    """Return what is wrong with a prediction; None when the emulator agrees."""
    predicted = predict_heap(profile, chain).peak.heap
    measured = measure_handshake(measuring, site)
    if measured is None:
        return f"no room, {predicted} predicted"
    error = predicted / measured[0] - 1
    told = f"{predicted} predicted, {measured[0]}, {error:+.1%}"
    print(f"{profile.name}: {chain.ca.key}, {len(chain.certificates)}: {told}")
    return told if abs(error) > TOLERANCE else None


@pytest.mark.parametrize("preset", list_presets())
def test_the_emulator_agrees(
    preset: str,
    served: dict[tuple[str, int], Any],
    build_profile: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    profile = load_profile(preset)
    build_dir = build_profile(f'extends = "{preset}"\n')
    measuring = link_measuring(build_dir, tmp_path / "link")
    wrong = {}
    for (kind, length), (chain, site) in served.items():
        if preset in P256_ONLY and kind != "ecdsa":
            with pytest.raises(CertificateError):
                predict_heap(profile, chain)
        else:
            wrong[kind, length] = compare(profile, measuring, chain, site)
    assert not any(wrong.values()), f"measure anew: make heap: {wrong}"


ALONE = 'versions = ["1.3"]\nkeep_peer_certificate = true\nmax_fragment = "none"\n'
BOTH = 'versions = ["1.2", "1.3"]\nkeep_peer_certificate = true\n'
RSA_ALONE = 'signatures = ["RSA", "RSA-PSS"]\nkey_exchanges = ["ECDHE-RSA"]\n'
WITH_1_3 = {
    "alone": ("default", ALONE, ("ecdsa", "rsa", "secp384r1")),
    "both": ("default", BOTH, ("ecdsa", "secp384r1")),
    "tiny": ("tiny", f"{ALONE}cipher_suites = []\n", ("ecdsa",)),
    "not resumed": ("mqtt", f"{ALONE}resumption = false\n", ("ecdsa", "rsa")),
    "RSA": (
        "default",
        f'{ALONE}{RSA_ALONE}idle_buffers = "release"\nout_buffer = "1KiB"\n',
        ("rsa",),
    ),
}


@pytest.mark.parametrize("name", WITH_1_3)
def test_the_emulator_agrees_on_tls_1_3(
    name: str,
    served: dict[tuple[str, int], Any],
    build_profile: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    preset, lines, kinds = WITH_1_3[name]
    build_dir = build_profile(f'extends = "{preset}"\n[tls]\n{lines}')
    profile = load_profile(str(build_dir / "test.toml"))
    measuring = link_measuring(build_dir, tmp_path / "link")
    wrong = {
        (kind, length): compare(profile, measuring, chain, site)
        for (kind, length), (chain, site) in served.items()
        if kind in kinds
    }
    assert wrong
    assert not any(wrong.values()), f"measure anew: make heap: {wrong}"


# By key: what nobody knows in the server's certificate. From 8 KiB on three records are needed.
LONG = [("ecdsa", 8000), ("ecdsa", 9000), ("ecdsa", 12000), ("ecdsa", 15000), ("rsa", 12000)]


def test_the_emulator_agrees_on_long_chains(
    build_profile: Callable[[str], Path], tmp_path: Path
) -> None:
    """A message in several records makes the buffer grow once, and there is room for that."""
    measuring = link_measuring(build_profile('extends = "public"\n'), tmp_path / "link")
    for kind, filling in LONG:
        directory = tmp_path / f"{kind}-{filling}"
        root = make_authority(kind)
        server = root.issue_server(kind, HOST, filling=filling)
        predicted = predict_heap(
            load_profile("public"), load_chain(*write_chain(root, server, directory))
        ).peak.heap
        with run_s_server(server, directory, "-rev") as running:
            site = Site(running.port, make_pem(root.certificate).decode())
            measured = measure_handshake(measuring, site)
        assert measured is not None, f"{kind}, {filling}: no room, {predicted} predicted"
        print(f"{kind}, {filling}: {predicted} predicted, {measured[0]}")
        assert abs(predicted / measured[0] - 1) <= TOLERANCE, (kind, filling)


EC = Certificate("EC", 500, "secp256r1", "SHA-256")
RSA = Certificate("RSA", 800, "rsa-2048", "SHA-256")


def make_chain(*sent: Certificate) -> Chain:
    """Return a chain that a CA like its last certificate has signed."""
    ca = replace(sent[-1], subject="CA")
    return Chain(sent, (ca,), ca, len(sent))


def predict(chain: Chain, *settings: str, preset: str = "default") -> int:
    return predict_heap(load_profile(preset, settings), chain).peak.heap


def test_buffers() -> None:
    assert [measure_block(size) for size in (1, 4, 5, 12, 13)] == [8, 8, 16, 16, 24]
    assert measure_buffers(load_profile("default")) == (4440, 4440)
    public = load_profile("public")
    assert measure_buffers(public) == (4152, 2104)
    assert measure_input(public, 4096 + 27) == (4152, 4152)
    grown, growing = measure_input(public, 5000)
    assert (grown, growing) == (5040, 5040 + 4152)
    assert measure_input(load_profile("default"), 4000) == (4440, 4440)
    keeping = load_profile("public", ["tls.idle_buffers=keep"])
    assert measure_buffers(keeping) == (16440, 2104)
    assert measure_input(keeping, 16000) == (16440, 16440)


def test_peak_is_the_largest_step() -> None:
    prediction = predict_heap(load_profile("default"), make_chain(RSA, RSA))
    peak = prediction.peak
    assert peak.name == "verifying the chain (rsa-2048)"
    assert peak.heap == sum(peak.parts.values()) == max(step.heap for step in prediction.steps)
    assert prediction.suite == "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
    assert prediction.group == "secp256r1"
    assert prediction.worst >= peak.heap


def test_what_the_heap_depends_on() -> None:
    """Each of these was seen to move the peak by so much, within a few blocks."""
    base = predict(make_chain(RSA))
    assert predict(make_chain(RSA), "tls.in_buffer=8KiB") == base + 4096
    assert predict(make_chain(RSA), "tls.out_buffer=2KiB") == base - 2048
    entry, key = 416, 408
    verified = 264  # what mbedTLS computes of a key once
    assert predict(make_chain(RSA, RSA)) == base + entry + key + verified
    kept = predict(make_chain(RSA, RSA), "tls.keep_peer_certificate=true")
    assert kept > base + entry + key + verified + 2 * measure_block(RSA.size)
    assert predict(make_chain(EC), "crypto.ecp_window=6") > predict(make_chain(EC)) + 500
    long = replace(RSA, key="rsa-4096")
    between = predict(make_chain(replace(RSA, key="rsa-3072")))
    assert base < between < predict(make_chain(long))
    assert predict(make_chain(replace(RSA, more_items=10))) == base + 2 * 10 * 24  # the CA, too
    dhe = 'tls.key_exchanges=["DHE-RSA"]'
    assert predict(make_chain(RSA), dhe, "crypto.mpi_window=6") > predict(make_chain(RSA), dhe)


def test_every_setting_is_measured() -> None:
    """Nothing that a profile can ask for is missing in the table."""
    choices = product(("3.6.6", "2.28.3", "2.16.3"), range(1, 7), range(2, 8), (0, 1), (0, 1))
    for version, mpi, ecp, fixed, nist in choices:
        settings = [f"mbedtls.version={version}", f"crypto.mpi_window={mpi}"]
        settings += [f"crypto.ecp_window={ecp}", f"crypto.ecp_fixed_point={bool(fixed)}".lower()]
        settings += [f"crypto.nist_reduction={bool(nist)}".lower()]
        settings += ["tls.keep_peer_certificate=true"]
        if (mpi, ecp) in {(1, 7), (6, 2), (3, 4)}:
            assert 10_000 < predict(make_chain(EC), *settings) < 20_000
            assert 10_000 < predict(make_chain(RSA), *settings) < 40_000


@pytest.mark.parametrize(
    ("chain", "settings", "message", "hint"),
    [
        ([RSA], ['tls.key_exchanges=["ECDHE-ECDSA"]'], "tls.key_exchanges has nothing", "Add"),
        ([replace(EC, key="secp521r1")], [], "which tls.curves lacks", "Change the profile"),
        ([replace(RSA, key="rsa-8192")], [], "crypto.max_key_bits is 4096", "Change the profile"),
        ([replace(RSA, key="rsa-1024")], [], "the firmware wants 2048", "Change the profile"),
        ([EC, EC, EC], ["tls.max_chain=1"], "2 intermediate CAs, tls.max_chain allows 1", "Raise"),
        ([replace(EC, size=5000)], [], "takes 5010 bytes, tls.in_buffer has 4096", "Raise"),
        ([replace(EC, digest="SHA-1")], [], "is signed with SHA-1", "issued anew"),
        (
            [replace(EC, size=3000)],
            ["mbedtls.version=2.28.3", "tls.max_fragment=1KiB"],
            "puts none together again",
            "Raise tls.max_fragment",
        ),
    ],
)
def test_a_chain_that_cannot_be_verified(
    chain: list[Certificate], settings: list[str], message: str, hint: str
) -> None:
    with pytest.raises(CertificateError) as caught:
        predict(make_chain(*chain), *settings)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_least_heap() -> None:
    least = find_least(load_profile("default"))
    assert least.peak.heap == predict(make_chain(replace(EC, size=450)))
    odd = ["tls.curves=secp521r1", "tls.signatures=ECDSA", "tls.key_exchanges=ECDHE-ECDSA"]
    long = find_least(load_profile("default", odd))
    assert long.group == "secp521r1"
    assert long.peak.heap > least.peak.heap
    short = [*odd, "tls.in_buffer=512", "tls.max_fragment=512"]
    cut = find_least(load_profile("default", short))
    assert cut.peak.heap == long.peak.heap - (4096 - 512)
    for preset in list_presets():
        profile = load_profile(preset)
        least = find_least(profile)
        assert least.peak.heap <= profile.tls.heap_budget


def test_a_script_has_as_much_as_it_says(
    build_profile: Callable[[str], Path], tmp_path: Path
) -> None:
    pem = make_pem(make_authority("ecdsa").certificate).decode()
    free = measure_free_heap(build_profile('extends = "default"\n'), pem, tmp_path)
    assert abs(find_free_heap() / free - 1) < 0.02, "measure anew: make heap"


def test_a_script_has_room_for_a_handshake_near_the_budget(
    build_profile: Callable[[str], Path], tmp_path: Path
) -> None:
    """What check says yes to works in a script that does something, with a stored CA."""
    build_dir, profile = build_profile('extends = "public"\n'), load_profile("public")
    root, _ = issue("rsa", 1)
    authority = root.issue_authority("rsa", "Upper").issue_authority("rsa", "Lower")
    server = authority.issue_server("rsa", HOST, filling=12000)
    heap = predict_heap(profile, load_chain(*write_chain(root, server, tmp_path / "files")))
    check_budget(profile, heap)
    assert heap.peak.heap > 0.95 * profile.tls.heap_budget
    measure_free_heap(build_dir, make_pem(root.certificate).decode(), tmp_path)
    with run_s_server(server, tmp_path / "server", "-www") as running:
        connect = f'socket:connect({running.port}, "{HOST}")\n'
        script = TEN_LINES.removesuffix("os.exit(0)\n") + connect
        result = run_lua(build_dir, script, "--flash", str(tmp_path / "kept.bin"))
    assert "HTTP/1.0 200 ok" in result.stdout


@pytest.mark.parametrize("preset", list_presets())
def test_a_script_has_room_for_what_a_preset_allows(preset: str) -> None:
    profile = load_profile(preset)
    assert profile.tls.heap_budget <= find_free_heap() - 1024
    for one in (EC, RSA) if "RSA" in profile.tls.signatures else (EC,):
        check_budget(profile, predict_heap(profile, make_chain(one, one)))


def test_a_budget_is_no_room() -> None:
    """A larger budget than there is heap does not help."""
    big = replace(RSA, key="rsa-4096", size=1500)
    profile = load_profile("nodemcu", ["tls.heap_budget=40KiB", "tls.in_buffer=8KiB"])
    with pytest.raises(ConfigError) as caught:
        check_budget(profile, predict_heap(profile, make_chain(big, big)))
    free = f"a script of ten lines with a stored CA has {find_free_heap():,} free"
    assert f"tls.heap_budget allows 40,960, and {free}" in caught.value.message
    assert "raise the budget" not in str(caught.value.hint)


def run(*args: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["profile", *map(str, args)])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_the_commands(tmp_path: Path) -> None:
    chain_path, ca_path = write_chain(*issue("ecdsa", 2), tmp_path / "files")
    both = ("--chain", chain_path, "--ca", ca_path)
    heap = predict_heap(load_profile("ecdsa"), load_chain(chain_path, ca_path)).peak.heap
    shown = run("show", "ecdsa", *both).stdout
    assert f"\nHandshake      {heap:,} bytes at the peak of a handshake with this chain" in shown
    assert "  record buffers\n" in shown
    assert "\nHandshake " not in run("show", "ecdsa").stdout
    told = json.loads(run("show", "ecdsa", *both, "--json").stdout)["handshake"]
    assert told["heap"] == heap == sum(told["parts"].values())
    assert json.loads(run("check", "ecdsa", *both, "--json").stdout)["handshake"]["heap"] == heap
    assert f"takes {heap:,} bytes of heap" in run("check", "ecdsa", *both).stdout
    free = f"{find_free_heap():,}"
    assert f"with a stored CA has {free} free" in run("check", "ecdsa", *both).stdout
    assert f"{free} bytes are free in a script of ten lines with a stored CA" in shown
    told = " ".join(run("explain", "ecdsa", "tls.heap_budget").stdout.split())
    assert f"a script of ten lines with a stored CA has {free} bytes free" in told
    over = run("check", "ecdsa", *both, "--set", "tls.heap_budget=8KiB", code=1)
    assert "tls.heap_budget allows 8,192" in over.output
    assert "Hint: Most of it: record buffers 6," in over.output
    # Without a CA it is one with a key like the last certificate's.
    assert f"{heap:,} bytes" in run("show", "ecdsa", "--chain", chain_path).stdout
    assert "--chain" in run("show", "ecdsa", "--ca", ca_path, code=2).output


@pytest.mark.parametrize("command", ["show", "check"])
def test_bad_files(command: str, tmp_path: Path) -> None:
    root, server = issue("ecdsa", 2)
    _, other = issue("ecdsa", 1)
    chain_path, ca_path = write_chain(root, server, tmp_path)
    bad = tmp_path / "bad.pem"
    cases = {
        b"": "is empty",
        make_pem(*reversed((server.certificate, *server.chain))): "which issued it",
        make_pem(server.certificate)[:300]: "has no END line",
    }
    for content, message in cases.items():
        bad.write_bytes(content)
        output = run(command, "default", "--chain", bad, code=1).output
        assert message in output
        assert "Hint: " in output
    assert "No such file" in run(command, "default", "--chain", tmp_path / "no", code=1).output
    bad.write_bytes(make_pem(other.certificate))
    output = run(command, "default", "--chain", chain_path, "--ca", bad, code=1).output
    assert "was issued by a CA in" in output
    rsa = run(command, "default", "--chain", chain_path, "--set", 'tls.digests=["SHA-512"]', code=1)
    assert "tls.digests" in rsa.output
    assert run(command, "default", "--chain", chain_path, "--ca", ca_path)


def test_what_a_chain_file_says(tmp_path: Path) -> None:
    """Names and uses beyond the first are counted, a key in the file is passed over."""
    root = make_authority("rsa")
    server = root.issue_server("ecdsa", HOST, "a.test", "b.test")
    path = tmp_path / "all.pem"
    files = server.write(tmp_path)
    path.write_bytes(files.key_path.read_bytes() + make_pem(server.certificate, root.certificate))
    chain = load_chain(path)
    assert [one.key for one in chain.certificates] == ["secp256r1", "rsa-2048"]
    assert chain.certificates[0].more_items == 2
    assert (chain.length, chain.ca.key) == (1, "rsa-2048")  # the root verifies the first
    assert [one.key for one in chain.verifiers] == ["rsa-2048"]


def test_check_refuses_a_budget_that_no_server_keeps_to() -> None:
    both = ("--set", "tls.in_buffer=16KiB", "--set", "tls.out_buffer=16KiB")
    least = find_least(load_profile("default", both[1::2]))
    told = f"a handshake takes {least.peak.heap:,} bytes of heap at least, tls.heap_budget allows"
    free = f"and a script of ten lines with a stored CA has {find_free_heap():,} free"
    output = run("check", "default", *both, code=1).output
    assert f"Error: {told} 28,672, {free}\nHint: Most of it: record buffers 33," in output
    assert (
        "allows 4,096\n" in run("check", "default", "--set", "tls.heap_budget=4KiB", code=1).output
    )
    raised = (*both, "--set", "tls.heap_budget=64KiB")
    assert f"{told} 65,536, {free}\n" in run("check", "default", *raised, code=1).output


@pytest.mark.parametrize("preset", list_presets())
def test_the_least_is_no_more_than_what_was_measured(preset: str) -> None:
    """What show says of a handshake is enough for check."""
    for settings in ([], ["tls.sni=false"]):
        heap = estimate_cost(load_profile(preset, settings)).cost.heap
        assert heap
        check_least_heap(load_profile(preset, [*settings, f"tls.heap_budget={heap}"]))


RSA_ONLY = ("tls.signatures=RSA,RSA-PSS", "tls.key_exchanges=ECDHE-RSA")


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (
            [
                *("tls.versions=1.3", "tls.keep_peer_certificate=true", "tls.in_buffer=512"),
                *("tls.max_fragment=none", *RSA_ONLY),
            ],
            "tls.in_buffer",
        ),
        (["tls.max_fragment=512", "mbedtls.version=2.28.3", *RSA_ONLY], "tls.max_fragment"),
    ],
)
def test_buffers_that_no_usual_certificate_fits(settings: list[str], key: str) -> None:
    sets = [part for setting in settings for part in ("--set", setting)]
    told = f"{key}: no usual certificate fits: 512 bytes are there for a server's, which are 81"
    assert f"  - {told}" in run("check", "default", *sets).stdout
    assert any(note.startswith(told) for note in list_notes(load_profile("default", settings)))
    assert told in " ".join(run("show", "default", *sets).stdout.split())
    output = run("check", "default", *sets, "--set", "tls.heap_budget=4KiB", code=1).output
    assert "bytes of heap at least, tls.heap_budget allows 4,096" in output


def test_a_build_notes_a_budget_that_no_server_keeps_to_each_time(
    own_build: Path, tmp_path: Path
) -> None:
    assert load_report(own_build)["notes"] == []
    over = ("--set", "tls.heap_budget=7KiB")
    for _ in range(2):
        told = run_build(*over, cwd=tmp_path)
        assert re.search(
            r"(^|\n)Note: a handshake takes [\d,]+ bytes of heap at least,"
            r" tls.heap_budget allows 7,168\.\n",
            told.stderr,
        )
    assert "Nothing to do for" in told.stdout
    (note,) = json.loads(run_build(*over, "--json", cwd=tmp_path).stdout)["notes"]
    assert f"Note: {note}.\n" in told.stderr
    assert load_report(own_build)["notes"] == [note]
