"""An identity for each device of a list, once and only once."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fleets import FLEET, LIMIT, Site, make_site, read_image
from pki import Identity, make_authority, make_key, make_pem

from nodemcu_tls_build.certs.stored import describe

PEM = serialization.Encoding.PEM
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def make_request(key: ec.EllipticCurvePrivateKey, name: str = "of the request") -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM)


def test_each_device_gets_its_own(site: Site) -> None:
    site.write_devices(70)
    text = site.issue(
        "--subject", "CN={device},OU={place},O=Example", "--ca", site.directory / "ca.crt"
    )
    end = f"{site.issuer.certificate.not_valid_after_utc:%Y-%m-%d}"
    assert text == (
        f"Issued 70 devices a certificate in {site.out}.\n"
        f"Valid until {end}, as the issuer's certificate: 3650 days were asked for.\n"
    )
    entries = site.check_whole(70)
    keys = set()
    for device, entry in entries.items():
        told = {"device", "subject", "serial_number", "fingerprint", "public_key", "file"}
        assert set(entry) == told | {"sha256"}
        path = site.out / entry["file"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        credentials, certificate = read_image(path)
        keys.add(credentials.key)
        number = int(device[4:])
        subject = f"CN={device},OU=Hall {number % 3},O=Example"
        assert certificate.subject.rfc4514_string() == entry["subject"] == subject
        length = (certificate.serial_number.bit_length() + 7) // 8
        assert certificate.serial_number.to_bytes(length).hex() == entry["serial_number"]
        assert certificate.fingerprint(hashes.SHA256()).hex() == entry["fingerprint"]
        spki = certificate.public_key().public_bytes(serialization.Encoding.DER, SPKI)
        assert sha256(spki).hexdigest() == entry["public_key"]
        certificate.verify_directly_issued_by(site.issuer.certificate)
        assert [len(found.certificates) for found in describe(credentials)] == [1, 1]
        assert describe(credentials)[1].key == "EC secp256r1"
        assert describe(credentials)[1].key_fits
    assert len(keys) == 70


def test_the_certificate_is_a_clients(site: Site, tmp_path: Path) -> None:
    site.write_devices(1)
    site.issue("--days", "400")
    _, certificate = read_image(site.out / "stores/dev-00000.bin")
    extensions = certificate.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.not_valid_after_utc == site.issuer.certificate.not_valid_after_utc
    assert certificate.not_valid_before_utc < datetime.now(UTC) - timedelta(hours=1)
    (tmp_path / "device.pem").write_bytes(make_pem(certificate))
    subprocess.run(
        [
            *("openssl", "verify", "-purpose", "sslclient", "-CAfile"),
            *(tmp_path / "ca.crt", tmp_path / "device.pem"),
        ],
        check=True,
        capture_output=True,
    )


def test_again_issues_nothing_and_more_devices_only_those(site: Site) -> None:
    site.write_devices(5)
    site.issue()
    before = site.check_whole(5)
    assert "Issued 0 devices" in site.issue()
    assert site.check_whole(5) == before
    site.write_devices(8)
    report = json.loads(site.issue("--json"))
    assert (report["issued"], report["kept"]) == (3, 5)
    after = site.check_whole(8)
    assert {device: after[device] for device in before} == before


def test_an_intermediate_issuer_is_stored_too(tmp_path: Path) -> None:
    root = make_authority("ecdsa", "Root")
    middle = root.issue_authority("rsa", "Middle")
    files = middle.write(tmp_path / "issuer")
    files.cert_path.write_bytes(make_pem(middle.certificate, root.certificate))
    site = Site(tmp_path, middle, files)
    site.write_devices(2)
    site.issue()
    for entry in site.check_whole(2).values():
        credentials, certificate = read_image(site.out / entry["file"])
        certificate.verify_directly_issued_by(middle.certificate)
        own = middle.certificate.public_bytes(serialization.Encoding.DER)
        assert credentials.certificates[1:] == (own,)


def test_names_of_every_kind(site: Site) -> None:
    names = ["a/b", "../up", ".hidden", "Zähler 7", "a,b+c=d", '"quoted"', "per%cent", "A", "a"]
    rows = "".join('"' + name.replace('"', '""') + '"\n' for name in names)
    site.write_table(f"device\n{rows}")
    site.issue("--subject", "CN=x {device} x,O=Example")
    entries = site.check_whole(len(names))
    assert list(entries.keys() - set(names)) == []
    for name, entry in entries.items():
        assert Path(entry["file"]).parts[:-1] == ("stores",)
        _, certificate = read_image(site.out / entry["file"])
        [common] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert common.value == f"x {name} x"


def test_requests_keep_their_keys_away(site: Site) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (site.directory / "two.csr").write_bytes(make_request(key))
    site.write_table("device,csr\none,\ntwo,two.csr\n")
    site.issue()
    entries = site.check_whole(2)
    assert entries["one"]["file"] == "stores/one.bin"
    assert entries["two"]["file"] == "certificates/two.pem"
    text = (site.out / "certificates/two.pem").read_bytes()
    certificate = x509.load_pem_x509_certificate(text)
    assert certificate.subject.rfc4514_string() == "CN=two"
    assert certificate.public_key() == key.public_key()
    assert b"PRIVATE" not in text


@pytest.mark.parametrize("form", ["key", "certificate"])
def test_encrypted_stores(site: Site, tmp_path: Path, form: str) -> None:
    recipient = make_authority("rsa", "Recipient")
    files = recipient.write(tmp_path / "recipient")
    public = recipient.key.public_key().public_bytes(PEM, SPKI)
    (tmp_path / "public.pem").write_bytes(public)
    given = tmp_path / "public.pem" if form == "key" else files.cert_path
    site.write_devices(3)
    site.issue("--encrypt-to", given)
    for device, entry in site.check_whole(3).items():
        assert entry["file"] == f"stores/{device}.bin.cms"
        store = subprocess.run(
            [
                *("openssl", "cms", "-decrypt", "-binary", "-inform", "DER"),
                *("-in", site.out / entry["file"], "-inkey", files.key_path),
            ],
            check=True,
            capture_output=True,
        ).stdout
        (tmp_path / "store.bin").write_bytes(store)
        credentials, certificate = read_image(tmp_path / "store.bin")
        assert describe(credentials)[1].key_fits
        assert certificate.subject.rfc4514_string() == f"CN={device}"
        sealed = (site.out / entry["file"]).read_bytes()
        assert credentials.key not in sealed
        assert store[2 * 4096 : 2 * 4096 + 64] not in sealed
    assert "Issued 0 devices" in site.issue("--encrypt-to", given)


def test_encrypted_to_a_key_in_pkcs1(site: Site, tmp_path: Path) -> None:
    key = make_key("rsa")
    form = serialization.PublicFormat.PKCS1
    (tmp_path / "public.pem").write_bytes(key.public_key().public_bytes(PEM, form))
    site.write_devices(1)
    site.issue("--encrypt-to", tmp_path / "public.pem")
    site.check_whole(1)


@pytest.mark.parametrize("algorithm", ["RSA-PSS", "RSA"])
@pytest.mark.parametrize("form", ["key", "key in DER", "certificate", "certificate in DER"])
def test_only_keys_that_decrypt(site: Site, tmp_path: Path, algorithm: str, form: str) -> None:
    key, given = tmp_path / "recipient.key", tmp_path / "recipient"
    openssl = ["openssl", "genpkey", "-algorithm", algorithm, "-pkeyopt", "rsa_keygen_bits:2048"]
    subprocess.run([*openssl, "-out", key], check=True, capture_output=True)
    command = ["openssl", "pkey", "-pubout"]
    if form.startswith("certificate"):
        command = ["openssl", "req", "-new", "-x509", "-subj", "/CN=recipient"]
    command += ["-outform", "DER" if form.endswith("DER") else "PEM"]
    given_as = "-key" if form.startswith("certificate") else "-in"
    subprocess.run([*command, given_as, key, "-out", given], check=True, capture_output=True)
    site.write_devices(1)
    if algorithm == "RSA-PSS":
        result = site.run("--encrypt-to", given)
        assert result.returncode == 1
        assert "nobody could decrypt what is encrypted to it\nHint: Make a key" in result.stderr
        assert not site.out.exists()
        return
    site.issue("--encrypt-to", given)
    sealed, store = site.out / "stores/dev-00000.bin.cms", tmp_path / "store.bin"
    decrypt = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", key]
    subprocess.run([*decrypt, "-in", sealed, "-out", store], check=True, capture_output=True)
    assert read_image(store)[1].subject.rfc4514_string() == "CN=dev-00000"


@pytest.mark.parametrize("what", ["ec", "private", "small", "rubbish", "none"])
def test_recipients_that_are_none(site: Site, tmp_path: Path, what: str) -> None:
    path = tmp_path / "recipient.pem"
    if what == "private":
        path.write_bytes(site.files.key_path.read_bytes())
    elif what == "rubbish":
        path.write_bytes(b"rubbish")
    elif what != "none":
        key = make_key("ecdsa" if what == "ec" else "rsa-1024")
        path.write_bytes(key.public_key().public_bytes(PEM, SPKI))
    site.write_devices(1)
    result = site.run("--encrypt-to", path)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: ")
    assert not site.out.exists()


def kill_at(site: Site, count: int, *args: str) -> None:
    """Begin to issue, and kill it as soon as so many files are there, or are being written."""
    process = subprocess.Popen(
        [*FLEET, *site.list_args(*args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stores = site.out / "stores"
    while process.poll() is None and not (stores.exists() and len([*stores.iterdir()]) >= count):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait(LIMIT)


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "encrypted"])
def test_killed_at_any_moment(site: Site, tmp_path: Path, sealed: bool) -> None:
    args: list[str] = []
    if sealed:
        path = tmp_path / "public.pem"
        path.write_bytes(make_key("rsa").public_key().public_bytes(PEM, SPKI))
        args = ["--encrypt-to", str(path)]
    site.write_devices(1500)
    seen: dict[str, tuple[str, bytes]] = {}
    for count in (1, 300, 700, 1400):
        kill_at(site, count, *args)
        time.sleep(0.1)  # for what the workers still had
        for path in (site.out / "stores").glob("[!.]*"):
            seen.setdefault(path.name, (str(path), path.read_bytes()))
    result = site.run(*args, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["issued"] + report["kept"] == 1500
    site.check_whole(1500)
    assert all(Path(path).read_bytes() == data for path, data in seen.values())


def test_a_torn_last_line(site: Site) -> None:
    site.write_devices(40)
    site.issue()
    before = site.check_whole(40)
    manifest = site.out / "manifest.jsonl"
    text = manifest.read_bytes()
    for lost in (1, 30, len(text.splitlines()[-1]) + 5):
        manifest.write_bytes(text[:-lost])
        site.issue()
        assert site.check_whole(40) == before  # the files tell what the lines said


def read_whole_lines(manifest: Path) -> set[str]:
    """Return the devices of the lines that have an end."""
    lines = manifest.read_text().splitlines(keepends=True)
    return {json.loads(line)["device"] for line in lines if line.endswith("\n")}


def test_lost_lines_of_files_that_tell_nothing(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "public.pem"
    path.write_bytes(make_key("rsa").public_key().public_bytes(PEM, SPKI))
    site.write_devices(4)
    site.issue("--encrypt-to", path)
    before = site.check_whole(4)
    manifest = site.out / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-9])
    lost = before.keys() - read_whole_lines(manifest)
    [file] = [before[device]["file"] for device in lost]
    result = site.run("--encrypt-to", path)
    assert result.returncode == 1
    assert f"the file {file} is there, and the manifest does not tell of it" in result.stderr
    assert "Move the files away" in result.stderr
    (site.out / file).rename(tmp_path / "away")
    assert "Issued 1 device a" in site.issue("--encrypt-to", path)
    after = site.check_whole(4)
    assert {device for device in before if after[device] != before[device]} == lost


def test_a_store_that_is_taken_over_is_its_owners_alone(site: Site) -> None:
    site.write_devices(2)
    site.issue()
    before = site.check_whole(2)
    manifest, path = site.out / "manifest.jsonl", site.out / "stores/dev-00001.bin"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if "dev-00001" not in line))
    path.chmod(0o666)
    assert "Issued 0 devices" in site.issue()
    assert site.check_whole(2) == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_leftovers_of_a_run_that_was_killed(site: Site) -> None:
    site.write_devices(1)
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from nodemcu_tls_build.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", code, "fleet", *site.list_args()]
    result = subprocess.run(command, check=False, timeout=LIMIT)
    assert result.returncode == -signal.SIGKILL
    assert [*site.out.glob(".fleet.json.*.tmp")]
    site.issue()
    site.check_whole(1)


@pytest.mark.parametrize("what", ["rubbish", "directory", "link", "other kind", "other issuer"])
def test_nothing_that_is_there_is_written_over(site: Site, tmp_path: Path, what: str) -> None:
    site.write_devices(4)
    site.issue()
    before = site.check_whole(4)
    manifest = site.out / "manifest.jsonl"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if "dev-00002" not in line))
    path = site.out / "stores/dev-00002.bin"
    if what == "other kind":
        path = path.rename(path.with_name("dev-00002.bin.cms"))
    elif what == "other issuer":
        other = make_site(tmp_path / "other")
        other.write_devices(4)
        other.issue()
        path.write_bytes((other.out / "stores/dev-00002.bin").read_bytes())
    else:
        path.unlink()
        if what == "directory":
            path.mkdir()
        elif what == "link":
            path.symlink_to("nowhere")
        else:
            path.write_bytes(b"rubbish")
    seen = path.lstat()
    site.write_devices(6)
    result = site.run()
    assert result.returncode == 1
    assert f"  - row 4: the file stores/{path.name} is there, and" in result.stderr
    assert (path.lstat().st_ino, path.lstat().st_mtime_ns) == (seen.st_ino, seen.st_mtime_ns)
    assert len(site.read_manifest()) == 3
    assert len([*(site.out / "stores").iterdir()]) == 4
    path.rename(tmp_path / "away")
    assert "Issued 3 devices" in site.issue()
    after = site.check_whole(6)
    assert {device for device in before if after[device] != before[device]} == {"dev-00002"}


def test_options_that_differ_from_the_first_runs(site: Site, tmp_path: Path) -> None:
    public, other_public = tmp_path / "public.pem", tmp_path / "other.pem"
    for path in (public, other_public):
        path.write_bytes(make_key("rsa").public_key().public_bytes(PEM, SPKI))
    middle = site.issuer.issue_authority("ecdsa", "Middle")
    other = make_authority("ecdsa", "Other").write(tmp_path / "other")
    below = middle.write(tmp_path / "below")
    site.write_devices(2)
    first = ("--subject", "CN={device}", "--encrypt-to", public)
    site.issue(*first)
    before = site.check_whole(2)
    site.write_devices(4)
    by_other = ("--issuer-cert", other.cert_path, "--issuer-key", other.key_path)
    by_middle = ("--issuer-cert", below.cert_path, "--issuer-key", below.key_path)
    for args, names in (
        ((), ["encrypt-to"]),
        (("--encrypt-to", other_public), ["encrypt-to"]),
        ((*first, *by_other), ["issuer-cert"]),
        ((*first, *by_middle), ["issuer-cert"]),
        ((*first, "--days", "9"), ["days"]),
        ((*first, "--ca", site.directory / "ca.crt"), ["ca"]),
        ((*first, "--subject", "CN=x {device}", "--days", "10"), ["subject", "days"]),
    ):
        result = site.run(*args)
        assert (result.returncode, result.stdout) == (1, "")
        said = [line.split()[1] for line in result.stderr.splitlines() if "  - --" in line]
        assert said == [f"--{name}" for name in names], result.stderr
        assert "Hint: Repeat the options of the first run, or give another --out." in result.stderr
    assert "--days was 3650, and now is 9" in site.run(*first, "--days", "9").stderr
    said_of_none = site.run().stderr
    assert "--encrypt-to was " in said_of_none
    assert "..., and now is not given" in said_of_none
    assert site.check_whole(2) == before
    site.issue(*first)
    site.check_whole(4)


def test_a_damaged_fleet_json(site: Site) -> None:
    site.write_devices(1)
    site.issue()
    for text in ("", "[]", "{}", "\xff"):
        (site.out / "fleet.json").write_text(text, encoding="latin-1")
        result = site.run()
        assert result.returncode == 1
        assert "fleet.json is damaged" in result.stderr
    (site.out / "fleet.json").unlink()
    assert "Issued 0 devices" in site.issue()
    site.check_whole(1)


def test_rows_that_were_issued_something_else(site: Site) -> None:
    args = ("--subject", "CN={device},OU={place}")
    (site.directory / "b.csr").write_bytes(make_request(ec.generate_private_key(ec.SECP256R1())))
    site.write_table("device,place,csr\na,Hall 1,\nb,Hall 2,\nc,Hall 3,\n")
    site.issue(*args)
    before = site.check_whole(3)
    site.write_table("device,place,csr\na,Hall 9,\nb,Hall 2,b.csr\nd,new,\nc,Hall 3,\n")
    result = site.run(*args)
    assert result.returncode == 1
    assert [line for line in result.stderr.splitlines() if line.startswith("  - ")] == [
        "  - row 2: the device 'a' was issued CN=a,OU=Hall 1 in stores/a.bin, not "
        "CN=a,OU=Hall 9 in stores/a.bin",
        "  - row 3: the device 'b' was issued CN=b,OU=Hall 2 in stores/b.bin, not "
        "CN=b,OU=Hall 2 in certificates/b.pem",
    ]
    assert site.check_whole(3) == before
    rows = "".join(f"n{number},x,\n" for number in range(30))
    site.write_table(f"device,place,csr\n{rows}")
    site.issue(*args)
    site.write_table("device,place,csr\n" + rows.replace("x", "y"))
    problems = [line for line in site.run(*args).stderr.splitlines() if line.startswith("  - ")]
    assert (len(problems), problems[-1]) == (21, "  - and 10 more")


def list_problems(site: Site) -> list[str]:
    """Run what must be refused; return what is said of the rows."""
    result = site.run()
    assert (result.returncode, result.stdout) == (1, "")
    return [line for line in result.stderr.splitlines() if line.startswith("  - ")]


def test_requests_beside_those_of_earlier_runs(site: Site) -> None:
    for name in ("n1", "n2"):
        key = ec.generate_private_key(ec.SECP256R1())
        (site.directory / f"{name}.csr").write_bytes(make_request(key))
    site.write_table("device,csr\na,n1.csr\n")
    site.issue()
    before = site.check_whole(1)
    site.write_table("device,csr\na,n2.csr\n")
    said = "row 2: the device 'a' was issued a certificate for another key than that of its request"
    assert list_problems(site) == [f"  - {said}"]
    site.write_table("device,csr\na,n1.csr\nc,\n")
    site.issue()
    site.write_table("device,csr\nc,\nb,n1.csr\n")
    said = "row 3: its request has the key of the device 'a', which was issued a certificate"
    assert list_problems(site) == [f"  - {said}"]
    after = site.check_whole(2)
    assert after["a"] == before["a"]


def test_requests_of_earlier_runs_may_be_gone(site: Site) -> None:
    for name in ("a", "b"):
        key = ec.generate_private_key(ec.SECP256R1())
        (site.directory / f"{name}.csr").write_bytes(make_request(key))
    site.write_table("device,csr\na,a.csr\n")
    site.issue()
    before = site.check_whole(1)
    (site.directory / "a.csr").unlink()
    site.write_table("device,csr\na,a.csr\nb,b.csr\n")
    assert "Issued 1 device a certificate" in site.issue()
    assert site.check_whole(2)["a"] == before["a"]
    site.write_table("device,csr\na,a.csr\nc,c.csr\n")
    path = site.directory / "c.csr"
    missing = f"  - row 3: cannot read the request {path}: No such file or directory"
    assert list_problems(site) == [missing]


def test_stores_that_would_not_fit(tmp_path: Path) -> None:
    """A row that is refused could not have been issued, or only by chance: by a few bytes."""
    identity = make_authority("rsa-4096", "Root")
    for number in range(2):
        identity = identity.issue_authority("rsa-4096", f"Level {number}")
    files = identity.write(tmp_path / "issuer")
    files.cert_path.write_bytes(make_pem(identity.certificate, *identity.chain))
    site = Site(tmp_path, identity, files)
    template = ",".join(["CN={device}", *(f"OU={{o{number}}}" for number in range(9))])
    header = ",".join(["device", *(f"o{number}" for number in range(9))])

    def make_row(name: str, length: int) -> str:
        parts = [length * (n + 1) // 9 - length * n // 9 for n in range(9)]
        return ",".join([name, *("x" * part for part in parts)])

    def run(*lengths: int) -> list[str]:
        rows = [make_row(f"d{number:04}", length) for number, length in enumerate(lengths)]
        site.write_table("\n".join([header, *rows, ""]))
        result = site.run("--subject", template)
        assert result.returncode == 0 or not site.out.exists()
        return [line for line in result.stderr.splitlines() if line.startswith("  - ")]

    refused = run(*range(9, 2000))
    found = re.match(r"  - row (\d+): its certificates and key would take (4,\d+) ", refused[0])
    assert found
    assert refused[0].endswith(" bytes in flash, their sector holds 4,064")
    longest = 9 + int(found[1]) - 2 - 1
    assert run(*[longest] * 40) == []
    sizes = [measure_records(path) for path in (site.out / "stores").iterdir()]
    assert len(sizes) == 40
    assert 4064 - 8 <= max(sizes) <= 4064


def measure_records(path: Path) -> int:
    credentials, _ = read_image(path)
    parts = [*credentials.certificates, credentials.key]
    return sum(4 + len(part) for part in parts)


WAYS = {
    "/dev/stdin": 'cat list/devices.csv | "$@" --csv /dev/stdin',
    "<(...)": '"$@" --csv <(sleep 0.3; cat list/devices.csv)',
    "named pipe": '(cat list/devices.csv > list/pipe &); "$@" --csv list/pipe',
    "here-document": '"$@" --csv /dev/stdin <<<"$(cat list/devices.csv)"',
    "redirected": 'mv b.csr list; "$@" --csv /dev/stdin <list/devices.csv',
    "/proc": 'mv b.csr list; "$@" --csv /proc/self/fd/0 <list/devices.csv',
}


@pytest.mark.parametrize("way", WAYS)
def test_where_requests_are_looked_for(site: Site, way: str) -> None:
    """Beside the list if it lies somewhere, else in the current directory."""
    key = ec.generate_private_key(ec.SECP256R1())
    (site.directory / "b.csr").write_bytes(make_request(key))
    site.write_table("device,csr\na,\nb,b.csr\n")
    (site.directory / "list").mkdir()
    (site.directory / "devices.csv").rename(site.directory / "list/devices.csv")
    os.mkfifo(site.directory / "list/pipe")
    result = subprocess.run(
        ["bash", "-c", WAYS[way], "-", *FLEET, *site.list_args()],
        check=False,
        cwd=site.directory,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert set(site.check_whole(2)) == {"a", "b"}


def test_a_list_in_memory_has_its_requests_beside_it(site: Site) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        key = ec.generate_private_key(ec.SECP256R1())
        (Path(directory) / "b.csr").write_bytes(make_request(key))
        (Path(directory) / "devices.csv").write_text("device,csr\nb,b.csr\n")
        site.issue("--csv", Path(directory) / "devices.csv")
    assert set(site.check_whole(1)) == {"b"}


def test_ca_certificates_through_a_pipe(site: Site) -> None:
    site.write_devices(1)
    command = '"$@" --ca <(cat ca.crt)'
    subprocess.run(
        ["bash", "-c", command, "-", *FLEET, *site.list_args()],
        check=True,
        cwd=site.directory,
        capture_output=True,
        timeout=LIMIT,
    )
    credentials, _ = read_image(site.out / "stores/dev-00000.bin")
    assert credentials.ca == (site.issuer.certificate.public_bytes(serialization.Encoding.DER),)


def test_an_empty_path_is_wrong_usage(site: Site) -> None:
    site.write_devices(1)
    result = site.run("--out", "")
    assert result.returncode == 2
    assert "Invalid value for '--out': the path is empty" in result.stderr


@pytest.mark.parametrize("option", ["--csv", "--issuer-key"])
def test_files_that_may_not_be_read(site: Site, option: str) -> None:
    site.write_devices(1)
    path = site.directory / "devices.csv" if option == "--csv" else site.files.key_path
    path.chmod(0)
    # The superuser too, who then has no right to read whatever the permissions say.
    drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]
    result = subprocess.run(
        [*(drop if os.geteuid() == 0 else []), *FLEET, *site.list_args()],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert result.returncode == 1
    assert f"cannot read {path}: Permission denied\nHint: " in result.stderr
    assert not site.out.exists()


def test_a_pipe_that_nobody_writes_to(site: Site) -> None:
    os.mkfifo(site.directory / "devices.csv")
    result = site.run()
    assert result.returncode == 1
    assert "row 1: it is empty" in result.stderr


def test_a_list_that_changes_while_it_is_issued(site: Site) -> None:
    site.write_devices(1500)
    process = subprocess.Popen(
        [*FLEET, *site.list_args("--jobs", "1")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stores = site.out / "stores"
    while process.poll() is None and not (stores.exists() and any(stores.iterdir())):
        time.sleep(0.001)
    site.write_table("device,place\n" + "dev-00000,x\n" * 1500)
    assert process.wait(LIMIT) == 0
    site.check_whole(1500)


def test_until_when_certificates_are_valid_is_told(tmp_path: Path) -> None:
    issuer = make_authority("ecdsa", end=timedelta(days=9))
    site = Site(tmp_path, issuer, issuer.write(tmp_path / "issuer"))
    site.write_devices(1)
    text = site.issue("--days", "5")
    end = datetime.now(UTC) + timedelta(days=5)
    assert f"\nValid until {end:%Y-%m-%d}.\n" in text
    assert site.issue("--days", "5").count("\n") == 1
    report = json.loads(site.issue("--out", tmp_path / "cut", "--json"))
    _, certificate = read_image(tmp_path / "cut/stores/dev-00000.bin")
    assert report["not_after"] == certificate.not_valid_after_utc.isoformat()
    assert report["ends_with_issuer"]


def test_the_manifest_checks_all_files(site: Site) -> None:
    """The README's command: sha256sum, fed from the manifest."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    [command] = re.findall(r"^    (sed .*manifest.jsonl \| sha256sum .*)$", readme, re.MULTILINE)
    names = ["a/b", "Zähler 7", "a,b+c=d", '"quoted"', "per%cent", 'x", "file": "y']
    site.write_table("device\n" + "".join('"' + n.replace('"', '""') + '"\n' for n in names))
    site.issue()

    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command], check=False, cwd=site.out, capture_output=True, text=True
        )

    assert (check().returncode, check().stdout, check().stderr) == (0, "", "")
    with (site.out / "stores/per%25cent.bin").open("r+b") as file:
        file.write(b"x")
    assert check().returncode == 1
    assert check().stdout == "stores/per%25cent.bin: FAILED\n"


def test_files_between_two_names_are_given_theirs(site: Site) -> None:
    site.write_devices(3)
    site.issue()
    before = site.check_whole(3)
    stores = site.out / "stores"
    (stores / "dev-00001.bin").rename(stores / ".dev-00001.bin.part")
    (stores / ".dev-00009.bin.part").write_bytes(b"never told of")
    site.issue()
    assert site.check_whole(3) == before


def test_a_file_that_is_gone_is_no_reason_to_issue_anew(site: Site) -> None:
    site.write_devices(3)
    site.issue()
    (site.out / "stores/dev-00001.bin").unlink()
    result = site.run()
    assert result.returncode == 1
    assert "'dev-00001' lacks its file" in result.stderr
    lines = (site.out / "manifest.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if "dev-00001" not in line]
    (site.out / "manifest.jsonl").write_text("".join(kept))
    assert "Issued 1 device a" in site.issue()
    site.check_whole(3)


def test_a_damaged_manifest(site: Site) -> None:
    site.write_devices(3)
    site.issue()
    manifest = site.out / "manifest.jsonl"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text(lines[0] + '{"device": 7}\n' + lines[1] + lines[2])
    result = site.run()
    assert result.returncode == 1
    assert "line 2 is damaged" in result.stderr
    manifest.write_text(lines[0] + "\n" + lines[1] + lines[2])
    result = site.run()
    assert "line 2 is empty\nHint: Take those lines out: what their devices" in result.stderr


def test_one_at_a_time(site: Site) -> None:
    import fcntl  # noqa: PLC0415 -- of this test alone

    site.write_devices(3)
    site.out.mkdir()
    with (site.out / ".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = site.run()
    assert result.returncode == 1
    assert "another fleet is being issued" in result.stderr
    assert [path.name for path in site.out.iterdir()] == [".lock"]  # nothing of its own yet


def test_an_interrupt_leaves_what_was_done(site: Site) -> None:
    site.write_devices(3000)
    process = subprocess.Popen(
        [*FLEET, *site.list_args()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    manifest = site.out / "manifest.jsonl"
    while not (manifest.exists() and manifest.stat().st_size) and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=LIMIT)
    assert (process.returncode, stderr) == (130, "Interrupted.\n")
    count = len(site.read_manifest())
    assert 0 < count < 3000
    site.check_whole(count)
    report = json.loads(site.issue("--json"))
    assert (report["issued"], report["kept"]) == (3000 - count, count)


def test_a_full_disk_is_told(site: Site) -> None:
    site.write_devices(200)
    command = ["bash", "-c", 'ulimit -f 8; exec "$@"', "-", *FLEET, *site.list_args()]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: cannot write ")
    assert "Traceback" not in result.stderr
    site.issue()
    site.check_whole(200)


def test_a_list_that_there_is_no_room_to_copy(site: Site) -> None:
    site.write_devices(2000)
    command = ["bash", "-c", 'ulimit -f 8; exec "$@"', "-", *FLEET, *site.list_args()]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT)
    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: cannot copy {site.directory / 'devices.csv'} to a ")
    assert "Hint: Free some space there" in result.stderr
    assert not site.out.exists()


def test_issuers_that_cannot_issue(site: Site, tmp_path: Path) -> None:
    site.write_devices(1)
    leaf: Identity = site.issuer.issue_client("ecdsa", "leaf")
    old = make_authority("ecdsa", "Old", end=timedelta(hours=-1))
    for identity, said in ((leaf, "is not a CA"), (old, "expired on")):
        files = identity.write(tmp_path / said)
        result = Site(site.directory, identity, files).run()
        assert result.returncode == 1
        assert said in result.stderr
    hint = "Hint: Give the certificate and the key of a CA; nodemcu-tls cert new-ca makes one.\n"
    assert hint in Site(site.directory, leaf, leaf.write(tmp_path / "leaf")).run().stderr
    other = Site(site.directory, site.issuer, leaf.write(tmp_path / "leaf"))
    result = other.run("--issuer-cert", site.files.cert_path)
    assert result.returncode == 1
    assert "is not that of the certificate" in result.stderr
    assert not site.out.exists()


@pytest.mark.parametrize(
    "template",
    ["", "CN={nothing}", "CN", "CN={device", "{device}", "XX={device}", "C={place},CN={device}"],
)
def test_subjects_that_cannot_be(site: Site, template: str) -> None:
    site.write_devices(1)
    result = site.run("--subject", template)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: ")
    assert not site.out.exists()


def test_an_encrypted_issuers_key(site: Site, tmp_path: Path) -> None:
    secret = serialization.BestAvailableEncryption(b"open sesame")
    form = serialization.PrivateFormat.PKCS8
    site.files.key_path.write_bytes(site.issuer.key.private_bytes(PEM, form, secret))
    (tmp_path / "passphrase").write_text("open sesame\n")
    site.write_devices(1)
    result = site.run()
    assert result.returncode == 1
    assert "is encrypted" in result.stderr
    site.issue("--passphrase-file", tmp_path / "passphrase")
    site.check_whole(1)
