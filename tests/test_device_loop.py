"""From a build to mutual TLS on a virtual ESP8266 that was flashed with it, and flashed again."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from builds import load_report
from emulated import HOST, NODEMCU_TLS, World
from lua_steps import PKCS8, make_key_text, make_text
from peers import run_s_server
from pki import Identity, make_authority, make_pem
from servers import Server
from virtual_device import SerialConsole, run_device

_LIMIT = 180

# Typed at the prompt, so no line is longer than it takes.
REQUEST = (
    "s = tls.createConnection()",
    's:on("connection", function(s) s:send("GET / HTTP/1.0\\r\\n\\r\\n") end)',
    's:on("receive", function(_, d) print("got", d:match("^HTTP[^\\r\\n]+")) s:close() end)',
    's:on("reconnection", function(_, reason) print("got", reason) end)',
    's:connect(%d, "%s")',
)


def run_cli(*args: str | Path) -> str:
    """Run a command that must succeed; return what it prints."""
    command = [*NODEMCU_TLS, *map(str, args)]
    result = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=_LIMIT, input=""
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def type_lines(console: SerialConsole, *lines: str) -> None:
    """Type each line when the prompt, or that of a chunk that goes on, has been shown."""
    for line in lines:
        console.type(f"{line}\r")
        console.wait_for(f"{line}\n")
        console.wait_for("> ")  # ">> " ends with it, too


def request(console: SerialConsole, port: int) -> str:
    """Ask a server for its page; return the status line, or why there is none."""
    type_lines(console, *REQUEST[:-1], REQUEST[-1] % (port, HOST))
    console.wait_for("got\t")
    return console.wait_for("\n")


def list_clients(server: Server) -> list[str]:
    return re.findall(r"^depth=0 CN = (.*)\nverify return:1$", server.read_log(), re.MULTILINE)


def give_identity(console: SerialConsole, client: Identity) -> None:
    """Store a certificate and its key, pasted as the PEM that they are."""
    for name, text in (
        ("cert", make_text(client)),
        ("key", make_key_text(client.key, PKCS8)),
    ):
        assert isinstance(text, str)
        type_lines(console, f"{name} = [[", *text.splitlines(), "]]")
    type_lines(console, "print(tls.cert.auth(cert, key))")


def test_whole_loop(
    world: World, build_firmware: Callable[[Path | None], Path], tmp_path: Path
) -> None:
    clients = make_authority("ecdsa", "Clients' root")
    ca_path = tmp_path / "clients.pem"
    ca_path.write_bytes(make_pem(clients.certificate))
    mutual = ("-www", "-Verify", "3", "-verify_return_error", "-CAfile", str(ca_path))
    new_ca_path = tmp_path / "both.pem"
    new_ca_path.write_bytes(make_pem(world.root.certificate, clients.certificate))
    new_build = build_firmware(new_ca_path)

    with (
        run_device(world.build_dir, None, "--add-host", f"{HOST}:host-gateway") as device,
        run_s_server(world.root.issue_server("ecdsa", HOST), tmp_path / "s", *mutual) as server,
    ):
        run_cli("flash", device.url, "--build", world.build_dir)
        run_cli("verify", device.url, "--build", world.build_dir)
        with SerialConsole(device.url) as console:
            console.reset()
            console.wait_for(f"nodemcu-tls build {load_report(world.build_dir)['build_id']}\n> ")
            type_lines(console, "tls.cert.verify(true)")
            assert request(console, world.good_port) == "HTTP/1.0 200 ok"
            give_identity(console, clients.issue_client("ecdsa", "board 7"))
            console.reset()
            console.wait_for("\n> ")
            type_lines(console, "tls.cert.verify(true)", "tls.cert.auth(true)")
            assert request(console, server.port) == "HTTP/1.0 200 ok"
        assert list_clients(server) == ["board 7"]

        said = run_cli("flash", device.url, "--build", new_build)
        assert "credentials" in said
        with SerialConsole(device.url) as console:
            console.reset()
            console.wait_for(f"nodemcu-tls build {load_report(new_build)['build_id']}\n> ")
            type_lines(console, "tls.cert.verify(true)", "tls.cert.auth(true)")
            assert request(console, server.port) == "HTTP/1.0 200 ok"
        assert list_clients(server) == ["board 7"] * 2
