"""What `cert check` calls usable works on the emulated chip, and what it does not call so fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from emulated import HOST
from lua_steps import run_steps
from peers import run_s_server
from pki import Identity, make_authority, make_key, make_pem
from test_cert_check import check
from test_cert_minimise import certify, issue_again

DAY = timedelta(days=1)
BASIC = x509.BasicConstraints(ca=True, path_length=None)
Case = tuple[Identity, list[x509.Certificate]]  # a server, and the CAs that are trusted


def make_sound() -> Case:
    root = make_authority("ecdsa", "Root")
    return root.issue_authority("ecdsa", "Middle").issue_server("ecdsa", HOST), [root.certificate]


def make_double_root() -> Case:
    server, [root] = make_sound()
    return Identity(server.key, server.certificate, (*server.chain, root)), [root]


def make_cross_certificate() -> Case:
    root = make_authority("ecdsa", "Root")
    server = root.issue_authority("ecdsa", "Middle").issue_server("ecdsa", HOST)
    cross = issue_again(root, make_authority("ecdsa", "Older"), end=-DAY)
    return Identity(server.key, server.certificate, (*server.chain, cross.certificate)), [
        root.certificate
    ]


def make_among_others() -> Case:
    server, [root] = make_sound()
    return server, [make_authority("rsa", "Other").certificate, root]


def make_self_signed() -> Case:
    own = make_authority("ecdsa", HOST)
    return own, [own.certificate]


def make_other_case() -> Case:
    server = make_authority("ecdsa", "Root CA").issue_server("ecdsa", HOST)
    return server, [make_authority("ecdsa", "Root CA").certificate]  # of the same name


def make_name_constraints() -> Case:
    root = make_authority("ecdsa", "Root")
    odd = certify(root, BASIC, x509.NameConstraints([x509.DNSName("test")], None))
    return root.issue_server("ecdsa", HOST), [odd.certificate]


def make_short_path() -> Case:
    root = make_authority("ecdsa", "Root")
    strict = certify(root, x509.BasicConstraints(ca=True, path_length=0))
    return root.issue_authority("ecdsa", "Middle").issue_server("ecdsa", HOST), [strict.certificate]


def make_strange_extension() -> Case:
    root = make_authority("ecdsa", "Root")
    server = root.issue_server("ecdsa", HOST)
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.9"), b"\x05\x00")
    builder = x509.CertificateBuilder().subject_name(server.certificate.subject)
    builder = builder.issuer_name(root.certificate.subject).public_key(server.key.public_key())
    builder = builder.serial_number(5).add_extension(odd, critical=True)
    builder = builder.not_valid_before(server.certificate.not_valid_before_utc)
    builder = builder.not_valid_after(server.certificate.not_valid_after_utc)
    for extension in server.certificate.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return Identity(server.key, builder.sign(root.key, hashes.SHA256())), [root.certificate]


def make_out_of_date() -> Case:
    root = make_authority("ecdsa", "Root")
    return root.issue_server("ecdsa", HOST, start=-9 * DAY, end=-DAY), [root.certificate]


def make_two_ways(trusted: int) -> Case:
    """Make a CA that two others certified, both sent; mbedTLS takes the first."""
    roots = [make_authority("ecdsa", name) for name in ("First", "Second")]
    middle = roots[0].issue_authority("ecdsa", "Middle")
    twin = issue_again(middle, roots[1])
    server = middle.issue_server("ecdsa", HOST)
    sent = (middle.certificate, twin.certificate)
    return Identity(server.key, server.certificate, sent), [roots[trusted].certificate]


def make_way_of_the_first() -> Case:
    return make_two_ways(0)


def make_way_of_the_second() -> Case:
    return make_two_ways(1)


def make_past_and_present() -> Case:
    root = make_authority("ecdsa", "Root")
    middle = root.issue_authority("ecdsa", "Middle")
    past = issue_again(middle, root, end=-DAY)
    server = middle.issue_server("ecdsa", HOST)
    sent = (past.certificate, middle.certificate)
    return Identity(server.key, server.certificate, sent), [root.certificate]


def make_own() -> Case:
    """Make a server that signed its own certificate, which says that it is no CA's."""
    key = make_key("ecdsa")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(5)
    builder = builder.not_valid_before(datetime.now(UTC) - DAY)
    builder = builder.not_valid_after(datetime.now(UTC) + 9 * DAY)
    builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
    own = builder.sign(key, hashes.SHA256())
    return Identity(key, own), [own]


def make_empty_key_id() -> Case:
    root = make_authority("ecdsa", "Root")
    empty = x509.AuthorityKeyIdentifier(None, None, None)
    return root.issue_server("ecdsa", HOST), [certify(root, BASIC, empty).certificate]


USABLE: list[Callable[[], Case]] = [
    make_sound,
    make_double_root,
    make_cross_certificate,
    make_among_others,
    make_self_signed,
    make_way_of_the_first,
    make_past_and_present,
    make_own,
]
UNUSABLE: list[Callable[[], Case]] = [
    make_other_case,
    make_name_constraints,
    make_short_path,
    make_strange_extension,
    make_out_of_date,
    make_way_of_the_second,
    make_empty_key_id,
]


CASES = (*USABLE, *UNUSABLE)
BATCH = 5  # as many texts of certificates as a script has room for


@pytest.mark.parametrize("start", range(0, len(CASES), BATCH))
def test_the_chip_agrees(firmware: Path, tmp_path: Path, start: int) -> None:
    cases = CASES[start : start + BATCH]
    script, constants, judged = "", {}, {}
    with ExitStack() as stack:
        for number, make in enumerate(cases):
            (server, trusted), directory = make(), tmp_path / make.__name__
            running = stack.enter_context(run_s_server(server, directory, "-www"))
            chain_path, ca_path = directory / "full.pem", directory / "ca.crt"
            chain_path.write_bytes(make_pem(server.certificate, *server.chain))
            ca_path.write_bytes(make_pem(*trusted))
            found = check(str(chain_path), str(ca_path), "--host", HOST)
            judged[make.__name__] = not found["findings"]
            constants[f"p{number}"] = running.port
            constants[f"c{number}"] = ca_path.read_text()
            script += f"print(pcall(tls.cert.verify, c{number}))\n"
            script += f"print(connect(p{number}, {{ resume = false }}))\n"
        printed = run_steps(firmware, script, **constants)
    stored, opened = printed[::2], printed[1::2]
    works = {
        make.__name__: one == "true\ttrue" and other == "open"
        for make, one, other in zip(cases, stored, opened, strict=True)
    }
    assert works == judged, printed
    assert works == {make.__name__: make in USABLE for make in cases}
