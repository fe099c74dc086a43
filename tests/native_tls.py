"""The firmware's TLS files with mbedTLS, client and server, as programs for this machine."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from native_build import CC, SANITIZE, WARNINGS, compile_objects, run_tool
from pki import Identity

from nodemcu_tls_build.profile import load_profile
from nodemcu_tls_build.render import render_user_mbedtls
from nodemcu_tls_build.resources import app_dir

_NATIVE = Path(__file__).parent / "native"
_LIMIT = 300  # seconds for one run of a program

_PROFILE = """\
schema = 1
name = "native"
mbedtls.version = "{version}"
mbedtls.debug = true
tls.in_buffer = "8KiB"
tls.out_buffer = "8KiB"
tls.max_fragment = 512
tls.idle_buffers = "release"
"""

# What the server needs beside the profile, which undefines all that it does not have.
_HEADER = """\
#include "user_mbedtls.h"
#define MBEDTLS_SSL_SRV_C
#define MBEDTLS_SSL_CACHE_C
#define MBEDTLS_SSL_TICKET_C
"""


@dataclass(frozen=True)
class NativeTls:
    """mbedTLS compiled for a profile with everything in it."""

    directory: Path
    tree: Path
    lwip: Path

    @property
    def _flags(self) -> list[str]:
        config = [f"-I{self.directory}", '-DMBEDTLS_CONFIG_FILE="native_mbedtls.h"']
        return [*config, f"-isystem{self.tree / 'include'}"]

    @property
    def _objects(self) -> list[Path]:
        return sorted((self.directory / "mbedtls").glob("*.o"))

    def compile(self) -> None:
        """Compile the library."""
        sources = sorted((self.tree / "library").glob("*.c"))
        compile_objects(sources, (*SANITIZE, "-w", *self._flags), self.directory / "mbedtls")

    def build(self, program: Path, *names: str) -> Path:
        """Build a program of tests/native with these files of app/tls."""
        sources = [_NATIVE / f"{program.name}.c", _NATIVE / "tls_pair.c"]
        sources += [app_dir() / "tls" / f"{name}.c" for name in names]
        own = [f"-I{app_dir() / name}" for name in ("tls", "net", "board", "runtime")]
        lwip = f"-isystem{self.lwip / 'src/include'}"  # for a type in a header
        flags = [*WARNINGS, *own, f"-I{_NATIVE}", lwip, *self._flags]
        run_tool(*CC, *SANITIZE, *flags, *sources, *self._objects, "-o", program)
        return program


def make_native_tls(version: str, tree: Path, lwip: Path, directory: Path) -> NativeTls:
    """Compile mbedTLS, unless it was done in this directory before."""
    native = NativeTls(directory / f"native-tls-{version}", tree, lwip)
    if not native.directory.exists():
        native.directory.mkdir()
        profile_path = native.directory / "native.toml"
        profile_path.write_text(_PROFILE.format(version=version))
        header = render_user_mbedtls(load_profile(str(profile_path)), tree / "include")
        (native.directory / "user_mbedtls.h").write_text(header)
        (native.directory / "native_mbedtls.h").write_text(_HEADER)
        native.compile()
    return native


def write_der(identity: Identity, directory: Path) -> tuple[Path, Path]:
    """Write certificate and key as DER files."""
    certificate_path, key_path = directory / "certificate.der", directory / "key.der"
    certificate_path.write_bytes(identity.certificate.public_bytes(serialization.Encoding.DER))
    key_path.write_bytes(
        identity.key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_path, key_path


def run_check(program: Path, *arguments: str | Path) -> list[str]:
    """Run a program that must succeed and return the lines that it prints."""
    result = subprocess.run(
        [program, *arguments], check=False, capture_output=True, text=True, timeout=_LIMIT
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout.splitlines()
