"""`nodemcu-tls build`: profile and CA in, flash image out."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nodemcu_tls_build.commands import json_option, set_option

if TYPE_CHECKING:
    from nodemcu_tls_build.request import BuildResult

CA_FILE = Path("server-ca.crt")


@click.command()
@click.option(
    "--profile",
    default="default",
    show_default=True,
    metavar="NAME|FILE",
    help="A preset, or a profile file (*.toml).",
)
@set_option
@click.option(
    "--ca",
    "ca_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"CA certificates (PEM) to build in, unless {CA_FILE} lies in the current directory.",
)
@click.option(
    "--out",
    "out_dir",
    type=click.Path(path_type=Path),
    default=Path("build"),
    show_default=True,
    metavar="DIR",
    help="Output directory.",
)
@click.option(
    "--sources",
    "archive_dir",
    type=click.Path(path_type=Path),
    envvar="NODEMCU_TLS_SOURCES",
    metavar="DIR",
    help="Directory of source archives, looked into first [env: NODEMCU_TLS_SOURCES].",
)
@click.option(
    "-j", "jobs", type=click.IntRange(min=1), metavar="N", help="Compile N files at once."
)
@json_option
@click.option("-v", "--verbose", is_flag=True, help="Show every command.")
def build(  # noqa: PLR0913, PLR0917 -- one parameter an option
    profile: str,
    settings: tuple[str, ...],
    ca_path: Path | None,
    out_dir: Path,
    archive_dir: Path | None,
    jobs: int | None,
    as_json: bool,
    verbose: bool,
) -> None:
    """Build the firmware and its flash images into the output directory (./build)."""
    from nodemcu_tls_build.commands.progress import show_progress
    from nodemcu_tls_build.fresh import find_fresh_build
    from nodemcu_tls_build.request import BuildRequest

    if os.path.lexists(CA_FILE):  # a link to nowhere must not become a build without a CA
        if ca_path is not None:
            click.echo(f"Note: {CA_FILE} of this directory is built in, not {ca_path}.", err=True)
        ca_path = CA_FILE
    request = BuildRequest(
        profile=profile,
        ca_path=ca_path,
        out_dir=out_dir,
        archive_dir=archive_dir,
        jobs=jobs,
        verbose=verbose,
        settings=settings,
    )
    result = find_fresh_build(request)
    if result is None:
        from nodemcu_tls_build.build import build_firmware

        with show_progress(quiet=as_json, verbose=verbose) as progress:
            result = build_firmware(request, progress)
    if as_json:
        click.echo(json.dumps(result.report, indent=2))
    else:
        for note in result.report.get("notes", ()):
            click.echo(f"Note: {note}.", err=True)
        _show(result, out_dir)


def _show(result: BuildResult, out_dir: Path) -> None:
    from nodemcu_tls_build.commands.show import format_layout, format_sizes, show

    trust = ", ".join(ca["subject"] for ca in result.report["ca"]) or f"none (no {CA_FILE})"
    what = "Built" if result.compiled else "Nothing to do for"
    command = shlex.join(["nodemcu-tls", "run", str(out_dir)])
    show(f"{format_layout(result.report)}\n\n{format_sizes(result.report['sizes'])}\n")
    show(f"CA built in: {trust}")
    show(f"{what} {out_dir / 'flash.bin'}: boot it with `{command}`.")
