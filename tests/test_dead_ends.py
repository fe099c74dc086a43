"""Profiles that could never speak a version of TLS that they state: refused, in their own terms."""

from __future__ import annotations

import json
import random
from typing import get_args

import pytest
from click.testing import CliRunner
from random_profiles import BOTH, ONLY_1_3, draw_settings

from nodemcu_tls_build.cli import cli
from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile import Profile, list_presets, load_profile
from nodemcu_tls_build.profile import values as v
from nodemcu_tls_build.profile.offer import describe_offer, measure_hello
from nodemcu_tls_build.profile.remarks import list_notes
from nodemcu_tls_build.profile.suites import all_suites

RSA_CCM = (
    'no cipher suite of TLS 1.2 is left: "ECDHE-RSA" in tls.key_exchanges needs "GCM" or "CBC" in'
    ' tls.modes, or "CHACHA20-POLY1305" in tls.ciphers'
)
NO_GROUP = (
    'tls.versions: "1.3" needs "secp256r1", "secp384r1", "secp521r1" or "x25519" in tls.curves'
)
NO_SIGNATURE = (
    'tls.versions: "1.3" has no signature algorithm left: "ECDSA" in tls.signatures needs'
)


@pytest.mark.parametrize(
    ("preset", "settings", "problems"),
    [
        (
            "ecdsa",
            ["tls.key_exchanges=ECDHE-RSA", "tls.signatures=RSA", "tls.modes=CCM"],
            [f"tls.modes: {RSA_CCM}"],
        ),
        ("nodemcu", ["tls.key_exchanges=ECDHE-RSA", "tls.modes=CCM"], [f"tls.modes: {RSA_CCM}"]),
        (
            "default",
            [
                *("tls.key_exchanges=RSA", "tls.modes=CTR"),
                "tls.ciphers=AES,CHACHA20-POLY1305",
            ],
            [
                'tls.modes: no cipher suite of TLS 1.2 is left: "RSA" in tls.key_exchanges needs'
                ' "GCM", "CCM", "CBC" or "CCM_8" in tls.modes'
            ],
        ),
        (
            "default",
            [*ONLY_1_3, "tls.modes=CBC"],
            [
                'tls.modes: no cipher suite of TLS 1.3 is left: TLS needs "GCM", "CCM" or "CCM_8"'
                ' in tls.modes, or "CHACHA20-POLY1305" in tls.ciphers'
            ],
        ),
        ("default", [*BOTH, "tls.curves=secp256k1"], [NO_GROUP]),
        ("default", [*ONLY_1_3, "tls.curves=secp256k1"], [NO_GROUP]),
        (
            "default",
            [
                *ONLY_1_3,
                *("tls.signatures=ECDSA", "tls.key_exchanges=ECDHE-ECDSA"),
                "tls.curves=x25519,brainpoolP256r1",
            ],
            [f'{NO_SIGNATURE} "secp256r1", "secp384r1" or "secp521r1" in tls.curves'],
        ),
        *(
            (
                "ecdsa",
                [*versions, "tls.curves=secp384r1", "tls.digests=SHA-256"],
                [f'{NO_SIGNATURE} "secp256r1" in tls.curves, or "SHA-384" in tls.digests'],
            )
            for versions in (ONLY_1_3, BOTH)
        ),
        (
            "ecdsa",
            [*ONLY_1_3, "tls.curves=x25519,secp521r1"],
            [
                f'{NO_SIGNATURE} "secp256r1" or "secp384r1" in tls.curves, or "SHA-512" in'
                " tls.digests"
            ],
        ),
        (
            "default",
            [
                *(*BOTH, "tls.curves=secp384r1", "tls.digests=SHA-256"),
                "tls.key_exchanges=ECDHE-ECDSA",
            ],
            [
                'tls.versions: "1.2" beside "1.3" has no signature algorithm left: "ECDHE-ECDSA" in'
                ' tls.key_exchanges needs "secp256r1" in tls.curves, or "SHA-384" in tls.digests'
            ],
        ),
    ],
)
def test_a_version_that_nothing_is_left_of(
    preset: str, settings: list[str], problems: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_profile(preset, settings)
    assert list(caught.value.problems) == [f"--set: {problem}" for problem in problems]


@pytest.mark.parametrize("version", get_args(v.Version))
def test_suites_that_are_named_and_leave_a_version_out(version: str) -> None:
    other = next(suite for suite in all_suites() if suite.version != version and suite.mode)
    with pytest.raises(ConfigError) as caught:
        load_profile("default", [*BOTH, f"tls.cipher_suites={other.name}", "tls.modes=GCM"])
    sentence = f"tls.cipher_suites: names no suite of TLS {version}, which tls.versions has"
    assert any(sentence in problem for problem in caught.value.problems)


def test_protocol_names_that_no_hello_has_room_for() -> None:
    names = ",".join(f"{number:03}{'x' * 252}" for number in range(20))
    with pytest.raises(ConfigError) as caught:
        load_profile("default", [f"tls.alpn={names}"])
    assert list(caught.value.problems) == [
        "--set: tls.out_buffer: 4,096 bytes hold no ClientHello of 5,623, with a host name of"
        " 64 and a ticket of 224"
    ]
    assert load_profile("default", [f"tls.alpn={names}", "tls.out_buffer=8KiB"]).tls.alpn


def list_what_is_missing(profile: Profile) -> list[str]:
    """Say which lists of a hello a version cannot do without, and finds empty."""
    offer, missing = describe_offer(profile), []
    for version in profile.tls.versions:
        suites = [suite for suite in offer.suites if suite.version == version]
        signatures = {algorithm.signature for algorithm in offer.signature_algorithms}
        groups = [group for group in offer.groups if version == "1.2" or group.is_in_1_3]
        exchanges = {suite.key_exchange or "ECDHE-" for suite in suites}
        if not suites:
            missing.append(f"{version}: no suite")
        if any(exchange.startswith("ECDHE") for exchange in exchanges) and not groups:
            missing.append(f"{version}: no group")
        if not signatures & ({"ECDSA", "RSA-PSS"} if version == "1.3" else {"ECDSA", "RSA"}):
            missing.append(f"{version}: no signature algorithm")
        kinds = {exchange.rpartition("-")[2] for exchange in exchanges}
        if version == "1.2" and exchanges != {"RSA"} and not kinds & signatures:
            missing.append("1.2: no signature algorithm for any key exchange")
    return missing


def test_no_profile_that_is_right_lacks_what_a_version_needs() -> None:
    source = random.Random(5)  # noqa: S311 -- the same each time
    right = 0
    for _ in range(600):
        settings = draw_settings(source)
        try:
            profile = load_profile("default", settings)
        except ConfigError:
            continue
        right += 1
        assert list_what_is_missing(profile) == [], settings
        assert measure_hello(profile) < 700
    assert right > 100


UNUSED = 'tls.key_exchanges: "ECDHE-RSA" is for nothing: no cipher suite'


@pytest.mark.parametrize(
    ("settings", "remarks"),
    [
        ([], []),
        (
            ["tls.modes=CCM", "tls.key_exchanges=ECDHE-ECDSA,ECDHE-RSA"],
            [f"{UNUSED} that is left can use it"],
        ),
        (
            [
                *("tls.cipher_suites=TLS_RSA_WITH_AES_128_CCM", "tls.modes=CCM"),
                "tls.key_exchanges=RSA,ECDHE-RSA",
            ],
            [f"{UNUSED} of tls.cipher_suites can use it"],
        ),
        (["mbedtls.version=2.28.3"], []),
        (
            ["mbedtls.version=2.28.3", "tls.max_fragment=512"],
            [
                "tls.max_fragment: mbedTLS 2.28.3 puts no message together from several records:"
                " all certificates of a server have to fit 512 bytes"
            ],
        ),
    ],
)
def test_what_is_stated_in_vain_is_remarked_on(settings: list[str], remarks: list[str]) -> None:
    args = [part for setting in settings for part in ("--set", setting)]
    command = ["profile", "check", "default", *args]
    shown = CliRunner().invoke(cli, command)
    assert shown.exit_code == 0
    assert [line for line in shown.stdout.splitlines() if line.startswith("  - ")] == [
        f"  - {remark}" for remark in remarks
    ]
    assert json.loads(CliRunner().invoke(cli, [*command, "--json"]).stdout)["remarks"] == remarks
    assert list_notes(load_profile("default", settings)) == remarks


def test_no_preset_is_remarked_on() -> None:
    assert {name: list_notes(load_profile(name)) for name in list_presets()} == {
        name: [] for name in list_presets()
    }
