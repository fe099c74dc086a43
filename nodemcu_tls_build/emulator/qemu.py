"""Boot a flash image in QEMU, through the virtual boot ROM."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nodemcu_tls_build.build_output import BuildOutput, load_build_output
from nodemcu_tls_build.emulator.console import run_console
from nodemcu_tls_build.emulator.flash_file import FlashFile
from nodemcu_tls_build.errors import BuildError, ConfigError, ImageError
from nodemcu_tls_build.files import explain_write_error
from nodemcu_tls_build.image import pad_to_flash
from nodemcu_tls_build.memmap import FLASH_WINDOW
from nodemcu_tls_build.toolchain import find_qemu

HOST_GATEWAY = "10.0.2.2"  # the host's loopback, as QEMU's user-mode network shows it
MAX_HOSTS = 16  # MEMP_NUM_LOCALHOSTLIST in app/net/lwipopts.h
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*", re.IGNORECASE)


@dataclass(frozen=True)
class RunRequest:
    """What to boot and how.

    `hosts` are NAME:IPV4 pairs as `parse_hosts` gives them. Without `script_path` the firmware's
    prompt answers standard input. Without `flash_path` the chip is a fresh one; with it, that
    file is its flash from run to run. `timeout` is in seconds. `epoch`, seconds since 1970, is
    what the chip's clock starts at; None is the host's, 0 a clock that is not set.
    """

    image_dir: Path
    script_path: Path | None = None
    hosts: tuple[str, ...] = ()
    timeout: float | None = None
    flash_path: Path | None = None
    epoch: int | None = None


@dataclass(frozen=True)
class Setup:
    """What the emulator is started with.

    `flash_path` may be larger than the flash window, which shows its beginning. The firmware
    takes `flash_size` for its size, in bytes. The rest is as in RunRequest.
    """

    rom_path: Path
    flash_path: Path
    flash_size: int
    hosts: tuple[str, ...] = ()
    script_path: Path | None = None
    epoch: int | None = None


def run_image(request: RunRequest, *, on_warning: Callable[[str], None]) -> int:
    """Boot the build in `image_dir`; return the firmware's exit code, 124 after the timeout."""
    output = load_build_output(request.image_dir)
    rom_path = request.image_dir / "bootrom.elf"
    _read_part(rom_path)
    flash = _read_part(request.image_dir / "flash.bin")
    if len(flash) != output.flash_size:  # it was not provisioned
        flash = pad_to_flash(flash, output.flash_size)
    if request.script_path:
        _check_script(request.script_path)
    qemu_path = find_qemu()
    kept = request.flash_path
    with _open_kept_flash(kept, flash) if kept else _make_private_flash(flash) as held:
        flash_path, descriptors = held
        _warn_of_other_build(flash_path, output, on_warning)
        setup = Setup(
            rom_path,
            flash_path,
            output.flash_size,
            request.hosts,
            script_path=request.script_path,
            epoch=request.epoch,
        )
        return run_console(
            make_command(qemu_path, setup),
            uses_input=request.script_path is None,
            timeout=request.timeout,
            on_warning=on_warning,
            descriptors=descriptors,
        )


def parse_hosts(values: Sequence[str]) -> tuple[str, ...]:
    """Check NAME:IP pairs, IP an IPv4 address or `host-gateway`; return them as NAME:IPV4.

    Raises ConfigError listing everything that is wrong.
    """
    hosts: dict[str, str] = {}
    problems = []
    for value in values:
        name, colon, address = value.partition(":")
        if not colon:
            problems.append(f"{value!r} is not NAME:IP")
            continue
        if not _HOST_NAME.fullmatch(name):
            problems.append(f"{value!r}: {name!r} is not a host name")
        if name.lower() in hosts:
            problems.append(f"{value!r}: {name} is given twice")
        try:
            ip = HOST_GATEWAY if address == "host-gateway" else str(ipaddress.IPv4Address(address))
        except ValueError:
            problems.append(f"{value!r}: {address!r} is neither an IPv4 address nor host-gateway")
        else:
            hosts[name.lower()] = f"{name}:{ip}"
    if len(values) > MAX_HOSTS:
        problems.append(f"{len(values)} names are given, the firmware has room for {MAX_HOSTS}")
    if problems:
        raise ConfigError(
            "the host names cannot be used",
            "Write NAME:IP, for example --add-host broker.test:host-gateway.",
            problems,
        )
    return tuple(hosts.values())


def make_command(qemu_path: Path, setup: Setup) -> list[str]:
    """Return QEMU's command line: an lx106 on the chip's map, its flash, what the board asks."""
    epoch = int(time.time()) if setup.epoch is None else setup.epoch
    board = {"flash": setup.flash_path, "flash_size": setup.flash_size, "epoch": epoch}
    settings = [f"{key}={value}" for key, value in board.items()]
    if setup.script_path:
        settings.append(f"script={setup.script_path.absolute()}")
    settings += [f"host={host}" for host in setup.hosts]
    semihosting = ["enable=on", "target=native", "arg=nodemcu"]
    semihosting += [f"arg={_quote(setting)}" for setting in settings]
    flash = _quote(str(setup.flash_path))
    return [
        *(str(qemu_path), "-M", "lx60-nommu", "-cpu", "lx106"),
        *("-semihosting-config", ",".join(semihosting)),
        *("-display", "none", "-monitor", "none", "-serial", "stdio"),
        *("-nic", "user,model=open_eth"),
        *("-device", f"loader,file={flash},addr={FLASH_WINDOW.start:#x},force-raw=on"),
        *("-kernel", str(setup.rom_path)),
    ]


def _quote(value: str) -> str:
    return value.replace(",", ",,")  # QEMU's own way


def _read_part(path: Path) -> bytes:
    """Read a file that every build has."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(
            f"cannot read {path}: {error.strerror}",
            f"Make it again: nodemcu-tls build --out {path.parent}",
        ) from error


def _check_script(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise BuildError(
            f"the script {path} is not a regular file",
            "Write it to a file: the emulator opens it by its name.",
        )
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise BuildError(
            f"cannot read the script {path}: {error.strerror}", "Check the path of --script."
        ) from error


def _warn_of_other_build(
    flash_path: Path, output: BuildOutput, on_warning: Callable[[str], None]
) -> None:
    flash = flash_path.read_bytes()
    for image in output.images:
        data = flash[image.offset : image.offset + image.length]
        if hashlib.sha256(data).hexdigest() != image.sha256:
            on_warning(
                f"Warning: the flash differs from the build in {output.build_dir} "
                f"({image.path.name}); it is booted as it is."
            )
            return


@contextlib.contextmanager
def _make_private_flash(flash: bytes) -> Iterator[tuple[Path, tuple[int, ...]]]:
    """Hold a copy in memory: it may have a private key in it, and is gone however this ends.

    Yields its path, the same here and in the emulator, and the descriptors to hand over for that.
    """
    with contextlib.ExitStack() as stack:
        try:
            descriptor = os.memfd_create("nodemcu-tls-flash")
            stack.callback(os.close, descriptor)
            view = memoryview(flash)
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError as error:
            raise explain_write_error(Path("a copy of the flash in memory"), error) from error
        yield Path(f"/proc/self/fd/{descriptor}"), (descriptor,)


@contextlib.contextmanager
def _open_kept_flash(path: Path, flash: bytes) -> Iterator[tuple[Path, tuple[int, ...]]]:
    with contextlib.closing(FlashFile(path, flash)):
        yield path.absolute(), ()
