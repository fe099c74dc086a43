"""TLS servers on other libraries than OpenSSL: GnuTLS's own, and small ones built for the tests."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from pki import Identity

START_LIMIT = 20  # seconds until a server listens, and until it has ended
_LOG_LIMIT = 20  # seconds until a line is in the log
_TRIES = 5  # ports that may be taken between finding and using them


@dataclass
class Server:
    """A running server: where it listens and what it said so far."""

    port: int
    log_path: Path
    process: subprocess.Popen[bytes]

    def read_log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def read_report(self) -> dict[str, str]:
        """Return what a server of ours says of its connections, the last one's word first."""
        return dict(re.findall(r"^([a-z]+) (.*)$", self.read_log(), re.MULTILINE))

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until a line of the log matches."""
        return wait_for_line(self.process, self.log_path, pattern, _LOG_LIMIT)

    def type(self, text: str) -> None:
        """Type at the server's standard input."""
        assert self.process.stdin
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()


@contextmanager
def start_server(
    command: Sequence[str],
    log_path: Path,
    *,
    cwd: Path | None = None,
    preload: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server whose output, line by line, goes to a log, and end it at last."""
    environment = os.environ | ({"LD_PRELOAD": str(preload)} if preload else {})
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            ["stdbuf", "-oL", *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=cwd,
            env=environment,
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=START_LIMIT)


def wait_for_line(
    process: subprocess.Popen[bytes], log_path: Path, pattern: str, limit: float
) -> re.Match[str]:
    """Wait until a line of a running program's log matches."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and process.poll() is None:
        if match := re.search(pattern, log_path.read_text(errors="replace"), re.MULTILINE):
            return match
        time.sleep(0.02)
    raise AssertionError(f"no line {pattern!r}:\n{log_path.read_text(errors='replace')}")


@contextmanager
def run_gnutls_server(
    identity: Identity, directory: Path, *options: str, priority: str = "NORMAL"
) -> Iterator[Server]:
    """Run `gnutls-serv` for TLS 1.2; it answers as a web server and tells what was agreed on.

    By itself it can neither choose a port nor listen on one address only.
    """
    files = identity.write(directory)
    fullchain_path = directory / "fullchain.pem"
    fullchain_path.write_bytes(files.cert_path.read_bytes() + files.chain_path.read_bytes())
    log_path = directory / "gnutls-serv.log"
    command = ["gnutls-serv", "--http", f"--x509certfile={fullchain_path}"]
    command += [f"--x509keyfile={files.key_path}", *options]
    command += [f"--priority={priority}:-VERS-ALL:+VERS-TLS1.2"]
    preload = build_loopback_only(directory)
    for _ in range(_TRIES):
        port = find_free_port()
        arguments = [*command, f"--port={port}"]
        with start_server(arguments, log_path, preload=preload) as process:
            try:
                wait_for_line(process, log_path, rf"IPv4 .* port {port}\.\.\.done", START_LIMIT)
            except AssertionError:
                if "Address already in use" in log_path.read_text(errors="replace"):
                    continue
                raise
            yield Server(port, log_path, process)
            return
    raise AssertionError("every port was taken")


def build_loopback_only(directory: Path) -> Path:
    """Compile what keeps a server off all addresses but loopback."""
    source, library = Path(__file__).parent / "native/loopback_only.c", directory / "loopback.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", str(source), "-ldl"]
    subprocess.run([*command, "-o", str(library)], check=True, timeout=START_LIMIT)
    return library


def find_free_port() -> int:
    """Return a port that nobody used a moment ago."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        return port


@contextmanager
def run_native_server(
    program: Path,
    identity: Identity,
    directory: Path,
    *options: str,
    client_root: Identity | None = None,
) -> Iterator[Server]:
    """Run one of the servers that `native_server` builds; `options` are in tls_server.c."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [str(program), *options]
    for number, certificate in enumerate((identity.certificate, *identity.chain)):
        path = directory / f"{number}.der"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
        command.append(f"certificate={path}")
    key_path = directory / "key.der"
    key_path.write_bytes(
        identity.key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    command.append(f"key={key_path}")
    if client_root:
        path = directory / "client_ca.der"
        path.write_bytes(client_root.certificate.public_bytes(serialization.Encoding.DER))
        command.append(f"client-ca={path}")
    log_path = directory / f"{program.name}.log"
    with start_server(command, log_path) as process:
        match = wait_for_line(process, log_path, r"^port (\d+)$", START_LIMIT)
        yield Server(int(match[1]), log_path, process)
