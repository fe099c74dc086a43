"""`nodemcu-tls emulate`: a virtual ESP8266 behind a serial port."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

from pathlib import Path

import click

from nodemcu_tls_build.commands import build_option, hosts_option

_SIZES = ("512KB", "1MB", "2MB", "4MB", "8MB", "16MB")


@click.command()
@click.option(
    "--flash",
    "flash_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep the chip's flash in FILE, made erased when it is new.",
)
@click.option(
    "--flash-size",
    "flash_size",
    type=click.Choice(_SIZES, case_sensitive=False),
    help="Size of the flash: 1MB for a new one, else that of FILE.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="Listen on this TCP port instead of any that is free.",
)
@build_option("The build to take bootrom.elf from, the virtual boot ROM.")
@hosts_option
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT",
    help="Misbehave on purpose, for tests: lose=N, corrupt=N, delay=MS, cut-frame=N, "
    "unplug=BYTES, deaf, wrong-chip, stuck-sector=OFFSET, stuck-bit=OFFSET, power-cut=BYTES. "
    "Commands here bear a delay of 450 ms, esptool by itself less than 100.",
)
def emulate(  # noqa: PLR0913, PLR0917 -- one parameter an option
    flash_path: Path | None,
    flash_size: str | None,
    port: int,
    build_dir: Path,
    hosts: tuple[str, ...],
    faults: tuple[str, ...],
) -> None:
    """Be an ESP8266 behind a serial port (RFC 2217) on the loopback address.

    The URL of the port is printed once it can be opened. esptool and every command here that takes
    a PORT takes that URL. DTR and RTS reset the chip, into its loader or into what is in flash: an
    image boots in QEMU, and the port is its console, at 115200 bits per second.

    It is one device for one client at a time, until ^C. Without --flash it is a fresh chip.
    """
    from nodemcu_tls_build.emulator.chip import FLASH_SIZES
    from nodemcu_tls_build.emulator.emulate import EmulateRequest, run_device
    from nodemcu_tls_build.emulator.faults import parse_faults
    from nodemcu_tls_build.emulator.qemu import parse_hosts

    size = FLASH_SIZES[flash_size] if flash_size else None
    request = EmulateRequest(
        build_dir, flash_path, size, port, parse_hosts(hosts), parse_faults(faults)
    )
    run_device(
        request,
        on_ready=lambda url: click.echo(f"Virtual ESP8266 on {url}"),
        log=lambda line: click.echo(line, err=True),
    )
