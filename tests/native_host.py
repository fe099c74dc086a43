"""Programs for this machine, compiled from the firmware's C and from mbedTLS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from locks import hold
from native_build import CC, SANITIZE, WARNINGS, compile_objects, find_tree, run_tool

from nodemcu_tls_build.build import LWIP_VERSION
from nodemcu_tls_build.profile import load_profile
from nodemcu_tls_build.render import render_user_mbedtls
from nodemcu_tls_build.resources import app_dir

NATIVE = Path(__file__).parent / "native"
SANITIZERS = (
    *SANITIZE,
    f"-fsanitize-ignorelist={NATIVE / 'mbedtls.ignore'}",
)


@dataclass(frozen=True)
class Native:
    """A directory for objects, what is compiled into them, and with which flags."""

    work_dir: Path
    flags: tuple[str, ...]
    mbedtls: Path
    lwip: Path

    @property
    def own_flags(self) -> tuple[str, ...]:
        """Return the flags of the firmware's own files and those of tests."""
        names = ("tls", "net", "board", "runtime", "include")
        own = (f"-I{app_dir() / name}" for name in names)
        return (*self.flags, *WARNINGS, *own, f"-I{NATIVE}", *self._upstream_flags)

    @property
    def _upstream_flags(self) -> tuple[str, ...]:
        config = (f"-I{self.work_dir}", '-DMBEDTLS_CONFIG_FILE="user_mbedtls.h"')
        trees = (self.mbedtls / "include", self.lwip / "src/include")
        return (*config, *(f"-isystem{tree}" for tree in trees))

    def compile_upstream(self) -> list[Path]:
        """Compile mbedTLS and lwIP's addresses, unless another worker has done it."""
        flags = (*self.flags, "-w", *self._upstream_flags, f"-I{app_dir() / 'net'}")
        sources = sorted((self.mbedtls / "library").glob("*.c"))
        sources += [self.lwip / "src/core" / name for name in ("def.c", "ipv4/ip4_addr.c")]
        flags = (*flags, f"-I{app_dir() / 'runtime'}")
        directory = self.work_dir / "upstream"
        with hold(self.work_dir):
            if not (directory / "done").exists():
                compile_objects(sources, flags, directory)
                (directory / "done").touch()
        return sorted(directory.glob("*.o"))


def prepare(shared_dir: Path, *flags: str, profile: str = "default") -> Native:
    """Return what is compiled with these flags for a profile's mbedTLS."""
    settings = load_profile(profile)
    trees = [
        find_tree(name, version).path
        for name, version in (("mbedtls", settings.mbedtls.version), ("lwip", LWIP_VERSION))
    ]
    header = render_user_mbedtls(settings, trees[0] / "include")
    key = sha256("\n".join((header, *flags)).encode()).hexdigest()[:16]
    work_dir = shared_dir / f"native-{key}"
    work_dir.mkdir(exist_ok=True)
    with hold(work_dir):
        (work_dir / "user_mbedtls.h").write_text(header)
    return Native(work_dir, flags, *trees)


def list_client_sources() -> list[Path]:
    """Return the firmware's files that make a TLS client, but for its network and board."""
    return [*sorted((app_dir() / "tls").glob("*.c")), app_dir() / "runtime/calendar.c"]


def link_program(objects: Iterable[Path], flags: Sequence[str], program: Path) -> Path:
    """Link objects; unused functions of upstream are left out."""
    run_tool(*CC, *flags, *objects, "-o", program)
    return program
