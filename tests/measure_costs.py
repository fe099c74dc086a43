"""Measure what each setting costs, and write the table that `profile explain` reads.

`.venv/bin/python tests/measure_costs.py [KEY...]`: each variant is the default profile with one
setting changed, built as a user builds it, with a handshake on the emulated chip. With keys, only
their variants are measured anew; `presets` stands for the presets, `base` for the default profile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

from builds import run_build
from handshake_cost import HANDSHAKES, Site, measure_build, run_sites

from nodemcu_tls_build.errors import ConfigError
from nodemcu_tls_build.profile import Profile, list_presets, load_profile
from nodemcu_tls_build.profile import values as v
from nodemcu_tls_build.profile.costs import Cost, hash_keys, hash_settings, read_settings
from nodemcu_tls_build.profile.settings import get_setting, list_setting_keys
from nodemcu_tls_build.toolchain import find_compiler

TABLE_PATH = Path(load_profile.__code__.co_filename).with_name("costs.json")
_LISTS = {
    "tls.versions": v.Version,
    "tls.key_exchanges": v.KeyExchange,
    "tls.ciphers": v.Cipher,
    "tls.modes": v.Mode,
    "tls.digests": v.Digest,
    "tls.signatures": v.Signature,
    "tls.curves": v.Curve,
}
_VALUES: dict[str, Sequence[Any]] = {
    "mbedtls.version": ["2.28.3", "2.16.3"],
    "mbedtls.debug": [True],
    **{f"optimise.{part}": ["speed"] for part in ("mbedtls", "lwip", "lua", "firmware")},
    "crypto.aes_tables": ["ram"],
    "crypto.aes_fewer_tables": [False],
    "crypto.small_digests": [False],
    "crypto.small_camellia": [False],
    "crypto.max_key_bits": [2048, 8192],
    "crypto.mpi_window": [1, 4, 6],
    "crypto.ecp_window": [4, 6],
    "crypto.ecp_fixed_point": [True],
    "crypto.nist_reduction": [False],
    "tls.versions": [["1.3"]],
    "tls.signatures": [["ECDSA"]],
    "tls.in_buffer": [2048, 8192, 16384],
    "tls.out_buffer": [1024, 2048, 16384],
    "tls.max_fragment": [512, "none"],
    "tls.idle_buffers": ["shrink", "release"],
    "tls.resumption": [False],
    "tls.alpn": [["mqtt"]],
    "tls.sni": [False],
    "tls.verify_dates": [False],
    "tls.keep_peer_certificate": [True],
    "tls.max_chain": [0, 8],
}
_UNMEASURED = {
    "board.name": "there is one board",
    "board.flash_size": "the code is the same",
    "board.flash_mode": "the emulator reads flash at once; on a chip fewer lines are slower",
    "board.flash_frequency": "the emulator reads flash at once; on a chip a slower clock is slower",
    "tls.cipher_suites": "the list takes 2 bytes a suite; code is left out by the other settings",
    "tls.sessions": "0.2 to 0.6 KB of heap for each server that is remembered",
    "tls.verify": "every handshake here is verified, whoever asked for it",
    "tls.heap_budget": "it is a limit",
}
# What has to be changed along with a setting, by the setting.
_NEEDS: dict[str, dict[str, Any]] = {
    'tls.versions=["1.2", "1.3"]': {"tls.keep_peer_certificate": True},
    'tls.versions=["1.3"]': {"tls.keep_peer_certificate": True, "tls.max_fragment": "none"},
    'tls.signatures=["RSA", "RSA-PSS"]': {"tls.key_exchanges": ["ECDHE-RSA", "DHE-RSA"]},
    'tls.signatures=["ECDSA"]': {"tls.key_exchanges": ["ECDHE-ECDSA"]},
    'mbedtls.version="2.16.3"': {"tls.keep_peer_certificate": True},
    "tls.in_buffer=2048": {"tls.max_fragment": 2048},
    'tls.idle_buffers="shrink"': {"tls.max_fragment": 2048},
}
# What costs something else beside another setting than alone: it is measured both ways.
_BESIDE: dict[str, dict[str, Any]] = {
    "crypto.aes_fewer_tables=false": {"crypto.aes_tables": "ram"},
}
# Extra values that others need: they are measured alone, too.
_NEEDED = {"tls.max_fragment": [2048], "tls.key_exchanges": [["ECDHE-ECDSA"]]}
_HANDSHAKES = {"crypto.mpi_window": "dhe"}
# What changes the arithmetic is measured with every kind of it.
_ARITHMETIC = {
    *("mbedtls.version", "optimise.mbedtls", "crypto.mpi_window", "crypto.ecp_window"),
    *("crypto.ecp_fixed_point", "crypto.nist_reduction"),
}
_KINDS = ("ecdsa", "rsa", "dhe")


@dataclass(frozen=True)
class Plan:
    """A variant to measure."""

    key: str
    value: Any
    needs: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        return {self.key: self.value} | self.needs

    @property
    def text(self) -> str:
        return f"{self.key}={json.dumps(self.value)}"


@contextmanager
def use_caching_compiler(directory: Path) -> Iterator[None]:
    """Have builds compile again only what a changed macro changes."""
    objects_dir = directory / "objects"
    objects_dir.mkdir()
    compiler_path = directory / "bin" / "xtensa-lx106-elf-gcc"
    compiler_path.parent.mkdir()
    compiler_path.symlink_to(Path(__file__).with_name("caching_compiler.sh"))
    variables = {"COMPILER": str(find_compiler().path), "OBJECTS": str(objects_dir)}
    with patch.dict(os.environ, NODEMCU_TLS_CC=str(compiler_path), **variables):
        yield


def list_plans() -> Iterator[Plan]:
    """Yield every variant of the default profile that is worth a build."""
    default = load_profile("default")
    for key in list_setting_keys():
        wanted = [*_VALUES.get(key, []), *_NEEDED.get(key, [])]
        if key in _LISTS:
            wanted += _change_list(get_setting(default, key), get_args(_LISTS[key]))
        if key == "tls.curves":
            wanted += _put_first(get_setting(default, key), get_args(_LISTS[key]))
        for value in wanted:
            plan = Plan(key, value)
            plan = Plan(key, value, _NEEDS.get(plan.text, {}))
            with suppress(ConfigError):  # what cannot be left out
                load(plan.settings)
                yield plan
            if plan.text in _BESIDE:
                yield Plan(key, value, _BESIDE[plan.text])


def _change_list(base: list[str], choices: Sequence[str]) -> Iterator[list[str]]:
    for choice in choices:
        if choice in base:
            yield [member for member in base if member != choice]
        else:
            yield [*base, choice]


def _put_first(base: list[str], choices: Sequence[str]) -> Iterator[list[str]]:
    for choice in choices:
        if choice != base[0]:
            yield [choice, *(member for member in base if member != choice)]


def format_settings(settings: dict[str, Any]) -> list[str]:
    """Return settings as `--set` takes them."""
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def load(settings: dict[str, Any]) -> Profile:
    return load_profile("default", format_settings(settings))


def choose_handshake(profile: Profile, key: str = "") -> str:
    """Return the kind of handshake that shows what a setting does, or that the profile can do."""
    if key in _HANDSHAKES:
        return _HANDSHAKES[key]
    tls = profile.tls
    if "ECDHE-ECDSA" not in tls.key_exchanges or "secp256r1" not in tls.curves:
        return "rsa"
    return "ecdsa" if "GCM" in tls.modes else "cbc"


class Bench:
    """The servers, and an output directory for the builds with each mbedTLS."""

    def __init__(self, directory: Path, sites: dict[str, Site]) -> None:
        self._directory = directory
        self._sites = sites
        self._bases: dict[str, Cost] = {}

    def measure(self, handshake: str, profile: Profile, *args: str) -> Cost:
        """Build the profile, which these arguments name, and measure."""
        out_dir = self._directory / profile.mbedtls.version
        result = run_build("--out", out_dir, *args, cwd=self._directory)
        assert result.returncode == 0, result.stderr
        return measure_build(out_dir, self._sites[handshake], self._directory / "link")

    def measure_variant(self, plan: Plan, handshake: str) -> Cost:
        """Return what a variant takes more than the default profile with the same handshake."""
        sets = [part for text in format_settings(plan.settings) for part in ("--set", text)]
        cost = self.measure(handshake, load(plan.settings), *sets)
        return cost - self.measure_base(handshake)

    def describe_variant(self, plan: Plan) -> dict[str, Any]:
        """Return a variant's entry in the table."""
        handshake = choose_handshake(load(plan.settings), plan.key)
        cost = self.measure_variant(plan, handshake)
        entry = {
            "key": plan.key,
            "value": plan.value,
            "needs": plan.needs,
            "handshake": handshake,
            "cost": cost.to_dict(),
        }
        if plan.key in _ARITHMETIC:
            others = [kind for kind in _KINDS if kind != handshake]
            entry["instructions"] = {
                kind: self.measure_variant(plan, kind).instructions for kind in others
            }
        print(plan.text, cost, entry.get("instructions", ""), flush=True)
        return entry

    def measure_base(self, handshake: str) -> Cost:
        """Return what the default profile takes, with such a handshake."""
        if handshake not in self._bases:
            self._bases[handshake] = self.measure(handshake, load_profile("default"))
        return self._bases[handshake]


def describe_base(bench: Bench) -> dict[str, Any]:
    costs = {name: bench.measure_base(name).to_dict() for name in HANDSHAKES}
    return {"settings": read_settings(load_profile("default")), "handshakes": costs}


def measure_presets(bench: Bench) -> list[dict[str, Any]]:
    entries = []
    for name in list_presets():
        profile = load_profile(name)
        handshake = choose_handshake(profile)
        cost = bench.measure(handshake, profile, "--profile", name)
        entries.append(
            {
                "name": name,
                "settings": hash_settings(read_settings(profile)),
                "handshake": handshake,
                "cost": cost.to_dict(),
            }
        )
        print(name, cost, flush=True)
    return entries


def measure_all(bench: Bench, table: dict[str, Any], wanted: Sequence[str]) -> None:
    """Measure what is wanted into the table, which is written after each variant."""
    kept = {_identify(Plan(it["key"], it["value"], it["needs"])): it for it in table["variants"]}
    plans = list(list_plans())
    table |= {
        "base": describe_base(bench) if not wanted or "base" in wanted else table["base"],
        "unmeasured": _UNMEASURED,
        "keys": hash_keys(),
        "conditions": {
            "mbedtls": load_profile("default").mbedtls.version,
            "compiler": find_compiler().version,
            "handshake": "ECDHE-ECDSA, AES-256-GCM, secp256r1, a chain of one, verified; ECDHE-RSA"
            " where that cannot be had; DHE-RSA of 2048 bits for crypto.mpi_window",
        },
    }
    if not wanted or "presets" in wanted:
        table["presets"] = measure_presets(bench)
    for plan in plans:
        at = _identify(plan)
        if wanted and plan.key not in wanted:
            continue
        try:
            kept[at] = bench.describe_variant(plan)
        except (AssertionError, subprocess.SubprocessError) as error:
            print(plan.text, "cannot be measured:", error, flush=True)
            continue
        order = [_identify(plan) for plan in plans]
        table["variants"] = [kept[at] for at in order if at in kept]
        write_table(table)
    write_table(table)


def _identify(plan: Plan) -> str:
    return f"{plan.text} {json.dumps(plan.needs)}"


def write_table(table: dict[str, Any]) -> None:
    """Write the table so that a change of one number is a change of one line."""
    lines = []
    for name, part in table.items():
        if isinstance(part, list):
            entries = ",\n".join(f"    {json.dumps(entry)}" for entry in part)
            lines.append(f'  "{name}": [\n{entries}\n  ]')
        else:
            lines.append(f'  "{name}": {json.dumps(part)}')
    TABLE_PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main() -> None:
    wanted = sys.argv[1:]
    table = json.loads(TABLE_PATH.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="nodemcu-tls-costs-") as name:
        directory = Path(name)
        with use_caching_compiler(directory), run_sites(directory) as sites:
            measure_all(Bench(directory, sites), table, wanted)


if __name__ == "__main__":
    main()
