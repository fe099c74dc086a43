"""Scripts for the emulated chip that wait for each connection before they go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from emulated import GATEWAY, HOST, run_lua
from peers import run_s_server
from pki import Identity, Key, make_pem

Value = bool | int | str | bytes

PKCS8 = serialization.PrivateFormat.PKCS8
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL
PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER

# `connect(port, options, host)` waits for the outcome: "open", "open, resumed",
# or what the failure's callback got behind the socket.
_CONNECT = """
local thread
local function resume(...)
  local good, message = coroutine.resume(thread, ...)
  if not good then error(message, 0) end
end
local function connect(port, options, host)
  collectgarbage()
  local socket = tls.createConnection(options)
  socket:on("connection", function(s)
    local outcome = s:info().resumed and "open, resumed" or "open"
    s:close()
    resume(outcome)
  end)
  for _, event in ipairs { "reconnection", "disconnection" } do
    socket:on(event, function(_, ...) resume(...) end)
  end
  socket:connect(port, host or "server.test")
  return coroutine.yield()
end
"""

# Helpers that only some scripts use: each takes heap that a handshake needs.
_HELPERS = {
    "refuse": """
local function refuse(call, ...)
  local good, message = pcall(call, ...)
  return good and "no error" or message
end
""",
    "wait": """
local function wait(milliseconds)
  tmr.create():alarm(milliseconds, tmr.ALARM_SINGLE, function() resume() end)
  coroutine.yield()
end
""",
}


def write_constant(value: Value) -> str:
    """Write a value as Lua reads it; text and DER byte by byte where it is not plain."""
    if isinstance(value, bool | int):
        return str(value).lower()
    data = value.encode() if isinstance(value, str) else value
    return '"' + "".join(chr(b) if _is_plain(b) else f"\\{b:03}" for b in data) + '"'


def run_steps(build_dir: Path, body: str, *args: str, **constants: Value) -> list[str]:
    """Run a script that must succeed and return the lines that it prints."""
    result = run_lua(build_dir, make_steps(body, **constants), *args)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    return result.stdout.splitlines()


def make_steps(body: str, **constants: Value) -> str:
    """Make a script of its constants, the helpers and a body that may wait for connections."""
    parts = [f"local {name} = {write_constant(value)}\n" for name, value in constants.items()]
    parts += [_CONNECT, *(text for name, text in _HELPERS.items() if f"{name}(" in body)]
    parts += ["thread = coroutine.create(function()\n", body, "\nend)\nresume()\n"]
    return "".join(parts)


@dataclass(frozen=True)
class Site:
    """An authority, and the port of a server that it vouches for."""

    root: Identity
    port: int

    @property
    def ca(self) -> str:
        """The authority's certificate in PEM."""
        return make_text(self.root)


@contextmanager
def run_site(root: Identity, directory: Path, *options: str) -> Iterator[Site]:
    """Run a server of this authority, which answers one connection after another."""
    identity = root.issue_server("ecdsa", HOST, GATEWAY)
    with run_s_server(identity, directory, "-www", *options) as server:
        yield Site(root, server.port)


def make_text(*identities: Identity) -> str:
    """Return the certificates of these identities in PEM."""
    return make_pem(*(identity.certificate for identity in identities)).decode()


def make_der(identity: Identity) -> bytes:
    """Return the certificate of an identity in DER."""
    return identity.certificate.public_bytes(DER)


def make_key_text(key: Key, form: serialization.PrivateFormat = PKCS8) -> str:
    """Return a private key in PEM."""
    return key.private_bytes(PEM, form, serialization.NoEncryption()).decode()


def _is_plain(byte: int) -> bool:
    return 0x20 <= byte < 0x7F and byte not in b'"\\'
