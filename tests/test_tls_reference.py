"""The examples of the module's reference, with names and certificates of our own put in."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from emulated import HOST, World, run_lines, run_lua
from lua_steps import TRADITIONAL, make_key_text, make_text
from peers import run_s_server
from pki import Identity, make_authority, make_pem

# Like the root certificate in the reference: RSA, and signed by itself with SHA-1.
MAKE_OLD_ROOT = (
    *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-sha1", "-nodes", "-days", "30"),
    *("-subj", "/O=Digital Signature Trust/CN=Old Root", "-keyout", "root.key", "-out", "root.crt"),
)

# As a Lua string has it.
REQUEST = rf"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n"

CONNECT = """
local s = tls.createConnection()
s:on("connection", function(s) print("open") s:close() end)
s:on("reconnection", function(s, reason) print(reason) end)
s:connect(%d, "server.test")
"""


def make_old_root(directory: Path) -> Identity:
    subprocess.run(MAKE_OLD_ROOT, check=True, cwd=directory, capture_output=True)
    key = load_pem_private_key((directory / "root.key").read_bytes(), None)
    return Identity(
        key,  # type: ignore[arg-type]  # it is an RSA key
        x509.load_pem_x509_certificate((directory / "root.crt").read_bytes()),
    )


def join_lines(text: str) -> str:
    """Put PEM into one line, as the reference has it."""
    return " ".join(text.split("\n"))


def test_create_connection(world: World) -> None:
    assert run_lines(world.build_dir, "tls.createConnection() print('done')") == ["done"]
    script = "print(type(tls.createConnection(net.TCP, 0).connect), type(net.TCP))"
    assert run_lines(world.build_dir, script) == ["function\tnumber"]


def test_request(world: World) -> None:
    script = """
        srv = tls.createConnection()
        srv:on("receive", function(sck, c) print(c) end)
        srv:on("connection", function(sck, c)
          -- Wait for connection before sending.
          sck:send("%s")
        end)
        srv:connect(%d,"%s")
    """
    result = run_lua(world.build_dir, script % (REQUEST, world.good_port, HOST))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("HTTP/1.0 200 ok\n")
    assert "</BODY></HTML>" in result.stdout


def test_load_a_ca_certificate(firmware: Path, tmp_path: Path) -> None:
    root = make_old_root(tmp_path)
    script = f"tls.cert.verify([[ {join_lines(make_text(root))} ]])\n"
    for number, issuer in enumerate((root, make_authority("rsa"))):
        identity = issuer.issue_server("ecdsa", HOST)
        with run_s_server(identity, tmp_path / str(number), "-www") as server:
            printed = run_lines(firmware, script + CONNECT % server.port)
        assert printed == [["open"], ["the certificate is not signed by a trusted CA"]][number]


def test_load_a_client_certificate(world: World, tmp_path: Path) -> None:
    root = make_authority("rsa")
    (tmp_path / "clients.pem").write_bytes(make_pem(root.certificate))
    client = root.issue_client("rsa", "basicPubSub")
    script = """
        tls.cert.auth([[ %s ]]
        ,
        [[ %s ]])
        tls.cert.auth(true)
        tls.cert.verify(true)
    """
    key = make_key_text(client.key, TRADITIONAL)
    assert key.startswith("-----BEGIN RSA PRIVATE KEY-----")
    script %= (join_lines(make_text(client)), join_lines(key))
    options = ("-www", "-Verify", "1", "-verify_return_error")
    options += ("-CAfile", str(tmp_path / "clients.pem"))
    identity = world.root.issue_server("ecdsa", HOST)
    with run_s_server(identity, tmp_path, *options) as server:
        printed = run_lines(world.build_dir, script + CONNECT % server.port)
        assert re.search(r"^depth=0 CN = basicPubSub\nverify return:1$", server.read_log(), re.M)
    assert printed == ["open"]


def test_names_of_the_module(firmware: Path) -> None:
    script = """
        local function list(name, t)
          local keys = {}
          for key, value in pairs(t) do keys[#keys + 1] = key .. ":" .. type(value) end
          table.sort(keys)
          print(name, unpack(keys))
        end
        list("tls.cert", tls.cert)
        list("tls", tls)
    """
    assert run_lines(firmware, script) == [
        "tls.cert\tauth:function\tverify:function",
        "tls\tcert:table\tcreateConnection:function",
    ]
