"""`nodemcu-tls profile`: look at profiles, check them, compare them, start one."""

# ruff: noqa: PLC0415 -- what is heavy is imported when it is needed: `--help` stays quick

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nodemcu_tls_build.commands import json_option, set_option

if TYPE_CHECKING:
    from nodemcu_tls_build.profile import Profile
    from nodemcu_tls_build.profile.heap import Prediction

_PROFILE = "PROFILE"

F = TypeVar("F", bound=Callable[..., Any])


def _chain_options(command: F) -> F:
    """Add `--chain` and `--ca`, as `chain_path` and `ca_path`."""
    chain = click.option(
        "--chain",
        "chain_path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Predict the heap of a handshake with a server that sends this PEM file.",
    )
    ca = click.option(
        "--ca",
        "ca_path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The CA that the chain is checked with, in place of one like the chain's last.",
    )
    return chain(ca(command))


@click.group()
def profile() -> None:
    """Look at profiles, check them, compare them, start one.

    PROFILE is the name of a preset, or a profile file (*.toml).
    """


@profile.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the presets: whom each is for, and what it costs."""
    from nodemcu_tls_build.commands.show import show
    from nodemcu_tls_build.commands.show_profile import format_list
    from nodemcu_tls_build.profile import list_presets, load_profile
    from nodemcu_tls_build.profile.estimate import estimate_cost
    from nodemcu_tls_build.profile.suites import list_suites

    found = [load_profile(name) for name in list_presets()]
    entries = [(it, len(list_suites(it.tls)), estimate_cost(it)) for it in found]
    if as_json:
        _show_json(
            [
                {
                    "name": it.name,
                    "description": " ".join(it.description.split()),
                    "sha256": it.digest(),
                    "cipher_suites": suites,
                    "cost": estimate.to_dict(),
                }
                for it, suites, estimate in entries
            ]
        )
    else:
        show(format_list(entries))


@profile.command("show")
@click.argument("name", metavar=_PROFILE)
@set_option
@_chain_options
@json_option
def show_(
    name: str,
    settings: tuple[str, ...],
    chain_path: Path | None,
    ca_path: Path | None,
    as_json: bool,
) -> None:
    """Say what PROFILE offers to servers, and what it costs."""
    from nodemcu_tls_build.commands.show import show
    from nodemcu_tls_build.commands.show_profile import format_profile
    from nodemcu_tls_build.profile import load_profile
    from nodemcu_tls_build.profile.estimate import estimate_cost
    from nodemcu_tls_build.profile.offer import describe_offer

    loaded = load_profile(name, settings)
    offer, estimate = describe_offer(loaded), estimate_cost(loaded)
    heap = _predict(loaded, chain_path, ca_path)
    if as_json:
        _show_json(
            {
                "profile": loaded.to_dict() | {"sha256": loaded.digest()},
                "offer": offer.to_dict(),
                "cost": estimate.to_dict(),
                **({} if heap is None else {"handshake": heap.to_dict()}),
            }
        )
    else:
        show(format_profile(loaded, offer, estimate, heap))


@profile.command()
@click.argument("name", metavar=_PROFILE)
@set_option
@_chain_options
@json_option
def check(
    name: str,
    settings: tuple[str, ...],
    chain_path: Path | None,
    ca_path: Path | None,
    as_json: bool,
) -> None:
    """Say everything that is wrong with PROFILE.

    With a chain, also whether a handshake with it keeps to tls.heap_budget.
    """
    from nodemcu_tls_build.commands.show import show
    from nodemcu_tls_build.commands.show_heap import describe_heap
    from nodemcu_tls_build.profile import list_macros, load_profile
    from nodemcu_tls_build.profile.heap import check_budget
    from nodemcu_tls_build.profile.limits import check_flash, check_limits
    from nodemcu_tls_build.profile.remarks import list_remarks
    from nodemcu_tls_build.profile.suites import list_suites

    loaded = load_profile(name, settings)
    remarks = list_remarks(loaded)
    macros = sum(len(section.macros) for section in list_macros(loaded))
    suites = len(list_suites(loaded.tls))
    heap = _predict(loaded, chain_path, ca_path, is_check=True)
    if heap is None:
        check_limits(loaded)
    else:
        check_flash(loaded)
        check_budget(loaded, heap)
    if as_json:
        found: dict[str, Any] = {"name": loaded.name, "sha256": loaded.digest(), "problems": []}
        found["remarks"] = remarks
        found |= {} if heap is None else {"handshake": heap.to_dict()}
        _show_json({**found, "macros": macros, "cipher_suites": suites})
    else:
        count = "1 cipher suite" if suites == 1 else f"{suites} cipher suites"
        show(f"profile {loaded.name} is right: {count}, {macros} macros of mbedTLS")
        if heap is not None:
            show(describe_heap(loaded, heap))
        for remark in remarks:
            show(f"  - {remark}")


@profile.command()
@click.argument("name", metavar=_PROFILE)
@click.argument("key", required=False)
@set_option
@json_option
def explain(name: str, key: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Say what each setting of PROFILE does, and costs.

    KEY is one setting, such as tls.in_buffer, or a table of them, such as tls.
    """
    from nodemcu_tls_build.commands.show import show
    from nodemcu_tls_build.commands.show_explanation import format_explanation, format_setting
    from nodemcu_tls_build.profile.explain import explain_profile

    found = explain_profile(name, settings, key=key)
    if as_json:
        _show_json(found.to_dict())
    else:
        show(format_setting(found) if len(found.settings) == 1 else format_explanation(found))


@profile.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@set_option
@json_option
def diff(first: str, second: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Show where the profiles A and B differ; --set changes B."""
    from nodemcu_tls_build.commands.show import show
    from nodemcu_tls_build.commands.show_profile import format_difference
    from nodemcu_tls_build.profile import load_profile
    from nodemcu_tls_build.profile.differ import compare_profiles

    found = compare_profiles(load_profile(first), load_profile(second, settings))
    if as_json:
        _show_json(found.to_dict())
    else:
        changed = f"{found.names[1]} --set" if settings else found.names[1]
        show(format_difference(found, (found.names[0], changed)))


@profile.command()
def schema() -> None:
    """Print the JSON Schema of profile files, for editors."""
    from nodemcu_tls_build.profile.schema import make_schema

    _show_json(make_schema())


@profile.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("profile.toml"))
@click.option("--force", is_flag=True, help="Overwrite the file.")
def init(path: Path, force: bool) -> None:
    """Ask a few questions and write a profile to FILE.

    Without FILE it is profile.toml. Everything that can be set stands in it, with comments.
    """
    from nodemcu_tls_build.commands.profile_init import ask_and_write

    ask_and_write(path, force=force)


init.params[0].metavar = "[FILE]"


def _predict(
    profile: Profile, chain_path: Path | None, ca_path: Path | None, *, is_check: bool = False
) -> Prediction | None:
    """Return the heap of a handshake with a chain, when there is one.

    A chain that is not valid now is an error in a check, and else a note.
    """
    from dataclasses import replace
    from datetime import UTC, datetime

    from nodemcu_tls_build.certs.server_chain import load_chain
    from nodemcu_tls_build.profile.chain import check_chain, list_date_problems
    from nodemcu_tls_build.profile.heap import predict_heap

    if chain_path is None:
        if ca_path is not None:
            raise click.UsageError("--ca is for a chain: give --chain, too")
        return None
    chain, now = load_chain(chain_path, ca_path), datetime.now(UTC)
    if is_check:
        check_chain(profile, chain, now=now)
    notes = [message for message, _ in list_date_problems(profile, chain, now)]
    return replace(predict_heap(profile, chain), notes=tuple(notes))


def _show_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))
