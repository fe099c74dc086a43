"""What a server sends: which of it has to be in order, what else may be there, and its dates."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from emulated import HOST
from handshake_cost import Site, link_measuring, measure_handshake
from peers import run_s_server
from pki import Identity, make_authority, make_pem

from nodemcu_tls_build.certs.server_chain import load_chain
from nodemcu_tls_build.cli import cli
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.profile import load_profile
from nodemcu_tls_build.profile.chain import list_parsed
from nodemcu_tls_build.profile.heap import predict_heap

DAY = timedelta(days=1)


class Site3:
    """A root, two intermediate CAs below it, the server's certificate, and an unrelated root."""

    def __init__(self, kind: str = "ecdsa", **dates: timedelta) -> None:
        self.root = make_authority(kind)
        self.upper = self.root.issue_authority(kind, "Upper")
        self.lower = self.upper.issue_authority(kind, "Lower")
        self.server = self.lower.issue_server(kind, HOST, **dates)
        self.other = make_authority("rsa", "Other").certificate

    def list(self, names: str) -> list[x509.Certificate]:
        """Return certificates by the first letters of their names."""
        named = {
            **{"s": self.server.certificate, "l": self.lower.certificate},
            **{"u": self.upper.certificate, "r": self.root.certificate, "o": self.other},
        }
        return [named[name] for name in names]

    def write(self, names: str, directory: Path) -> tuple[Path, Path]:
        chain_path, ca_path = directory / "chain.pem", directory / "ca.pem"
        chain_path.write_bytes(make_pem(*self.list(names)))
        ca_path.write_bytes(make_pem(self.root.certificate))
        return chain_path, ca_path


@pytest.fixture(scope="module")
def site() -> Site3:
    return Site3()


def check(*args: str | Path, command: str = "check", code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["profile", command, *map(str, args)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize("names", ["slu", "slur", "sluo", "solou", "slslu", "sluuu", "slulur"])
@pytest.mark.parametrize("has_ca", [True, False])
def test_what_is_not_on_the_way_does_not_matter(
    site: Site3, tmp_path: Path, names: str, has_ca: bool
) -> None:
    chain_path, ca_path = site.write(names, tmp_path)
    chain = load_chain(chain_path, ca_path if has_ca else None)
    assert chain.length == 3
    assert [one.subject for one in chain.certificates[:3]] == [f"CN={HOST}", "CN=Lower", "CN=Upper"]
    assert chain.ca.subject == "CA CN=Test root"
    assert len(chain.certificates) == len(names)
    options = ("--ca", ca_path) if has_ca else ()
    assert "is right" in check("default", "--chain", chain_path, *options)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("sul", "CN=Lower stands behind CN=Upper, which issued it"),
        ("lus", "stands behind CN=Lower, which issued it"),
        ("suol", "CN=Lower stands behind CN=Upper, which issued it"),
    ],
)
@pytest.mark.parametrize("command", ["show", "check"])
def test_an_issuer_in_front_is_refused(
    site: Site3, tmp_path: Path, names: str, message: str, command: str
) -> None:
    chain_path, ca_path = site.write(names, tmp_path)
    args = ("default", "--chain", chain_path)
    assert message in check(*args, command=command, code=1)
    assert message in check(*args, "--ca", ca_path, command=command, code=1)


def test_a_gap_is_told(site: Site3, tmp_path: Path) -> None:
    chain_path, ca_path = site.write("slo", tmp_path)
    shown = check("default", "--chain", chain_path, "--ca", ca_path, code=1)
    assert "was issued by a CA in" in shown


def test_others_are_kept_as_far_as_they_can_be_read(site: Site3, tmp_path: Path) -> None:
    """Without RSA a signature of it is unknown, and mbedTLS passes over that certificate."""
    paths = site.write("sluo", tmp_path)
    ecdsa, default = load_profile("ecdsa"), load_profile("default")
    chain = load_chain(*paths)
    assert len(list_parsed(default, chain)) == len(list_parsed(ecdsa, chain)) + 1
    less = predict_heap(ecdsa, load_chain(*site.write("slu", tmp_path)))
    assert predict_heap(ecdsa, chain).peak.heap == less.peak.heap
    stranger = replace(chain.certificates[3], key="secp521r1", signature="ECDSA")
    odd = replace(chain, certificates=(*chain.certificates[:3], stranger))
    with pytest.raises(CertificateError, match=r"CN=Other has a key on secp521r1"):
        predict_heap(default, odd)


@pytest.mark.parametrize(("preset", "names"), [("default", "solslu"), ("ecdsa", "solou")])
def test_the_firmware_verifies_it(
    site: Site3, build_profile: Callable[[str], Path], tmp_path: Path, preset: str, names: str
) -> None:
    predicted = predict_heap(load_profile(preset), load_chain(*site.write(names, tmp_path)))
    build_dir = build_profile(f'extends = "{preset}"\n')
    measuring = link_measuring(build_dir, tmp_path / "link")
    first, *others = site.list(names)
    identity = Identity(site.server.key, first, tuple(others))
    with run_s_server(identity, tmp_path / "server", "-rev") as running:
        pem = make_pem(site.root.certificate).decode()
        measured = measure_handshake(measuring, Site(running.port, pem))
    assert measured is not None
    assert abs(predicted.peak.heap / measured[0] - 1) < 0.1


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        ({"start": -40 * DAY, "end": -10 * DAY}, f"CN={HOST} expired on "),
        ({"start": 20 * DAY, "end": 40 * DAY}, f"CN={HOST} is valid from "),
    ],
)
def test_dates(tmp_path: Path, dates: dict[str, timedelta], message: str) -> None:
    paths = Site3(**dates).write("slu", tmp_path)
    args = ("default", "--chain", paths[0], "--ca", paths[1])
    refused = check(*args, code=1)
    assert message in refused
    assert "and it is 20" in refused
    assert f"but {message}" in " ".join(check(*args, command="show").split())
    told = json.loads(check(*args, "--json", command="show"))["handshake"]
    assert [message in note for note in told["notes"]] == [True]
    assert "is right" in check(*args, "--set", "tls.verify_dates=false")
    assert message not in check(*args, "--set", "tls.verify_dates=false", command="show")


def test_the_cas_dates_count_and_those_of_others_do_not(tmp_path: Path) -> None:
    root = make_authority("ecdsa", "Old root", end=-timedelta(hours=1))
    chain_path, ca_path = tmp_path / "chain.pem", tmp_path / "ca.pem"
    chain_path.write_bytes(make_pem(root.issue_server("ecdsa", HOST).certificate))
    ca_path.write_bytes(make_pem(root.certificate))
    assert "CA CN=Old root expired" in check(
        "default", "--chain", chain_path, "--ca", ca_path, code=1
    )
    good = make_authority("ecdsa", "New root")
    chain_path.write_bytes(make_pem(good.issue_server("ecdsa", HOST).certificate, root.certificate))
    ca_path.write_bytes(make_pem(good.certificate))
    assert "is right" in check("default", "--chain", chain_path, "--ca", ca_path)
