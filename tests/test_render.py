from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from jinja2 import UndefinedError
from native_build import find_tree
from pki import make_authority

from nodemcu_tls_build.certs import CaBundle
from nodemcu_tls_build.certs.details import Details, read_details
from nodemcu_tls_build.process import run_capture
from nodemcu_tls_build.profile import load_profile
from nodemcu_tls_build.render import (
    make_comment_safe,
    render_server_ca,
    render_template,
    render_user_mbedtls,
)
from nodemcu_tls_build.resources import app_dir
from nodemcu_tls_build.toolchain import find_compiler


def make_details(der: bytes, subject: str, not_after: datetime) -> Details:
    """Return a certificate with bytes of its own."""
    real = read_details(make_authority("ecdsa").certificate.public_bytes(Encoding.DER))
    assert real
    return replace(real, der=der, subject=subject, not_after=not_after)


BUNDLE = CaBundle(
    (
        make_details(
            bytes(range(24)),
            "CN=Größe CA,O=a */ int x; /* b??/",
            datetime(2036, 1, 2, tzinfo=UTC),
        ),
        make_details(bytes(range(250, 256)), "CN=Second\\", datetime(2031, 12, 31, 23, tzinfo=UTC)),
    )
)

# As the firmware's own C files are compiled; the trigraphs make the comments harder to get right.
OWN_WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wmissing-prototypes", "-Werror", "-trigraphs")


@pytest.mark.parametrize("version", ["3.6.6", "2.28.3", "2.16.3"])
def test_user_mbedtls(check_golden: Callable[[str, str], None], version: str) -> None:
    default = load_profile("default")
    mbedtls = default.mbedtls.model_copy(update={"version": version})
    profile = default.model_copy(update={"mbedtls": mbedtls})
    text = render_user_mbedtls(profile, find_tree("mbedtls", version).path / "include")
    assert profile.digest() in text
    check_golden(f"user_mbedtls-{version}.h", text)


@pytest.mark.parametrize(("name", "bundle"), [("none", None), ("two", BUNDLE)])
def test_server_ca(
    check_golden: Callable[[str, str], None], name: str, bundle: CaBundle | None
) -> None:
    check_golden(f"server_ca-{name}.c", render_server_ca(bundle))


def make_records(*certificates: bytes) -> bytes:
    return b"".join(b"\x01\x00" + len(c).to_bytes(2, "little") + c for c in certificates)


@pytest.mark.parametrize("bundle", [None, BUNDLE], ids=["none", "two"])
def test_server_ca_compiles_to_the_certificates(tmp_path: Path, bundle: CaBundle | None) -> None:
    compiler = find_compiler()
    source, object_path = tmp_path / "server_ca.c", tmp_path / "server_ca.o"
    source.write_text(render_server_ca(bundle))
    flags = [*OWN_WARNINGS, f"-I{app_dir() / 'tls'}", f"--specs={compiler.specs}"]
    options = ["-std=c99", "-fdata-sections", *flags]
    run_capture([compiler.path, *options, "-c", source, "-o", object_path])
    data = b"\0" if bundle is None else make_records(*bundle.der)
    length = 0 if bundle is None else len(data)
    for symbol, expected in (("records", data), ("length", length.to_bytes(4, "little"))):
        section, content = f".rodata.server_ca_{symbol}", tmp_path / symbol
        copy = [f"{compiler.prefix}objcopy", "-O", "binary", f"--only-section={section}"]
        run_capture([*copy, object_path, content])
        assert content.read_bytes() == expected


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("CN=plain, O=one", "CN=plain, O=one"),
        ("a*/b/*c", "a* /b/ *c"),
        ("**//**", "** // **"),
        ("*/*/", "* / * /"),
        ("??/\n", "? ?/?"),
        ("é\x1b\u202e", "\\xe9?\\u202e"),
    ],
)
def test_comment_safe(text: str, safe: str) -> None:
    assert make_comment_safe(text) == safe


def test_an_undefined_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render_template("server_ca.c.j2")
