"""The TLS connection on the host, under sanitizers: what becomes of it when memory runs out."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from emulated import HOST
from native_build import compile_objects
from native_host import (
    NATIVE,
    SANITIZERS,
    link_program,
    list_client_sources,
    prepare,
)
from peers import run_s_server
from pki import Identity, make_authority, make_pem

from nodemcu_tls_build.certs import load_ca_file
from nodemcu_tls_build.render import render_server_ca

_WRAPPED = ("malloc", "calloc", "realloc", "free")
_SOURCES = ("host_board.c", "host_flash.c", "host_stream.c", "failing_heap.c", "tls_check.c")
_LIMIT = 300  # seconds; a run takes less than one minute of a processor
# Short stacks and a small quarantine: a run allocates some ten million times.
_OPTIONS = {"ASAN_OPTIONS": "detect_leaks=1:malloc_context_size=8:quarantine_size_mb=2"}
_RELEASE = 'schema = 1\nname = "release"\ntls.idle_buffers = "release"\n'


@dataclass(frozen=True)
class Result:
    """What the program counted, and the callers of allocations that were not needed."""

    figures: dict[str, int]
    optional: list[str]


def build_check(profile: str, root: Identity, shared_dir: Path, directory: Path) -> Path:
    """Build the program for a profile with this authority in it."""
    native = prepare(shared_dir, *SANITIZERS, profile=profile)
    ca_path, source = directory / "ca.crt", directory / "server_ca.c"
    ca_path.write_bytes(make_pem(root.certificate))
    source.write_text(render_server_ca(load_ca_file(ca_path, now=datetime.now(UTC))))
    sources = [*list_client_sources(), source]
    sources += [NATIVE / name for name in _SOURCES]
    objects = compile_objects(sources, native.own_flags, directory / "objects")
    objects += native.compile_upstream()
    wrap = f"-Wl,{','.join(f'--wrap={name}' for name in _WRAPPED)}"
    return link_program(objects, [*SANITIZERS, wrap], directory / "tls_check")


@contextmanager
def run_servers(identity: Identity, directory: Path, *options: str) -> Iterator[tuple[int, int]]:
    """Run two servers that turn lines round, and give their ports."""
    options = ("-rev", "-tls1_2", *options)
    with (
        run_s_server(identity, directory / "one", *options) as one,
        run_s_server(identity, directory / "other", *options) as other,
    ):
        yield one.port, other.port


def run_check(program: Path, *args: str | int | Path) -> Result:
    """Run the program, which must find nothing wrong."""
    result = subprocess.run(
        [program, *map(str, args)],
        check=False,
        env=os.environ | _OPTIONS,
        capture_output=True,
        text=True,
        timeout=_LIMIT,
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr[:4000]
    *optional, summary = result.stdout.splitlines()
    words = summary.split()
    figures = {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}
    assert figures["failures"] == 0
    assert len(optional) == figures["whole"]
    # Without memory for a session, the handshake is a whole one, and the next one too. What
    # there is not now for a buffer, there may be when it is tried again. And the sessions that are
    # kept give way to whatever is wanted.
    needless = re.compile(r"^\d+ whole:.* (offer_session|tls_session_keep|tls_idle_restore\w*) ")
    assert "resumed" in args or all(needless.match(line) for line in optional), optional
    return Result(figures, optional)


# The program refuses the allocation number `first` of a conversation, `first + step` of the next…
@pytest.mark.parametrize("first", [1, 2])
def test_every_allocation_of_a_conversation_refused(
    shared_dir: Path, tmp_path: Path, first: int
) -> None:
    root = make_authority("ecdsa")
    program = build_check("default", root, shared_dir, tmp_path)
    with run_servers(root.issue_server("ecdsa", HOST), tmp_path) as ports:
        result = run_check(program, *ports, "fresh", first, 2)
    assert result.figures["allocations"] > 2000
    assert result.figures["places"] > 100


@pytest.mark.parametrize(("kind", "step"), [("rsa", 1), ("ecdsa", 8)])
def test_refused_allocations_of_a_client_with_a_certificate(
    shared_dir: Path, tmp_path: Path, kind: str, step: int
) -> None:
    root = make_authority("rsa")
    profile_path = tmp_path / "release.toml"
    profile_path.write_text(_RELEASE)
    program = build_check(str(profile_path), root, shared_dir, tmp_path)
    files = root.issue_server(kind, "client.test").write(tmp_path / "client")
    client_path = tmp_path / "client.pem"
    client_path.write_bytes(files.cert_path.read_bytes() + files.key_path.read_bytes())
    options = ("-Verify", "1", "-CAfile", str(tmp_path / "ca.crt"))
    with run_servers(root.issue_server("rsa", HOST), tmp_path, *options) as ports:
        result = run_check(program, *ports, "fresh", 1, step, client_path)
    assert result.figures["allocations"] > 2000


def test_every_allocation_of_a_resumed_conversation_refused(
    shared_dir: Path, tmp_path: Path
) -> None:
    root = make_authority("ecdsa")
    program = build_check("default", root, shared_dir, tmp_path)
    with run_servers(root.issue_server("ecdsa", HOST), tmp_path) as ports:
        result = run_check(program, *ports, "resumed", 1, 1)
    assert result.figures["resumed"] >= 1
    assert result.optional  # then there is a whole handshake
