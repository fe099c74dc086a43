"""Record what servers say to the fixed client: inputs for tests/fuzz/fuzz_tls_conn.c.

    python tests/record_flights.py

A change of what the client says (its extensions, the order of its random numbers) makes recorded
handshakes end early; then record them again. All keys are made anew; the servers' are forgotten.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

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

from nodemcu_tls_build.render import render_server_ca

HOST = "server.test"
CORPUS = Path(__file__).parent / "fuzz/corpus/fuzz_tls_conn"
KEYS = NATIVE / "fixed_client_keys.h"
WRAP = "-Wl,--wrap=tls_platform_random"
_SOURCES = ("host_board.c", "host_flash.c", "host_stream.c", "fixed_client.c", "record_flights.c")
_FOREVER = timedelta(days=10_000)
_WRITE, _AGAIN = b"\x02", b"\x05"  # steps of fuzz_tls_conn.c
_APPLICATION_DATA = 23

_HEADER = """\
/*
 * fixed_client_keys.h - whom the fixed client trusts and what it shows (recorded).
 *
 * The key is for tests and was made for nothing else.
 */
#ifndef FIXED_CLIENT_KEYS_H
#define FIXED_CLIENT_KEYS_H

static const char fixed_client_roots[] =
{roots};

static const char fixed_client_identity[] =
{identity};

#endif
"""


@dataclass(frozen=True)
class Case:
    """A server: its kind of key and what `openssl s_server` is told; how often it is visited."""

    name: str
    kind: str
    options: tuple[str, ...]
    visits: int = 1
    host: str = HOST
    between: bool = False  # an intermediate authority
    result: tuple[str, ...] = ("open",)


_MUTUAL = ("-Verify", "1")
CASES = (
    Case("ticket", "ecdsa", (), 2, result=("open", "open, resumed")),
    Case("session-id", "ecdsa", ("-no_ticket",), 2, result=("open", "open, resumed")),
    Case("mutual", "ecdsa", _MUTUAL),
    Case("chain-cbc", "rsa", ("-cipher", "ECDHE-RSA-AES256-SHA384"), between=True),
    Case("dhe", "rsa", ("-cipher", "DHE-RSA-AES128-GCM-SHA256")),
    Case("camellia", "ecdsa", ("-cipher", "ECDHE-ECDSA-CAMELLIA128-SHA256")),
    Case("fragments", "ecdsa", ("-max_send_frag", "512", *_MUTUAL), between=True),
    Case("other-name", "ecdsa", (), host="other.test", result=()),
    Case("alert", "ecdsa", ("-cipher", "PSK"), result=()),
)


@dataclass
class Tape:
    """What one connection was: steps of an input, in order."""

    steps: list[bytes] = field(default_factory=list)
    bytes_said: bytearray = field(default_factory=bytearray)

    def end_flight(self) -> None:
        """Close the server's part: what comes next is the client's."""
        if self.bytes_said:
            self.steps.append(b"\x00" + struct.pack("<H", len(self.bytes_said)) + self.bytes_said)
            self.bytes_said = bytearray()


def main() -> None:
    """Make the keys, and record every case."""
    roots = {kind: make_authority(kind, f"Root {kind}", end=_FOREVER) for kind in ("ecdsa", "rsa")}
    client = roots["ecdsa"].issue_server("ecdsa", "client.test", end=_FOREVER)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        _write_header(roots, client, directory)
        program = _build(directory)
        ca_path = directory / "roots.pem"
        ca_path.write_bytes(make_pem(*(root.certificate for root in roots.values())))
        CORPUS.mkdir(parents=True, exist_ok=True)
        for case in CASES:
            identity = _make_identity(case, roots[case.kind])
            mutual = ("-CAfile", str(ca_path)) if "-Verify" in case.options else ()
            options = ("-rev", "-tls1_2", *case.options, *mutual)
            with run_s_server(identity, directory / case.name, *options) as server:
                (CORPUS / case.name).write_bytes(_record(program, server.port, case))
    (CORPUS / "not-tls").write_bytes(b"\x00\x11\x00HTTP/1.0 400 no\r\n\x04")
    (CORPUS / "silence").write_bytes(bytes([6 | 31 << 3]))


def _make_identity(case: Case, root: Identity) -> Identity:
    issuer = root.issue_authority(case.kind, "Between", end=_FOREVER) if case.between else root
    return issuer.issue_server(case.kind, case.host, end=_FOREVER)


def _record(program: Path, port: int, case: Case) -> bytes:
    with _run_proxy(port) as (proxy_port, tapes):
        result = subprocess.run(
            [program, *[str(proxy_port)] * case.visits],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
    opened = tuple(line for line in result.stdout.splitlines() if line.startswith("open"))
    if opened != case.result:
        raise SystemExit(f"{case.name}: {result.stdout}")
    return _AGAIN.join(b"".join(tape.steps) for tape in tapes)


@contextmanager
def _run_proxy(port: int) -> Iterator[tuple[int, list[Tape]]]:
    """Pass connections on to a port, one after another, and keep a tape of each."""
    listener = socket.create_server(("127.0.0.1", 0))
    tapes: list[Tape] = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # the listener was shut down
                return
            tapes.append(Tape())
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                _pass_on(client, server, tapes[-1])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], tapes
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(30)
        listener.close()


def _pass_on(client: socket.socket, server: socket.socket, tape: Tape) -> None:
    lock = threading.Lock()

    def pass_client() -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                with lock:
                    tape.end_flight()
                    if _APPLICATION_DATA in _list_record_types(data):
                        tape.steps.append(_WRITE)
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=pass_client)
    thread.start()
    with suppress(OSError):
        while data := server.recv(65536):
            with lock:
                tape.bytes_said += data
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)
    thread.join(30)
    tape.end_flight()


def _list_record_types(data: bytes) -> Iterator[int]:
    while len(data) >= 5:
        yield data[0]
        data = data[5 + int.from_bytes(data[3:5], "big") :]


def _write_header(roots: dict[str, Identity], client: Identity, directory: Path) -> None:
    files = client.write(directory / "client")
    texts = {
        "roots": make_pem(*(root.certificate for root in roots.values())),
        "identity": files.cert_path.read_bytes() + files.key_path.read_bytes(),
    }
    lines = {
        name: "\n".join(f'    "{line}\\n"' for line in text.decode().splitlines())
        for name, text in texts.items()
    }
    KEYS.write_text(_HEADER.format(**lines))


def _build(directory: Path) -> Path:
    native = prepare(directory, *SANITIZERS)
    source = directory / "server_ca.c"
    source.write_text(render_server_ca(None))
    sources = [*list_client_sources(), *(NATIVE / name for name in _SOURCES)]
    objects = compile_objects([*sources, source], native.own_flags, directory / "own")
    objects += native.compile_upstream()
    return link_program(objects, [*SANITIZERS, WRAP], directory / "record_flights")


if __name__ == "__main__":
    main()
