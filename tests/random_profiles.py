"""Profiles by chance, the same each time: settings for `load_profile`."""

from __future__ import annotations

import random
from typing import Any, get_args

from nodemcu_tls_build.profile import values as v

ONLY_1_3 = (
    *("tls.versions=1.3", "tls.max_fragment=none"),
    "tls.keep_peer_certificate=true",
)
BOTH = ("tls.versions=1.2,1.3", "tls.keep_peer_certificate=true")
CHOICES: dict[str, tuple[Any, ...]] = {
    "key_exchanges": get_args(v.KeyExchange),
    "ciphers": get_args(v.Cipher),
    "modes": get_args(v.Mode),
    "digests": get_args(v.Digest),
    "signatures": get_args(v.Signature),
    "curves": get_args(v.Curve),
}
NEEDED = {"ciphers": "AES", "digests": "SHA-256"}  # without which every profile is refused


OTHERS: dict[str, tuple[str, ...]] = {
    "mbedtls.version": ("3.6.6", "2.28.3", "2.16.3"),
    "mbedtls.debug": ("true", "false"),
    "optimise.mbedtls": get_args(v.Goal),
    "optimise.lua": get_args(v.Goal),
    "crypto.aes_tables": ("flash", "ram"),
    "crypto.small_camellia": ("true", "false"),
    "crypto.max_key_bits": ("2048", "3072", "8192"),
    "crypto.mpi_window": ("1", "2", "3", "4", "5", "6"),
    "crypto.ecp_window": ("2", "3", "4", "5", "6", "7"),
    "crypto.ecp_fixed_point": ("true", "false"),
    "crypto.nist_reduction": ("true", "false"),
    "tls.in_buffer": ("512", "1KiB", "2KiB", "4KiB", "8KiB", "16KiB"),
    "tls.out_buffer": ("512", "1KiB", "2KiB", "4KiB", "8KiB", "16KiB"),
    "tls.max_fragment": ("none", "512", "1KiB", "2KiB", "4KiB"),
    "tls.idle_buffers": ("keep", "shrink", "release"),
    "tls.resumption": ("true", "false"),
    "tls.sessions": ("1", "4", "16"),
    "tls.alpn": ("mqtt", "http/1.1,mqtt"),
    "tls.sni": ("true", "false"),
    "tls.verify_dates": ("true", "false"),
    "tls.keep_peer_certificate": ("true", "false"),
    "tls.max_chain": ("0", "3", "8"),
}


def draw_others(source: random.Random) -> list[str]:
    """Return settings of which hardly any rules the others out."""
    keys = source.sample(sorted(OTHERS), source.randint(1, 6))
    return [f"{key}={source.choice(OTHERS[key])}" for key in keys]


def draw_settings(source: random.Random) -> list[str]:
    """Return lists of what TLS has, each in itself right."""
    settings = []
    for key, choices in CHOICES.items():
        members = source.sample(choices, source.randint(1, len(choices)))
        if key in NEEDED and NEEDED[key] not in members:
            members.append(NEEDED[key])
        settings.append(f"tls.{key}={','.join(members)}")
    settings += source.choice([ONLY_1_3, BOTH, ("tls.versions=1.2",)])
    return settings
