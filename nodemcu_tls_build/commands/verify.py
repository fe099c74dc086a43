"""`nodemcu-tls verify`: compare a device with a build."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import json
from pathlib import Path

import click

from nodemcu_tls_build.commands import baud_option, build_option, json_option, set_error_code


@click.command()
@click.argument("port", required=False)
@build_option()
@baud_option
@json_option
@click.pass_context
def verify(ctx: click.Context, port: str | None, build_dir: Path, baud: int, as_json: bool) -> None:
    """Compare the ESP8266 on the serial port PORT with a build.

    The exit code is 0 when the device holds the build, 1 when it does not, and 2 when that could
    not be told. Stored credentials are the device's own: they may be whatever they are.
    """
    from nodemcu_tls_build.commands.ports import choose, show_ports
    from nodemcu_tls_build.commands.show import show
    from nodemcu_tls_build.commands.show_device import format_comparison
    from nodemcu_tls_build.device.flash import verify_device
    from nodemcu_tls_build.device.plan import load_plan
    from nodemcu_tls_build.device.tool import Line

    set_error_code(ctx, 2)
    plan = load_plan(build_dir)
    port = choose(port)
    with show_ports([port], quiet=as_json) as shown:
        comparison = verify_device(Line(port, baud, shown.report_for(port)), plan)
    if as_json:
        click.echo(json.dumps(comparison.to_dict(), indent=2))
    else:
        show(format_comparison(comparison))
    ctx.exit(0 if comparison.same else 1)
