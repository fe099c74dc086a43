"""The TLS connection on the host, under sanitizers: what becomes of it when memory runs out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from emulated import HOST
from native_build import NATIVE, SANITIZERS, Native, compile_objects, link_program, prepare
from peers import run_s_server
from pki import make_authority, make_pem

from nodemcu_tls_build.certs import load_ca_file
from nodemcu_tls_build.render import render_server_ca
from nodemcu_tls_build.resources import app_dir

_WRAPPED = ("malloc", "calloc", "realloc", "free", "time")
_SOURCES = ("host_board.c", "host_stream.c", "failing_heap.c", "tls_check.c")
_LIMIT = 600  # seconds; a run takes one or two minutes
# Short stacks and a small quarantine: a run allocates some ten million times.
_OPTIONS = {"ASAN_OPTIONS": "detect_leaks=1:malloc_context_size=8:quarantine_size_mb=2"}


@pytest.fixture(scope="module")
def native(shared_dir: Path) -> Native:
    return prepare(shared_dir, *SANITIZERS)


@pytest.fixture(scope="module")
def build_check(
    native: Native, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[bytes], Path]:
    """Return a function that builds the program with this CA, in PEM, in it."""

    def build(ca: bytes) -> Path:
        directory = tmp_path_factory.mktemp("check")
        ca_path, source = directory / "ca.crt", directory / "server_ca.c"
        ca_path.write_bytes(ca)
        source.write_text(render_server_ca(load_ca_file(ca_path, now=datetime.now(UTC))))
        sources = [*sorted((app_dir() / "tls").glob("*.c")), source]
        sources += [NATIVE / name for name in _SOURCES]
        objects = compile_objects(sources, native.own_flags, directory)
        wrap = f"-Wl,{','.join(f'--wrap={name}' for name in _WRAPPED)}"
        objects += native.compile_upstream()
        return link_program(objects, [*SANITIZERS, wrap], directory / "tls_check")

    return build


@pytest.mark.parametrize(
    ("kind", "first", "step"), [("rsa", 1, 1), ("ecdsa", 1, 2), ("ecdsa", 2, 2)]
)
def test_every_refused_allocation_ends_in_an_error_and_leaves_nothing(
    build_check: Callable[[bytes], Path], tmp_path: Path, kind: str, first: int, step: int
) -> None:
    root = make_authority(kind)
    program = build_check(make_pem(root.certificate))
    with run_s_server(root.issue_server(kind, HOST), tmp_path, "-rev", "-tls1_2") as server:
        result = subprocess.run(
            [program, str(server.port), str(first), str(step)],
            check=False,
            env=os.environ | _OPTIONS,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
        )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    summary = result.stdout.splitlines()
    # Nothing that is allocated is optional: no conversation was whole in spite of a refusal.
    assert len(summary) == 1, result.stdout
    figures = dict(zip(*[iter(summary[0].split())] * 2, strict=True))
    assert int(figures["allocations"]) > 1000
    assert figures["failures"] == "0"
