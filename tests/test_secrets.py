"""No private key is in anything that is written, but where it belongs."""

from __future__ import annotations

import base64
import itertools
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fleets import FLEET, Site, make_site, read_image
from loader_port import make_build, make_flash, run_loader
from pki import Identity, Key, make_authority, make_key, make_pem

PLAIN = serialization.NoEncryption()
FORMS = {
    "PKCS#8": serialization.PrivateFormat.PKCS8,
    "traditional": serialization.PrivateFormat.TraditionalOpenSSL,
}
# What the DER of every P-256 key in SEC1 form begins with.
SEC1 = bytes.fromhex("30770201010420")


def list_traces(key: Key) -> dict[str, bytes]:
    """Return what tells a key wherever it stands: its number raw, in hexadecimal, in base64."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        secret = key.private_numbers().private_value.to_bytes((key.curve.key_size + 7) // 8, "big")
    else:
        secret = key.private_numbers().p.to_bytes(key.key_size // 16, "big")
    traces = {"raw": secret, "hex": secret.hex().encode()}
    traces["decimal"] = str(int.from_bytes(secret, "big")).encode()
    for name, form in FORMS.items():
        der = key.private_bytes(serialization.Encoding.DER, form, PLAIN)
        text = base64.b64encode(der)
        traces |= {f"DER, {name}": der, f"base64, {name}": text}
        traces[f"PEM, {name}"] = cut_line(text, der.index(secret), len(secret))
    return traces


def cut_line(text: bytes, at: int, length: int) -> bytes:
    """Return the longest piece of base64 that tells of these bytes alone, and is in one line."""
    start, end = -(-at // 3) * 4, (at + length) // 3 * 4
    edges = [start, *(edge for edge in range(0, len(text), 64) if start < edge < end), end]
    return max((text[a:b] for a, b in itertools.pairwise(edges)), key=len)


def find_traces(data: bytes, key: Key) -> list[str]:
    """Return how the key is in the data: as bytes, as hexadecimal of either case, as base64."""
    lowered = data.lower()
    return [
        name
        for name, trace in list_traces(key).items()
        if trace in (lowered if name.startswith("hex") else data)
    ]


def search(root: Path, keys: list[Key], *, allowed: set[Path]) -> Iterator[str]:
    """Find every file, name and link below a directory that gives a key away."""
    for path in root.rglob("*"):
        if path in allowed or not path.is_file():
            continue
        data = path.read_bytes() + os.fsencode(path)
        for key in keys:
            for how in find_traces(data, key):
                yield f"{path}: {how}"


def run_all(*args: str | Path, cwd: Path, text: str | None = None) -> bytes:
    """Run a command; return all that it says, errors and all."""
    result = subprocess.run(
        [sys.executable, "-m", "nodemcu_tls_build", *map(str, args)],
        check=False,
        cwd=cwd,
        env=os.environ | {"TMPDIR": str(cwd / "temporary")},
        input=text.encode() if text else b"",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    assert b"Traceback" not in result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def root() -> Identity:
    return make_authority("ecdsa", "Root")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "temporary").mkdir()
    return tmp_path


def test_the_search_finds_keys(tmp_path: Path) -> None:
    for kind in ("ecdsa", "rsa"):
        key = make_key(kind)
        for name, trace in list_traces(key).items():
            (tmp_path / "file").write_bytes(b"before" + trace + b"after")
            assert list(search(tmp_path, [key], allowed=set())), name
        for form in FORMS.values():
            pem = key.private_bytes(serialization.Encoding.PEM, form, PLAIN)
            assert find_traces(pem, key), form
        assert find_traces(list_traces(key)["hex"].upper(), key)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_provision(place: Path, root: Identity, kind: str) -> None:
    client = root.issue_client(kind, "client")
    written = client.write(place / "client")
    (place / "ca.crt").write_bytes(make_pem(root.certificate))
    pair = ("--ca", "ca.crt", "--cert", written.cert_path, "--key", written.key_path)
    make_flash(make_build(place / "build"), place / "flash.bin")
    wrong = ("--cert", written.cert_path, "--key", place / "other.key")
    other = make_key("ecdsa")
    (place / "other.key").write_bytes(
        other.private_bytes(serialization.Encoding.PEM, FORMS["PKCS#8"], PLAIN)
    )
    said = b""
    for options in ((), ("--json",)):
        said += run_all("provision", "--flash", "flash.bin", *pair, *options, cwd=place)
        said += run_all("provision", "--out", "store.bin", *pair, *options, cwd=place)
        said += run_all("provision", "--flash", "flash.bin", *wrong, *options, cwd=place)
        assert stat.S_IMODE((place / "flash.bin").stat().st_mode) == 0o600
        assert stat.S_IMODE((place / "store.bin").stat().st_mode) == 0o600
        for name in ("flash.bin", "store.bin"):
            said += run_all("provision", "show", name, *options, cwd=place)
    make_flash(place / "build", place / "flash.bin")
    with run_loader(place / "flash.bin") as port:
        said += run_all("provision", port, *pair, cwd=place)
    assert b"private key" in said
    (place / "said").write_bytes(said)
    holders = {place / name for name in ("flash.bin", "store.bin", "other.key")}
    assert list(search(place, [client.key, other], allowed=holders | {written.key_path})) == []
    assert list((place / "temporary").iterdir()) == []


def test_a_build_beside_its_keys(own_build: Path, root: Identity, place: Path) -> None:
    """A build whose image was provisioned tells nothing in its report, logs and ninja files."""
    client = root.issue_client("ecdsa", "client")
    written = client.write(place / "client")
    pair = ("--cert", written.cert_path, "--key", written.key_path)
    said = run_all("provision", "--flash", own_build / "flash.bin", *pair, cwd=place)
    both = place / "both.pem"
    both.write_bytes(make_pem(root.certificate) + written.key_path.read_bytes())
    said += run_all("build", "--out", own_build, "--ca", both, cwd=place)
    assert b"a private key does not belong into a CA file" in said
    (place / "said").write_bytes(said)
    allowed = {written.key_path, both, own_build / "flash.bin"}
    assert list(search(place, [client.key], allowed=allowed)) == []
    said = run_all("build", "--out", own_build, cwd=place)
    assert list(search(place, [client.key], allowed={written.key_path, both})) == []


@pytest.fixture
def site(place: Path) -> Site:
    (place / "fleet").mkdir()
    return make_site(place / "fleet")


def load_keys(site: Site) -> list[Key]:
    keys = []
    for path in sorted((site.out / "stores").glob("*.bin")):
        key = serialization.load_der_private_key(read_image(path)[0].key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        keys.append(key)
    return keys


def test_fleet(site: Site, place: Path) -> None:
    site.write_devices(40)
    said = run_all("fleet", *site.list_args("--json"), cwd=place)
    said += run_all("fleet", *site.list_args(), cwd=place)
    site.write_table("device\nx\nx\n")
    said += run_all("fleet", *site.list_args(), cwd=place)
    (place / "said").write_bytes(said)
    stores = set((site.out / "stores").glob("*.bin"))
    keys = [*load_keys(site), site.issuer.key]
    assert len(keys) == 41
    assert list(search(place, keys, allowed=stores | {site.files.key_path})) == []
    for path in stores:  # each has its own, and nobody else's
        assert len([key for key in keys if find_traces(path.read_bytes(), key)]) == 1
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_encrypted_ones_are_on_the_disk_only_so(site: Site, place: Path) -> None:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public = make_key("rsa").public_key().public_bytes(serialization.Encoding.PEM, spki)
    (place / "public.pem").write_bytes(public)
    site.write_devices(400)
    kill_early(site, "--encrypt-to", place / "public.pem")
    said = run_all("fleet", *site.list_args("--encrypt-to", place / "public.pem"), cwd=place)
    (place / "said").write_bytes(said)
    site.check_whole(400)
    assert [path for path in place.rglob("*") if path.is_file() and SEC1 in path.read_bytes()] == []
    site.write_devices(1)
    site.issue("--out", place / "plain")
    [path] = [path for path in place.rglob("*") if path.is_file() and SEC1 in path.read_bytes()]
    assert path == place / "plain/stores/dev-00000.bin"


def kill_early(site: Site, *args: str | Path) -> None:
    """Begin to issue, and kill it when the first file is there."""
    process = subprocess.Popen(
        [*FLEET, *site.list_args(*args)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stores = site.out / "stores"
    while process.poll() is None and not (stores.exists() and any(stores.iterdir())):
        time.sleep(0.001)
    process.kill()
    process.wait(60)


def test_killed_it_leaves_no_file_that_others_can_read(site: Site) -> None:
    site.write_devices(400)
    kill_early(site)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (site.out / "stores").iterdir()]
    assert set(modes) == {0o600}
    site.issue()
    site.check_whole(400)
