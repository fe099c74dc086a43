"""What mbedTLS's own headers refuse, in the profile's terms: the model's checks are left out."""

from __future__ import annotations

from typing import Any

import pytest
from native_build import find_tree
from test_options import VERSIONS, make_profile

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile import check_macros, find_refusals

RSA = '"RSA" in tls.signatures'
NOT_X25519 = (
    '"brainpoolP256r1" or "brainpoolP384r1" or "brainpoolP512r1" or "secp256k1" or "secp256r1"'
    ' or "secp384r1" or "secp521r1" in tls.curves'
)


def refuse(version: str, **tls: Any) -> list[str]:
    """Return what mbedTLS refuses of the default profile with these settings."""
    profile = make_profile(version)
    profile = profile.model_copy(update={"tls": profile.tls.model_copy(update=tls)})
    return find_refusals(profile, find_tree("mbedtls", version).path / "include")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_default_is_refused_by_none(version: str) -> None:
    assert refuse(version) == []
    check_macros(make_profile(version), find_tree("mbedtls", version).path / "include")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        (
            {"key_exchanges": ("DHE-RSA", "RSA"), "signatures": ("ECDSA",)},
            [
                f'tls.key_exchanges: "DHE-RSA" needs {RSA}',
                f'tls.key_exchanges: "RSA" needs {RSA}',
            ],
        ),
        (
            {"key_exchanges": ("ECDHE-ECDSA",), "signatures": ("RSA",)},
            ['tls.key_exchanges: "ECDHE-ECDSA" needs "ECDSA" in tls.signatures'],
        ),
        (
            {"key_exchanges": ("RSA",), "signatures": ("RSA-PSS",)},
            [f'tls.key_exchanges: "RSA" needs {RSA}', f'tls.signatures: "RSA-PSS" needs {RSA}'],
        ),
        (
            {"key_exchanges": ("ECDHE-RSA",), "signatures": ("RSA",), "curves": ()},
            ['tls.key_exchanges: "ECDHE-RSA" needs a value in tls.curves'],
        ),
        ({"ciphers": ("CAMELLIA",)}, ['mbedtls.version: this mbedTLS needs "AES" in tls.ciphers']),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_what_a_setting_needs(version: str, settings: dict[str, Any], sentences: list[str]) -> None:
    assert sorted(refuse(version, **settings)) == sorted(sentences)


def test_what_newer_releases_know_better() -> None:
    assert refuse("3.6.6", curves=("x25519",)) == [f'tls.signatures: "ECDSA" needs {NOT_X25519}']
    assert refuse("3.6.6", versions=("1.2", "1.3")) == [
        'tls.versions: "1.3" needs tls.keep_peer_certificate = true'
    ]
    assert refuse("3.6.6", versions=("1.2", "1.3"), keep_peer_certificate=True) == []
    assert refuse("3.6.6", digests=("SHA-1",)) == [
        'mbedtls.version: this mbedTLS needs "SHA-256" or "SHA-384" in tls.digests'
    ]


@pytest.mark.parametrize("version", ["2.28.3", "2.16.3"])
def test_what_older_releases_have_not(version: str) -> None:
    sentence = 'tls.versions: "1.3" needs another mbedtls.version'
    assert refuse(version, versions=("1.2", "1.3")) == [sentence]


def test_every_refusal_at_once() -> None:
    profile = make_profile("2.16.3")
    tls = profile.tls.model_copy(update={"signatures": ("ECDSA",)})
    include_dir = find_tree("mbedtls", "2.16.3").path / "include"
    with pytest.raises(
        ConfigError, match=r"does not go with mbedTLS 2\.16\.3: 2 problems"
    ) as caught:
        check_macros(profile.model_copy(update={"tls": tls}), include_dir)
    assert caught.value.problems == (
        f'tls.key_exchanges: "DHE-RSA" needs {RSA}',
        f'tls.key_exchanges: "ECDHE-RSA" needs {RSA}',
    )
