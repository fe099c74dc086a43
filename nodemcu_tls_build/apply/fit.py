"""Fit a profile to a tree: to its version of mbedTLS, and to what its code does without."""

from __future__ import annotations

from collections.abc import Sequence

from nodemcu_tls_build.apply.tree import Tree
from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile import Profile, load_profile

_VERSION = "mbedtls.version"
_CAN_ALL = "3.6.6"
# What a version always does, whatever a profile says.
_ALWAYS = {"2.16.3": ("tls.keep_peer_certificate=true", "tls.idle_buffers=keep")}


def fit_profile(
    name_or_path: str, settings: Sequence[str], tree: Tree
) -> tuple[Profile, tuple[str, ...]]:
    """Return the profile as the tree can have it, and the settings that have no effect there.

    Raises ConfigError for a profile that is wrong, or that asks for what the tree's mbedTLS lacks.
    """
    asked = load_profile(name_or_path, [*settings, f"{_VERSION}={_CAN_ALL}"])
    version = tree.profile_version
    try:
        fitted = [f"{_VERSION}={version}", *_ALWAYS.get(version, ())]
        profile = load_profile(name_or_path, [*settings, *fitted])
    except ConfigError as error:
        hint = f"{_VERSION} is the tree's: {tree.path} has mbedTLS {tree.version}."
        raise ConfigError(error.message, f"{hint} {error.hint}", error.problems) from error
    return profile, tuple(_list_without_effect(asked, profile))


def _list_without_effect(asked: Profile, fitted: Profile) -> list[str]:
    idle = asked.tls.idle_buffers
    without = {
        "tls.alpn": bool(asked.tls.alpn),
        "tls.verify": asked.tls.verify,
        f'tls.idle_buffers = "{idle}"': idle == "release" or idle != fitted.tls.idle_buffers,
    }
    return [key for key, is_set in without.items() if is_set]
