"""What a profile that nobody measured costs: possible figures, of the handshake that it makes."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from random_profiles import draw_others, draw_settings

from nodemcu_tls_build.build import _read_files
from nodemcu_tls_build.cli import cli
from nodemcu_tls_build.errors import ConfigError, ImageError
from nodemcu_tls_build.profile import list_presets, load_profile
from nodemcu_tls_build.profile.buffers import measure_idle
from nodemcu_tls_build.profile.costs import load_costs
from nodemcu_tls_build.profile.estimate import Estimate, estimate_cost
from nodemcu_tls_build.profile.heap import predict_heap
from nodemcu_tls_build.profile.limits import check_limits
from nodemcu_tls_build.profile.savings import suggest_smaller
from nodemcu_tls_build.profile.usual import find_usual, list_usual_chains, make_chain


def estimate(preset: str, *settings: str) -> Estimate:
    return estimate_cost(load_profile(preset, settings))


def show(preset: str, *settings: str) -> str:
    args = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(cli, ["profile", "show", preset, *args])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_figures_are_possible() -> None:
    source = random.Random(7)  # noqa: S311 -- the same each time
    right = 0
    for number in range(350):
        preset = source.choice(list_presets())
        settings = draw_others(source)
        if number % 3 == 0:
            settings += draw_settings(source)
        try:
            profile = load_profile(preset, settings)
        except ConfigError:
            continue
        right += 1
        found = estimate_cost(profile)
        cost, text = found.cost, (preset, settings, found)
        assert 200_000 < cost.flash < 500_000, text
        assert 1_000 < cost.dram < 6_000, text
        assert cost.idle is None or measure_idle(profile) < cost.idle < 50_000, text
        assert cost.instructions is None or 40e6 < cost.instructions < 5e9, text
        if cost.heap is not None:
            predicted = predict_heap(profile, make_chain(find_usual(profile).key)).peak.heap
            assert abs(cost.heap - predicted) < 0.1 * predicted, text
    assert right > 120


def test_idle_buffers_that_are_there_no_more_are_not_counted_twice() -> None:
    kept, released = estimate("ecdsa").cost, estimate("ecdsa", "tls.idle_buffers=release").cost
    mqtt = estimate("mqtt").cost
    assert kept.idle is not None
    assert released.idle is not None
    assert mqtt.idle is not None
    assert kept.idle - released.idle == measure_idle(load_profile("ecdsa")) - 8
    assert abs(released.idle - mqtt.idle) < 200
    large = estimate("mqtt", "tls.in_buffer=16KiB", "tls.idle_buffers=release").cost
    assert large.idle == mqtt.idle


def test_what_tls_1_3_leaves_is_known_where_it_was_measured() -> None:
    """It does not add up: tiny with it has a few hundred bytes more than tiny, not thousands."""
    kept = "tls.keep_peer_certificate=true"
    alone = ("tls.versions=1.3", "tls.max_fragment=none", kept)
    assert estimate("default", *alone).cost.idle
    assert estimate("default", "tls.versions=1.2,1.3", kept).cost.idle
    assert estimate("default", *alone, "tls.idle_buffers=release").cost.idle is None
    tiny = ("tiny", *alone, "tls.cipher_suites=[]")
    assert estimate(*tiny).cost.idle is None
    assert "not measured: bytes of heap for an open connection" in show(*tiny)


def test_instructions_are_those_of_the_key_exchange() -> None:
    table = load_costs()
    dhe = table.handshakes["dhe"].instructions
    ecdsa = table.base.instructions
    assert dhe
    assert ecdsa
    for settings in (
        ["tls.cipher_suites=TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"],
        ["tls.key_exchanges=DHE-RSA"],
    ):
        found = estimate("default", *settings)
        assert str(found.handshake) == "DHE-RSA"
        assert found.cost.instructions is not None
        assert abs(found.cost.instructions - dhe) < 0.01 * dhe
        assert not found.is_measured
    for window in (1, 3, 4, 5, 6):
        found = estimate("default", f"crypto.mpi_window={window}")
        assert str(found.handshake) == "ECDHE-ECDSA on secp256r1"
        assert found.cost.instructions is not None
        assert abs(found.cost.instructions - ecdsa) < 0.01 * ecdsa
    slow = estimate("default", "tls.key_exchanges=DHE-RSA", "crypto.mpi_window=1").cost
    assert slow.instructions is not None
    assert slow.instructions > 1.2 * dhe
    unknown = estimate("default", "tls.key_exchanges=DHE-RSA", "crypto.mpi_window=6").cost
    assert unknown.instructions is None


def test_the_first_curve_is_what_keys_are_agreed_on_in() -> None:
    base = load_costs().base.instructions
    assert base
    first = estimate("default", "tls.curves=secp384r1,secp256r1")
    assert str(first.handshake) == "ECDHE-ECDSA on secp384r1"
    assert first.cost.instructions is not None
    assert first.cost.instructions > base + 50e6
    alone = estimate("default", "tls.curves=secp384r1")
    assert str(alone.handshake) == "ECDHE-ECDSA on secp384r1, a key on secp384r1"
    assert alone.cost.instructions is None  # no such key was measured


def test_what_is_called_measured_was_measured() -> None:
    assert estimate("ecdsa", "tls.heap_budget=64KiB", "board.flash_size=512KiB").is_measured
    assert estimate("ecdsa", "crypto.small_camellia=false").is_measured  # it has no Camellia
    sessions = estimate("default", "tls.sessions=16")
    assert (sessions.is_measured, sessions.unknown) == (False, ("tls.sessions",))
    assert not estimate("default", "tls.max_fragment=1KiB").is_measured


def test_what_is_not_known_is_told() -> None:
    shown = show("default", "tls.key_exchanges=DHE-RSA", "crypto.mpi_window=6")
    assert "\n               not measured: instructions for a handshake\n" in shown
    shown = show("default", "tls.key_exchanges=RSA")
    assert "not measured: bytes of heap for an open connection\n" in shown
    assert "handshake: RSA\n" in shown
    shown = show("default", "tls.max_fragment=1KiB")
    assert "estimated, from the preset default" in shown
    assert "15,192 bytes of heap at the peak" in shown
    assert show("default", "tls.sessions=16").count("without tls.sessions") == 1
    args = ["profile", "diff", "default", "default", "--set", "tls.max_fragment=1KiB", "--json"]
    found = json.loads(CliRunner().invoke(cli, args).stdout)
    assert found["costs"][1]["handshake"] == "ECDHE-ECDSA on secp256r1"


@pytest.mark.parametrize("preset", list_presets())
def test_usual_chains_are_those_that_a_profile_can_verify(preset: str) -> None:
    profile = load_profile(preset)
    keys = {chain.certificates[0].key for chain in list_usual_chains(profile)}
    assert "secp256r1" in keys
    assert ("rsa-2048" in keys) == ("RSA" in profile.tls.signatures)
    for chain in list_usual_chains(profile):
        predict_heap(profile, chain)


LARGE = (
    *("board.flash_size=512KiB", "tls.versions=1.2,1.3", "tls.keep_peer_certificate=true"),
    *("mbedtls.debug=true", "crypto.ecp_fixed_point=true", "crypto.aes_fewer_tables=false"),
    *(f"optimise.{part}=speed" for part in ("mbedtls", "lwip", "lua", "firmware")),
    *("tls.curves=secp256r1,secp384r1,secp521r1,brainpoolP512r1,x25519,secp256k1",),
)


def check(*settings: str, code: int) -> str:
    args = [part for setting in settings for part in ("--set", setting)]
    result = CliRunner().invoke(cli, ["profile", "check", "default", *args])
    assert result.exit_code == code, result.output
    return result.output


def test_an_image_that_the_flash_may_have_no_room_for_is_remarked_on() -> None:
    """An estimate rules nothing out: only a build knows."""
    told = check(*LARGE, code=0)
    assert "\n  - the code takes about 43" in told
    assert ", board.flash_size has room for 421,888 (estimated: a build tells). " in told
    assert 'board.flash_size is "512KiB", or take "1MiB" if the board has it. ' in told
    assert 'What takes most: tls.versions without "1.3" saves about 40,' in told
    assert "mbedtls.debug = false saves about 29,024" in told
    assert "the code takes" not in check(*LARGE, "board.flash_size=1MiB", code=0)


def test_an_image_that_was_measured_is_refused_where_it_has_no_room() -> None:
    default = load_profile("default", ["tls.heap_budget=4KiB"])
    board = default.board.model_copy(update={"flash_size": 256 * 1024})  # which no board has
    with pytest.raises(ConfigError) as caught:
        check_limits(default.model_copy(update={"board": board}))
    flash, heap = caught.value.problems
    assert re.match(r"the code takes about 30\d,\d+ bytes of flash, board.flash_size has", flash)
    assert heap.startswith("a handshake takes")
    assert 'board.flash_size is "256KiB"' in str(caught.value.hint)


def test_tables_of_aes_in_ram_are_measured_with_their_number() -> None:
    """Four tables there are four times as many bytes; in flash they take none of it."""
    one, four = (
        estimate("default", "crypto.aes_tables=ram", f"crypto.aes_fewer_tables={few}").cost
        for few in ("true", "false")
    )
    assert four.dram - one.dram == 2 * 3 * 1024  # three tables more, for either direction
    assert abs(four.flash - one.flash) < 1024
    assert estimate("nodemcu", "crypto.aes_tables=ram").cost.dram > four.dram
    args = ["profile", "explain", "default", "crypto.aes_fewer_tables", "--set"]
    told = CliRunner().invoke(cli, [*args, "crypto.aes_tables=ram"]).stdout
    assert re.search(r'^false \(aes_tables "ram"\) +-2,\d+ +\+8,752 ', told, re.MULTILINE), told


def test_suggestions_are_for_profiles_that_are_right() -> None:
    hint = suggest_smaller(load_profile("tiny"))
    assert 'board.flash_size is "1MiB". What takes most: ' in hint
    assert "tls.modes" not in hint
    assert "tls.digests" not in hint


def test_a_build_that_is_too_large_is_told_so_by_its_keys(whole_build: Path) -> None:
    default = load_profile("default")
    board = default.board.model_copy(update={"flash_size": 256 * 1024})  # which no board has
    with pytest.raises(ImageError) as caught:
        _read_files(whole_build / "work", default.model_copy(update={"board": board}))
    assert "a flash of 262,144 has room for" in caught.value.message
    assert caught.value.hint
    assert caught.value.hint.startswith('board.flash_size is "256KiB", or take "1MiB"')
    assert 'tls.ciphers without "CAMELLIA" saves about 5,' in caught.value.hint
