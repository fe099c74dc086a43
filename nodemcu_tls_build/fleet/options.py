"""What a fleet was begun with: the runs that go on with it must be told the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nodemcu_tls_build.errors import ConfigError, OutputError
from nodemcu_tls_build.files import read_file, remove_leftovers, write_file

_NAME = "fleet.json"
_MAX_BYTES = 64 * 1024
_HINT = "Repeat the options of the first run, or give another --out."

# By the names of the options, `-` as `_`. Certificates and keys are there by their SHA-256.
Options = dict[str, Any]


def check_options(directory: Path, options: Options) -> None:
    """Raise ConfigError with each option that differs from those of the first run."""
    path = directory / _NAME
    try:
        first = json.loads(read_file(path, _MAX_BYTES))
        problems = [
            f"--{name.replace('_', '-')} was {_show(first[name])}, and now is {_show(value)}"
            for name, value in options.items()
            if first[name] != value
        ]
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror}", _HINT) from error
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{path} is damaged: it does not tell the options of the first run",
            "Remove it to go on with the options of this run, or give another --out.",
        ) from error
    if problems:
        title = f"the fleet in {directory} was begun with other options: nothing was issued"
        raise ConfigError(title, _HINT, problems)


def keep_options(directory: Path, options: Options) -> None:
    """Write down what the fleet is begun with, which nobody else does now; raise OutputError."""
    remove_leftovers(directory / _NAME)
    write_file(directory / _NAME, json.dumps(options, ensure_ascii=False, indent=2) + "\n")


def _show(value: Any) -> str:
    """Return a value for people, SHA-256 by its first digits."""
    if isinstance(value, list):
        return ", ".join(f"{one[:16]}..." for one in value) or "not given"
    if isinstance(value, str) and len(value) == 64:
        return f"{value[:16]}..."
    return "not given" if value is None else str(value)
