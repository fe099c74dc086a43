"""Everything that the default profile can agree on with a TLS 1.2 server, and what it refuses."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from emulated import GATEWAY, HOST, World
from negotiation import Negotiated, format_table, read_gnutls_report, read_openssl_trace
from peers import run_s_server
from pki import Digest, Identity
from servers import Server, run_gnutls_server
from tls_client import list_events

Start = Callable[[Identity, Path], AbstractContextManager[Server]]
Read = Callable[[str], Negotiated]

_BATCH = 10  # connections of one boot
_CURVES = ("secp256r1", "secp384r1", "brainpoolP256r1", "brainpoolP384r1", "secp256k1")
_AES = ("AES256-GCM-SHA384", "AES128-GCM-SHA256", "AES256-SHA", "AES128-SHA", "AES128-SHA256")
_ECDHE = (*_AES, "AES256-SHA384", "CAMELLIA256-SHA384", "CAMELLIA128-SHA256")
_CAMELLIA = ("CAMELLIA256-SHA256", "CAMELLIA256-SHA", "CAMELLIA128-SHA256", "CAMELLIA128-SHA")
_DHE = (*_AES, "AES256-SHA256", *_CAMELLIA)


@dataclass(frozen=True)
class Certificate:
    """What a server's certificate is: its key, who signs it, and how."""

    kind: str = "ecdsa"
    issuer: str = ""  # the key of an authority between it and the root
    digest: type[Digest] = hashes.SHA256
    pss: bool = False

    def issue(self, root: Identity) -> Identity:
        issuer = root.issue_authority(self.issuer, "Intermediate") if self.issuer else root
        return issuer.issue_server(self.kind, HOST, digest=self.digest(), pss=self.pss)


EC, RSA = Certificate(), Certificate("rsa")


def openssl(*options: str) -> Start:
    return lambda identity, directory: run_s_server(
        identity, directory, "-www", "-trace", "-no_tls1_3", *options
    )


def gnutls(priority: str) -> Start:
    return lambda identity, directory: run_gnutls_server(identity, directory, priority=priority)


def list_openssl_cases() -> Iterable[tuple[Certificate, Start]]:
    """List each suite, each group, each signature of a handshake and each of a certificate."""
    for certificate, exchange, ciphers in (
        (EC, "ECDHE-ECDSA", _ECDHE),
        (RSA, "ECDHE-RSA", _ECDHE),
        (RSA, "DHE-RSA", _DHE),
    ):
        for cipher in ciphers:
            yield certificate, openssl("-cipher", f"{exchange}-{cipher}")
    for curve in _CURVES:
        yield EC, openssl("-groups", curve)
    for curve in _CURVES[1:]:
        # To be shown at all, its curve must be one that the server takes, too.
        yield Certificate(curve), openssl("-groups", f"P-256:{curve}")
    for name in ("SHA256", "SHA384", "SHA512"):
        yield EC, openssl("-sigalgs", f"ECDSA+{name}")
        yield RSA, openssl("-sigalgs", f"RSA+{name}")
    for digest in (hashes.SHA224, hashes.SHA384, hashes.SHA512):
        yield Certificate(digest=digest), openssl()
        yield Certificate("rsa", issuer="rsa", digest=digest), openssl()
    yield Certificate("rsa", issuer="rsa", pss=True), openssl()
    yield Certificate("rsa-3072"), openssl()
    yield Certificate("rsa-4096"), openssl()


def list_gnutls_cases() -> Iterable[tuple[Certificate, Start]]:
    """List the suites that OpenSSL does not have."""
    for certificate, exchange in ((EC, "ECDHE-ECDSA"), (RSA, "ECDHE-RSA"), (RSA, "DHE-RSA")):
        for bits in (256, 128):
            yield (
                certificate,
                gnutls(f"NORMAL:-CIPHER-ALL:+CAMELLIA-{bits}-GCM:-KX-ALL:+{exchange}"),
            )


def connect_to_all(
    world: World, directory: Path, cases: Iterable[tuple[Certificate, Start]]
) -> list[tuple[list[str], str]]:
    """Connect to every server; return for each the events that Lua got and the server's log."""
    issue = cache(lambda certificate: certificate.issue(world.root))
    results: list[tuple[list[str], str]] = []
    batch = list(cases)
    for start in range(0, len(batch), _BATCH):
        with ExitStack() as stack:
            servers = [
                stack.enter_context(run(issue(certificate), directory / str(number)))
                for number, (certificate, run) in enumerate(batch[start : start + _BATCH], start)
            ]
            events = list_events(world.build_dir, *((HOST, server.port) for server in servers))
            logs = [server.read_log() for server in servers]
        results += zip(events, logs, strict=True)
    return results


def read_all(results: list[tuple[list[str], str]], read: Read) -> list[Negotiated]:
    """Return what was agreed on in connections that all succeeded."""
    for events, log in results:
        assert [event.partition("\t")[0] for event in events[1:2]] == ["connection"], (events, log)
        assert [event.lower() for event in events[2:]] == [
            "receive\thttp/1.0 200 ok",
            "disconnection\tnil",
        ]
    return [read(log) for _, log in results]


def list_offered(log: str) -> list[str]:
    """Return the cipher suites of a ClientHello in a trace of OpenSSL's."""
    return re.findall(r"^        \{0x\w\w, 0x\w\w\} TLS_(\w+)$", log, re.MULTILINE)


def test_whatever_is_offered_can_be_agreed_on(
    world: World,
    tmp_path: Path,
    check_golden: Callable[[str, str], None],
) -> None:
    openssl_results = connect_to_all(world, tmp_path / "openssl", list_openssl_cases())
    gnutls_results = connect_to_all(world, tmp_path / "gnutls", list_gnutls_cases())
    rows = read_all(openssl_results, read_openssl_trace)
    rows += read_all(gnutls_results, read_gnutls_report)
    check_golden("negotiated.txt", format_table(rows))
    offered = list_offered(openssl_results[0][1])
    assert offered.pop() == "EMPTY_RENEGOTIATION_INFO_SCSV"
    agreed = {f"{row.key_exchange}-WITH-{row.cipher_suite}".replace("-", "_") for row in rows}
    assert agreed == set(offered)


# What a server wants that this firmware does not: its certificate, the server, the reason.
ALERT = "the server refused with a TLS alert: handshake_failure"
WEAK = "the certificate uses a weak or unsupported algorithm"
LEVEL = "@SECLEVEL=0"
UNWANTED: dict[str, tuple[Certificate, Start, str]] = {
    "RSA key exchange": (RSA, openssl("-cipher", "AES128-GCM-SHA256"), ALERT),
    "no encryption": (EC, openssl("-cipher", f"ECDHE-ECDSA-NULL-SHA:{LEVEL}"), ALERT),
    "no authentication": (EC, openssl("-cipher", f"AECDH-AES128-SHA:{LEVEL}"), ALERT),
    "AES in CCM": (EC, openssl("-cipher", "ECDHE-ECDSA-AES128-CCM"), ALERT),
    "ChaCha20": (EC, openssl("-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"), ALERT),
    "3DES": (RSA, gnutls("NORMAL:-CIPHER-ALL:+3DES-CBC"), ALERT),
    "RC4": (RSA, gnutls("NORMAL:-CIPHER-ALL:+ARCFOUR-128"), ALERT),
    "a group of 521 bits": (EC, openssl("-groups", "P-521"), ALERT),
    "X25519": (EC, openssl("-groups", "X25519"), ALERT),
    "SHA-224 in the handshake": (EC, openssl("-sigalgs", "ECDSA+SHA224"), ALERT),
    "SHA-1 in the handshake": (
        EC,
        openssl("-sigalgs", "ECDSA+SHA1", "-cipher", f"DEFAULT:{LEVEL}"),
        ALERT,
    ),
    "a key of 521 bits": (Certificate("secp521r1"), openssl(), ALERT),
    "an issuer of 521 bits": (Certificate(issuer="secp521r1"), openssl(), WEAK),
    "RSA of 1024 bits": (Certificate("rsa-1024"), openssl("-cipher", f"DEFAULT:{LEVEL}"), WEAK),
    "an issuer of 1024 bits": (
        Certificate(issuer="rsa-1024"),
        openssl("-cipher", f"DEFAULT:{LEVEL}"),
        WEAK,
    ),
}


def test_what_is_weak_or_not_there_is_refused(world: World, tmp_path: Path) -> None:
    cases = [(certificate, start) for certificate, start, _ in UNWANTED.values()]
    results = connect_to_all(world, tmp_path, cases)
    told = {name: events for name, (events, _) in zip(UNWANTED, results, strict=True)}
    assert told == {
        name: [f"dns\t{GATEWAY}", f"reconnection\t{reason}"]
        for name, (_, _, reason) in UNWANTED.items()
    }


def test_small_group_is_refused(world: World, tmp_path: Path) -> None:
    dh_path = tmp_path / "dh.pem"
    command = ["openssl", "genpkey", "-genparam", "-out", str(dh_path)]
    command += ["-algorithm", "DH", "-pkeyopt", "group:modp_1536"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    start = openssl("-cipher", f"DHE-RSA-AES128-SHA256:{LEVEL}", "-dhparam", str(dh_path))
    [(events, log)] = connect_to_all(world, tmp_path, [(RSA, start)])
    assert "dh_p (len=192)" in log
    assert events == [
        f"dns\t{GATEWAY}",
        "reconnection\tthe server's handshake breaks the TLS protocol",
    ]


def issue_with_sha1(issuer: Identity, directory: Path) -> Identity:
    """Make a server's identity with a signature that Python's library refuses to make."""
    issuer_files, files = issuer.write(directory / "issuer"), EC.issue(issuer).write(directory)
    request = ["openssl", "req", "-new", "-key", str(files.key_path), "-subj", f"/CN={HOST}"]
    sign = ["openssl", "x509", "-req", "-sha1", "-days", "30", "-set_serial", "7"]
    sign += ["-CA", str(issuer_files.cert_path), "-CAkey", str(issuer_files.key_path)]
    pem = b""
    for command in (request, sign):
        result = subprocess.run(command, check=True, input=pem, capture_output=True, timeout=60)
        pem = result.stdout
    key = serialization.load_pem_private_key(files.key_path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Identity(key, x509.load_pem_x509_certificate(pem))


def test_certificate_signed_with_sha1_is_refused(world: World, tmp_path: Path) -> None:
    identity = issue_with_sha1(world.root, tmp_path)
    with openssl("-cipher", f"DEFAULT:{LEVEL}")(identity, tmp_path) as server:
        [events] = list_events(world.build_dir, (HOST, server.port))
        log = server.read_log()
    assert "Signature Algorithm: ecdsa-with-SHA1\n" in log
    assert events == [f"dns\t{GATEWAY}", f"reconnection\t{WEAK}"]
