"""Keep a user's edits that an apply or a revert would overwrite."""

from __future__ import annotations

import itertools
from pathlib import Path

from nodemcu_tls_build.apply.tree import read_bytes
from nodemcu_tls_build.files import write_file


def keep_edited(path: Path) -> Path:
    """Copy the file to a new one beside it and return that."""
    content = read_bytes(path) or b""
    for number in itertools.count(1):
        suffix = ".edited" if number == 1 else f".edited{number}"
        copy = path.with_name(path.name + suffix)
        if not copy.exists() or copy.read_bytes() == content:
            write_file(copy, content)
            return copy
    raise AssertionError
