"""Measure the heap that a handshake is made of, and write the table that predictions read.

`.venv/bin/python tests/measure_heap.py [VERSION...]`: single operations, such as verifying with a
key on a curve, for each mbedTLS and each setting that their heap depends on; and whole handshakes,
step by step, for what is there beside them. With versions, only those are measured anew.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from builds import run_build
from cryptography.hazmat.primitives.serialization import Encoding
from emulated import HOST, run_lua
from handshake_cost import SCRIPT
from measure_costs import format_settings, use_caching_compiler
from peers import run_s_server
from pki import make_authority, make_pem
from relinked_firmware import relink

from nodemcu_tls_build.profile import load_profile
from nodemcu_tls_build.toolchain import find_compiler

TABLE_PATH = Path(load_profile.__code__.co_filename).with_name("heap.json")
VERSIONS = ("3.6.6", "2.28.3", "2.16.3")
_COUNTED = ("malloc", "realloc", "free", "board_chip_id")
_STEPPED = (*_COUNTED, "tls_conn_open", "mbedtls_ssl_handshake_step")
_ALL_CURVES = ["secp256r1", "secp384r1", "secp521r1", "secp256k1", "brainpoolP256r1"]
_ALL_CURVES += ["brainpoolP384r1", "brainpoolP512r1", "x25519"]
# Both windows change together: what depends on one does not on the other.
_WINDOWS = {2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6}


def list_settings(version: str) -> Iterator[dict[str, Any]]:
    """Yield the settings of crypto that heap depends on, as far as they are measured."""
    for fixed, (ecp, mpi) in product((False, True), _WINDOWS.items()):
        yield _make_settings(version, ecp, mpi, fixed=fixed, nist=True)
    yield _make_settings(version, 2, 1, fixed=False, nist=False)


def _make_settings(version: str, ecp: int, mpi: int, *, fixed: bool, nist: bool) -> dict[str, Any]:
    return {
        "mbedtls.version": version,
        "crypto.ecp_window": ecp,
        "crypto.mpi_window": mpi,
        "crypto.ecp_fixed_point": fixed,
        "crypto.nist_reduction": nist,
    }


@dataclass(frozen=True)
class Handshake:
    """One handshake: what the profile has other than the default, and what the server has."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    suite: str = "ECDHE-ECDSA-AES128-GCM-SHA256"
    options: tuple[str, ...] = ()


_EVERY_CIPHER = {
    "tls.ciphers": ["AES", "CAMELLIA", "CHACHA20-POLY1305"],
    "tls.modes": ["GCM", "CBC", "CCM"],
}
_SUITES = {
    "AES GCM SHA-256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "AES GCM SHA-384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "AES CBC SHA-256": "ECDHE-ECDSA-AES128-SHA256",
    "AES CBC SHA-384": "ECDHE-ECDSA-AES256-SHA384",
    "AES CBC SHA-1": "ECDHE-ECDSA-AES128-SHA",
    "AES CCM SHA-256": "ECDHE-ECDSA-AES128-CCM",
    "CAMELLIA CBC SHA-256": "ECDHE-ECDSA-CAMELLIA128-SHA256",
    "CAMELLIA CBC SHA-384": "ECDHE-ECDSA-CAMELLIA256-SHA384",
    "CHACHA20-POLY1305 SHA-256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
_KEEP = {"tls.keep_peer_certificate": True}


def list_handshakes(version: str) -> Iterator[Handshake]:
    """Yield what is measured of whole handshakes."""
    keep = _KEEP if version == "2.16.3" else {}
    yield Handshake("base", keep)
    yield Handshake("no DHE", {"tls.key_exchanges": ["ECDHE-ECDSA", "ECDHE-RSA"]} | keep)
    yield Handshake("short digests", {"tls.digests": ["SHA-256"]} | keep)
    yield Handshake("no resumption", {"tls.resumption": False} | keep)
    for name, suite in _SUITES.items():
        yield Handshake(name, _EVERY_CIPHER | keep, suite)
    if version == "3.6.6":
        yield from _list_handshakes_of_1_3()


def _list_handshakes_of_1_3() -> Iterator[Handshake]:
    """Yield what is measured of TLS 1.3: beside 1.2, and alone; PSA's contexts are of its own."""
    suite = ("-ciphersuites", "TLS_AES_256_GCM_SHA384")
    both = {"tls.versions": ["1.2", "1.3"]} | _KEEP
    alone = {"tls.versions": ["1.3"], "tls.max_fragment": "none"} | _KEEP
    ecdhe = {"tls.key_exchanges": ["ECDHE-ECDSA", "ECDHE-RSA"]}
    ecdsa = {"tls.key_exchanges": ["ECDHE-ECDSA"], "tls.signatures": ["ECDSA"]}
    yield Handshake("1.3", both, options=suite)
    yield Handshake("1.3 as 1.2", both, options=("-no_tls1_3",))
    yield Handshake("1.3, no DHE", both | ecdhe, options=suite)
    yield Handshake("1.3, no RSA", both | ecdsa, options=suite)
    yield Handshake("1.3 alone", alone, options=suite)
    yield Handshake("1.3 alone, no RSA", alone | ecdsa, options=suite)
    yield Handshake("1.3 alone, short digests", alone | {"tls.digests": ["SHA-256"]})
    yield Handshake("1.3 alone, no resumption", alone | {"tls.resumption": False}, options=suite)


# A client as scripts have it, which tells at its end what is free; the CA was stored before.
TEN_LINES = """
tls.cert.verify(true)
local socket = tls.createConnection()
socket:on("connection", function(s)
  s:send("GET / HTTP/1.0\\r\\n\\r\\n")
end)
socket:on("receive", function(s, data) print(data:match("[^\\r\\n]+")) end)
socket:on("reconnection", function(s, reason) print("failed:", reason) end)
socket:on("disconnection", function(s) print(node.heap()) os.exit(0) end)
print("free", node.heap())
os.exit(0)
"""


def measure_free_heap(build_dir: Path, pem: str, directory: Path) -> int:
    """Return what is free in such a script, of a build of the default profile."""
    options = ("--flash", str(directory / "kept.bin"))
    stored = run_lua(build_dir, f"tls.cert.verify([[{pem}]]) os.exit(0)", *options)
    assert stored.returncode == 0, stored.stdout + stored.stderr
    result = run_lua(build_dir, TEN_LINES, *options)
    assert result.stdout.startswith("free\t"), result.stdout + result.stderr
    return int(result.stdout.split()[1])


class Bench:
    """One output directory for each mbedTLS, and an authority with its server."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._root = make_authority("ecdsa")
        self._identity = self._root.issue_server("ecdsa", HOST)
        self.ca_bytes = len(self._root.certificate.public_bytes(Encoding.DER))

    def _build(self, settings: Mapping[str, Any], source: str, wrapped: tuple[str, ...]) -> Path:
        out_dir = self._directory / str(settings["mbedtls.version"])
        sets = [part for text in format_settings(dict(settings)) for part in ("--set", text)]
        result = run_build("--out", out_dir, "--json", *sets, cwd=self._directory)
        assert result.returncode == 0, result.stderr
        link_dir = self._directory / "link"
        shutil.rmtree(link_dir, ignore_errors=True)
        link_dir.mkdir()
        return relink(out_dir, link_dir, source, wrapped=wrapped)

    def measure_free_heap(self) -> int:
        """Return what is free in a script of ten lines."""
        out_dir = self._directory / "default"
        result = run_build("--out", out_dir, "--json", cwd=self._directory)
        assert result.returncode == 0, result.stderr
        pem = make_pem(self._root.certificate).decode()
        return measure_free_heap(out_dir, pem, self._directory)

    def measure_operations(self, settings: dict[str, Any]) -> dict[str, list[int]]:
        """Return by operation the bytes that it keeps and those at its peak."""
        every = settings | {"tls.curves": _ALL_CURVES}
        if settings["mbedtls.version"] == "2.16.3":
            every |= _KEEP | {"tls.curves": _ALL_CURVES[:-1]}  # it has no x25519 in TLS
        firmware = self._build(every, "heap_operations.c", _COUNTED)
        result = run_lua(firmware, "node.chipid() os.exit(0)")
        assert result.returncode == 0, result.stdout + result.stderr
        lines = [line.split() for line in result.stdout.splitlines() if line.startswith("heap ")]
        return {f"{what} {name}": [int(kept), int(peak)] for _, what, name, kept, peak in lines}

    def measure_handshake(self, version: str, handshake: Handshake) -> dict[str, list[int]]:
        """Return by state of mbedTLS the bytes in use before it and at its peak."""
        settings = {"mbedtls.version": version} | handshake.settings
        firmware = self._build(settings, "heap_steps.c", _STEPPED)
        options = ("-rev", "-cipher", f"{handshake.suite}:@SECLEVEL=0", *handshake.options)
        pem = make_pem(self._root.certificate).decode()
        with run_s_server(self._identity, self._directory / "server", *options) as server:
            script = SCRIPT.format(pem=pem, port=server.port, host=HOST, resume="true")
            result = run_lua(firmware, script)
        lines = [line.split() for line in result.stdout.splitlines() if line.startswith("step ")]
        assert lines, result.stdout + result.stderr
        return {state: [int(begin), int(peak)] for _, state, begin, peak in lines}


def measure_version(bench: Bench, version: str) -> dict[str, Any]:
    """Return everything that is measured of one mbedTLS."""
    handshakes, operations = {}, []
    for handshake in list_handshakes(version):
        try:
            handshakes[handshake.name] = bench.measure_handshake(version, handshake)
        except AssertionError as error:
            print(version, handshake.name, "cannot be measured:", error, flush=True)
        else:
            print(version, handshake.name, handshakes[handshake.name], flush=True)
    for settings in list_settings(version):
        costs = bench.measure_operations(settings)
        print(settings, costs, flush=True)
        operations.append({"settings": settings, "costs": costs})
    return {"handshakes": handshakes, "operations": operations}


def write_table(table: dict[str, Any]) -> None:
    """Write the table, a line for each thing that was measured."""
    blocks = [f'"conditions": {json.dumps(table["conditions"])}']
    for version, measured in table["versions"].items():
        lines = [
            f'    "{name}": {json.dumps(steps)}' for name, steps in measured["handshakes"].items()
        ]
        operations = [f"    {json.dumps(entry)}" for entry in measured["operations"]]
        blocks.append(
            f'"{version}": {{\n  "handshakes": {{\n'
            + ",\n".join(lines)
            + '\n  },\n  "operations": [\n'
            + ",\n".join(operations)
            + "\n  ]}"
        )
    TABLE_PATH.write_text("{\n" + ",\n".join(blocks) + "\n}\n", encoding="utf-8")


def main() -> None:
    wanted = sys.argv[1:] or VERSIONS
    told = json.loads(TABLE_PATH.read_text(encoding="utf-8")) if TABLE_PATH.exists() else {}
    versions = {version: told[version] for version in VERSIONS if version in told}
    with tempfile.TemporaryDirectory(prefix="nodemcu-tls-heap-") as name:
        directory = Path(name)
        with use_caching_compiler(directory):
            bench = Bench(directory)
            conditions = {
                "compiler": find_compiler().version,
                "ca_bytes": bench.ca_bytes,
                "free_in_script": bench.measure_free_heap(),
            }
            for version in wanted:
                versions[version] = measure_version(bench, version)
                write_table({"conditions": conditions, "versions": versions})


if __name__ == "__main__":
    main()
