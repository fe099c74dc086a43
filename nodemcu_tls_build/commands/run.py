"""`nodemcu-tls run`: boot a build in the emulator."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from nodemcu_tls_build.commands import hosts_option, timeout_option


def _parse_clock(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> int | None:
    if value is None:
        return None
    if value == "none":
        return 0
    try:
        time = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is neither a date like 2031-05-01T12:00 nor none", context, parameter
        ) from error
    seconds = int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    if seconds <= 0:
        raise click.BadParameter(f"{value!r} is before 1970", context, parameter)
    return seconds


@click.command()
@click.argument("image_dir", type=click.Path(path_type=Path), default=Path("build"))
@click.option(
    "--script",
    "script_path",
    type=click.Path(path_type=Path),
    metavar="FILE.lua",
    help="Run this Lua file instead of the prompt and end with its exit code.",
)
@hosts_option
@timeout_option("End the emulator after this time, with exit code 124.")
@click.option(
    "--flash",
    "flash_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep the chip's flash in FILE from run to run, made from the build when it is new.",
)
@click.option(
    "--clock",
    "epoch",
    callback=_parse_clock,
    metavar="DATE|none",
    help="Start the chip's clock at this time (ISO 8601, UTC) instead of now, or leave it unset.",
)
@click.pass_context
def run(  # noqa: PLR0913, PLR0917 -- one parameter an option
    ctx: click.Context,
    image_dir: Path,
    script_path: Path | None,
    hosts: tuple[str, ...],
    timeout: float | None,
    flash_path: Path | None,
    epoch: int | None,
) -> None:
    """Boot a build's flash image in QEMU: a script, or the prompt.

    IMAGE_DIR is the output directory of the build, ./build when it is not given. The image is
    booted from flash by the virtual boot ROM, as on the chip.

    Without --script the firmware's Lua prompt is on the terminal: ^D at an empty prompt or
    os.exit() leaves it. The exit code is that of os.exit(), 1 for an uncaught Lua error, 3 for
    an image that the boot ROM refused. The chip is a fresh one at each run unless --flash names
    a file.
    """
    from nodemcu_tls_build.emulator.qemu import RunRequest, parse_hosts, run_image

    request = RunRequest(image_dir, script_path, parse_hosts(hosts), timeout, flash_path, epoch)
    ctx.exit(run_image(request, on_warning=lambda line: click.echo(line, err=True)))
