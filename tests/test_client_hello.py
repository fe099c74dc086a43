"""What the firmware really offers, against what the profile's functions say that it does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from client_hello import ClientHello, capture_into, check_hello
from emulated import HOST, run_lines
from peers import run_peer, run_s_server
from pki import Identity, make_authority, make_pem

from nodemcu_tls_build.profile import list_presets, load_profile
from nodemcu_tls_build.profile.offer import describe_offer

# Connects to each port in turn and prints what was agreed on, or why not.
SCRIPT = """
local ports, at = {%s}, 0
local function go_on()
  at = at + 1
  if not ports[at] then os.exit(0) end
  local socket = tls.createConnection({ ca = [[%s]] })
  socket:on("connection", function(s)
    local info = s:info()
    print(info.protocol, info.cipher_suite, info.alpn)
    s:close()
    go_on()
  end)
  socket:on("reconnection", function(_, reason) print(reason) go_on() end)
  socket:connect(ports[at], "server.test")
end
go_on()
"""

# What the presets do not have, in an order that is nobody's default.
ODD = """
[mbedtls]
version = "{version}"
[tls]
key_exchanges = ["RSA", "ECDHE-RSA", "ECDHE-ECDSA"]
ciphers = ["CHACHA20-POLY1305", "AES"]
modes = ["CCM", "CCM_8", "GCM", "CBC"]
digests = ["SHA-384", "SHA-1", "SHA-256"]
curves = [{curves}"brainpoolP512r1", "secp521r1", "secp256r1"]
cipher_suites = [
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CCM",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
]
max_fragment = "none"
resumption = false
sni = false
alpn = ["x-second", "http/1.1"]
keep_peer_certificate = true
"""
ODD_CURVES = {"3.6.6": '"x25519", ', "2.28.3": '"x25519", ', "2.16.3": ""}
CHACHA = "ECDHE-RSA-CHACHA20-POLY1305"
ODD_SERVERS = {  # the kind of key, and the server's options: what is agreed on
    ("rsa", "-cipher", "AES128-SHA256"): "RSA-WITH-AES-128-CBC-SHA256",
    ("rsa", "-cipher", CHACHA, "-groups", "P-521"): "ECDHE-RSA-WITH-CHACHA20-POLY1305-SHA256",
    ("ecdsa", "-cipher", "ECDHE-ECDSA-AES256-CCM"): "ECDHE-ECDSA-WITH-AES-256-CCM",
    ("ecdsa", "-cipher", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"): "ECDHE-ECDSA-WITH-AES-128-CCM-8",
    ("ecdsa", "-alpn", "http/1.1"): "ECDHE-ECDSA-WITH-AES-128-GCM-SHA256\thttp/1.1",
}
X25519_SERVER = {
    ("rsa", "-cipher", CHACHA, "-groups", "X25519"): "ECDHE-RSA-WITH-CHACHA20-POLY1305-SHA256"
}


def run_ports(build_dir: Path, ports: Sequence[int], root: Identity) -> list[str]:
    pem = make_pem(root.certificate).decode()
    return run_lines(build_dir, SCRIPT % (", ".join(map(str, ports)), pem))


@pytest.mark.parametrize("preset", list_presets())
def test_a_preset_offers_what_it_says_and_shakes_hands(
    preset: str, build_profile: Callable[[str], Path], tmp_path: Path
) -> None:
    profile = load_profile(preset)
    build_dir = build_profile(f'extends = "{preset}"\n')
    hellos: list[ClientHello] = []
    root = make_authority("ecdsa")
    with ExitStack() as stack:
        ports = [stack.enter_context(run_peer(capture_into(hellos))).port]
        kinds = [kind for kind in ("ecdsa", "rsa") if kind.upper() in profile.tls.signatures]
        for kind in kinds:
            server = run_s_server(root.issue_server(kind, HOST), tmp_path / kind, "-www")
            ports.append(stack.enter_context(server).port)
        lines = run_ports(build_dir, ports, root)
    assert len(hellos) == 1
    check_hello(hellos[0], profile)
    first = describe_offer(profile).suites[0]
    assert lines[0].startswith("the server"), lines
    assert [line.split("\t")[0] for line in lines[1:]] == ["TLSv1.2"] * len(kinds)
    assert lines[1].split("\t")[1] == first.name.replace("_", "-")


@pytest.mark.parametrize("version", ODD_CURVES)
def test_every_list_and_switch_counts_in_each_mbedtls(
    version: str, build_profile: Callable[[str], Path], tmp_path: Path
) -> None:
    build_dir = build_profile(ODD.format(version=version, curves=ODD_CURVES[version]))
    hellos: list[ClientHello] = []
    root = make_authority("ecdsa")
    servers = ODD_SERVERS | (X25519_SERVER if ODD_CURVES[version] else {})
    identities = {kind: root.issue_server(kind, HOST) for kind in ("ecdsa", "rsa")}
    with ExitStack() as stack:
        ports = [stack.enter_context(run_peer(capture_into(hellos))).port]
        for number, (kind, *options) in enumerate(servers):
            directory = tmp_path / str(number)
            server = run_s_server(identities[kind], directory, "-www", "-no_tls1_3", *options)
            ports.append(stack.enter_context(server).port)
        lines = run_ports(build_dir, ports, root)
    check_hello(hellos[0], load_profile(str(build_dir / "test.toml")))
    agreed = [line.removeprefix("TLSv1.2\tTLS-").removesuffix("\tnil") for line in lines[1:]]
    assert agreed == list(servers.values())


def test_an_offer_is_data(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('schema = 1\nname = "p"\nextends = "tiny"\ntls.alpn = ["mqtt"]\n')
    offer = describe_offer(load_profile(str(path))).to_dict()
    assert json.loads(json.dumps(offer)) == offer
    assert offer["cipher_suites"] == [
        {"name": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "code": 0xC02B}
    ]
    assert offer["signature_algorithms"] == [{"name": "ecdsa_secp256r1_sha256", "code": 0x0403}]
    assert (offer["alpn"], offer["max_fragment"]) == (["mqtt"], 2048)
    assert {"name": "application_layer_protocol_negotiation", "code": 16} in offer["extensions"]
