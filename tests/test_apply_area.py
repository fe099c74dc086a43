"""The sector of CA certificates: bytes, and the header that a compiler makes them of."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from pki import Identity, make_authority, make_pem

from nodemcu_tls_build.apply.area import make_area
from nodemcu_tls_build.certs import CaBundle, load_ca_file
from nodemcu_tls_build.errors import CertificateError
from nodemcu_tls_build.process import run_capture
from nodemcu_tls_build.render import render_ca_area
from nodemcu_tls_build.toolchain import find_compiler

SECTOR = 4096


def load(path: Path, *authorities: Identity) -> CaBundle:
    path.write_bytes(make_pem(*(authority.certificate for authority in authorities)))
    return load_ca_file(path, now=datetime.now(UTC))


def read_records(area: bytes) -> list[tuple[bytes, bytes]]:
    """Read name and data of each record as the firmware does, to the length 0xffff."""
    assert len(area) == SECTOR
    records = []
    at = 0
    while True:
        name, length = struct.unpack_from("<32sH", area, at)
        if length == 0xFFFF:
            assert set(area[at:]) == {0xFF}
            return records
        at += 34
        records.append((name.rstrip(b"\0"), area[at : at + length]))
        at += length


def test_a_record_for_each_certificate(tmp_path: Path) -> None:
    bundle = load(tmp_path / "ca.crt", *(make_authority("ecdsa", f"CA {n}") for n in range(3)))
    records = read_records(make_area(bundle, takes_pem=False))
    assert records == [(b"certificate", der) for der in bundle.der]


def test_text_where_only_the_first_record_is_read(tmp_path: Path) -> None:
    bundle = load(tmp_path / "ca.crt", make_authority("ecdsa"), make_authority("secp384r1"))
    [(name, text)] = read_records(make_area(bundle, takes_pem=True))
    assert name == b"certificate"
    found = x509.load_pem_x509_certificates(text)
    assert [found_one.fingerprint(found_one.signature_hash_algorithm) for found_one in found] == [
        one.fingerprint(one.signature_hash_algorithm)
        for one in map(x509.load_der_x509_certificate, bundle.der)
    ]


def test_one_certificate_is_der_everywhere(tmp_path: Path) -> None:
    bundle = load(tmp_path / "ca.crt", make_authority("ecdsa"))
    assert read_records(make_area(bundle, takes_pem=True)) == [(b"certificate", bundle.der[0])]


@pytest.mark.parametrize("takes_pem", [False, True])
def test_what_does_not_fit_is_refused(tmp_path: Path, takes_pem: bool) -> None:
    [one] = load(tmp_path / "ca.crt", make_authority("ecdsa")).certificates

    def make(size: int) -> CaBundle:
        return CaBundle((replace(one, der=b"x" * size), replace(one, der=b"y")))

    most = next(size for size in range(SECTOR, 0, -1) if not is_refused(make(size), takes_pem))
    assert read_records(make_area(make(most), takes_pem=takes_pem))
    if not takes_pem:
        assert most == SECTOR - 3 * 34 - 1  # two headers, and one for the end
    with pytest.raises(CertificateError, match="as text" if takes_pem else "take .* bytes in"):
        make_area(make(most + 1), takes_pem=takes_pem)


def is_refused(bundle: CaBundle, takes_pem: bool) -> bool:
    try:
        make_area(bundle, takes_pem=takes_pem)
    except CertificateError:
        return True
    return False


def test_the_header_compiles_to_the_area(tmp_path: Path) -> None:
    bundle = load(tmp_path / "ca.crt", make_authority("ecdsa"), make_authority("ecdsa", "Two */"))
    area = make_area(bundle, takes_pem=False)
    source = tmp_path / "area.c"
    source.write_text(render_ca_area(bundle, area))
    compiler = find_compiler().path
    flags = ["-Wall", "-Wextra", "-Werror", "-std=gnu99"]
    run_capture([compiler, *flags, "-c", source, "-o", tmp_path / "area.o"])
    objcopy = compiler.with_name(compiler.name.replace("gcc", "objcopy"))
    run_capture(
        [
            *(objcopy, "-O", "binary", "-j", ".servercert.flash", "--set-section-flags"),
            *(".servercert.flash=alloc,load,contents", tmp_path / "area.o", tmp_path / "area.bin"),
        ]
    )
    assert (tmp_path / "area.bin").read_bytes() == area
