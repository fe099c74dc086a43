"""`nodemcu-tls flash`: write a build to one device or to several."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nodemcu_tls_build.commands import baud_option, build_option, json_option
from nodemcu_tls_build.errors import BuildError

if TYPE_CHECKING:
    from nodemcu_tls_build.device.flash import Erase, FlashRequest, FlashResult

    Results = dict[str, FlashResult | BuildError]


@click.command()
@click.argument("ports", metavar="[PORT]...", nargs=-1)
@build_option()
@baud_option
@click.option(
    "--erase",
    type=click.Choice(["none", "firmware", "all"]),
    default="none",
    show_default=True,
    help="What to erase first: nothing, all that firmware may fill, or the whole flash.",
)
@click.option(
    "--keep-credentials/--no-keep-credentials",
    default=True,
    show_default=True,
    help="Leave the stored certificates and keys alone, or erase them.",
)
@click.option("--no-verify", is_flag=True, help="Do not compare the device with the build then.")
@json_option
@click.pass_context
def flash(  # noqa: PLR0913, PLR0917 -- one parameter an option
    ctx: click.Context,
    ports: tuple[str, ...],
    build_dir: Path,
    baud: int,
    erase: Erase,
    keep_credentials: bool,
    no_verify: bool,
    as_json: bool,
) -> None:
    """Write a build to the ESP8266 on each serial port PORT, and prove that it is there.

    PORT is a device file or a URL rfc2217://HOST:PORT; without one, the only likely port is
    taken. What is in flash already is not written again. At the end each device is compared
    with the build and reset.
    """
    from nodemcu_tls_build.commands.ports import choose
    from nodemcu_tls_build.device.flash import FlashRequest
    from nodemcu_tls_build.device.plan import load_plan

    doubled = next((port for port in ports if ports.count(port) > 1), None)
    if doubled:
        raise click.UsageError(f"{doubled} is given twice", ctx)
    request = FlashRequest(load_plan(build_dir), erase, keep_credentials, not no_verify)
    results = _flash_all(ports or (choose(None),), baud, request, quiet=as_json)
    failed = [port for port, result in results.items() if isinstance(result, BuildError)]
    if as_json:
        click.echo(json.dumps(_to_dict(request, results), indent=2))
    elif len(results) == 1 and failed:
        error = results[failed[0]]
        raise error if isinstance(error, BuildError) else AssertionError
    else:
        _show(request, results)
    ctx.exit(1 if failed else 0)


def _flash_all(ports: tuple[str, ...], baud: int, request: FlashRequest, *, quiet: bool) -> Results:
    from nodemcu_tls_build.commands.ports import show_ports
    from nodemcu_tls_build.device.flash import flash_device
    from nodemcu_tls_build.device.side_by_side import run_side_by_side
    from nodemcu_tls_build.device.tool import Line

    with show_ports(ports, quiet=quiet) as shown:

        def flash_one(port: str, stopper: Any) -> FlashResult:
            try:
                result = flash_device(Line(port, baud, shown.report_for(port), (stopper,)), request)
            except BuildError as error:
                shown.end(port, f"failed: {error.message}", done=False)
                raise
            shown.end(port, "done", done=True)
            return result

        return run_side_by_side(ports, flash_one)


def _to_dict(request: FlashRequest, results: Results) -> dict[str, Any]:
    ports = [
        {"port": port, "ok": False} | result.to_dict()
        if isinstance(result, BuildError)
        else result.to_dict()
        for port, result in results.items()
    ]
    output = request.plan.output
    return {"build_dir": str(output.build_dir), "build_id": output.build_id, "ports": ports}


def _show(request: FlashRequest, results: Results) -> None:
    from nodemcu_tls_build.commands.show import show
    from nodemcu_tls_build.commands.show_device import describe_flashed

    for port, result in results.items():
        if isinstance(result, BuildError):
            hint = f"\n  {result.hint}" if result.hint else ""
            show(f"{port}: failed: {result.message}{hint}")
        else:
            show(describe_flashed(result))
    good = sum(not isinstance(result, BuildError) for result in results.values())
    done = "Flashed and verified" if request.verify else "Flashed, not verified:"
    count = "" if len(results) == 1 else f" on {good} of {len(results)} devices"
    show(f"{done} build {request.plan.output.build_id}{count}." if good else "None was flashed.")
