"""`nodemcu-tls flash`: write a build to a device."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

from pathlib import Path

import click

from nodemcu_tls_build.commands import device_arguments


@click.command()
@device_arguments
def flash(port: str, build_dir: Path, baud: int) -> None:
    """Write a build to the ESP8266 on the serial port PORT."""
    from nodemcu_tls_build.device.flash import write_device

    write_device(build_dir, port, baud, click.echo)
    click.echo(f"Flashed {build_dir} to {port}.")
