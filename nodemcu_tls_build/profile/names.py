"""Find the name that was meant, and show values as a profile has them."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable

# The same curves by the names that other standards give them.
_OTHER_NAMES = {
    "p256": "secp256r1",
    "nistp256": "secp256r1",
    "prime256v1": "secp256r1",
    "p384": "secp384r1",
    "nistp384": "secp384r1",
    "bp256": "brainpoolP256r1",
    "bp384": "brainpoolP384r1",
}


def find_nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name most like `word`, case and punctuation aside, None when none is."""
    by_plain_name = {_plain(name): name for name in names}
    other = _OTHER_NAMES.get(_plain(word))
    if other in by_plain_name.values():
        return other
    match = difflib.get_close_matches(_plain(word), by_plain_name, n=1)
    return by_plain_name[match[0]] if match else None


def show_size(size: int) -> str:
    """Return bytes as a profile has them, with the largest unit that fits."""
    for unit, factor in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if size > 0 and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def show_value(value: object) -> str:
    """Return a value as TOML would have it, shortened to fit into a sentence."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
