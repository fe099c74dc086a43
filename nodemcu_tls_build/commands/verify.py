"""`nodemcu-tls verify`: compare a device with a build."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

from pathlib import Path

import click

from nodemcu_tls_build.commands import device_arguments


@click.command()
@device_arguments
def verify(port: str, build_dir: Path, baud: int) -> None:
    """Compare the ESP8266 on the serial port PORT with a build."""
    from nodemcu_tls_build.device.flash import verify_device

    verify_device(build_dir, port, baud, click.echo)
    click.echo(f"{port} holds the build in {build_dir}.")
