"""Write a profile file with comments, from the answers to a few questions."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from nodemcu_tls_build.errors import CertificateError, ConfigError
from nodemcu_tls_build.profile.heap import find_least, predict_heap
from nodemcu_tls_build.profile.layers import list_presets
from nodemcu_tls_build.profile.load import load_profile, load_with_layers
from nodemcu_tls_build.profile.model import SCHEMA, Profile
from nodemcu_tls_build.profile.schema import FILE_NAME
from nodemcu_tls_build.profile.settings import list_settings, show_setting
from nodemcu_tls_build.profile.usual import list_usual_chains
from nodemcu_tls_build.profile.values import parse_size

_WIDTH = 79
_FRAGMENTS = (4096, 2048, 1024, 512)
_KEYS = {"ecdsa": ("ECDSA",), "rsa": ("RSA",), "both": ("ECDSA", "RSA")}
_YES = {"yes": True, "y": True, "no": False, "n": False}


@dataclass(frozen=True)
class Question:
    """What to ask, the answer that a profile gives already, and the settings of another answer.

    `translate` raises ConfigError for an answer without meaning.
    """

    text: str
    find_default: Callable[[Profile], str]
    translate: Callable[[str], list[str]]


def check_name(answer: str) -> str:
    """Return the answer when it is fit for a profile's name; raise ConfigError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}", answer):
        raise ConfigError("a name is up to 48 letters, digits, dots, dashes and underscores")
    return answer


def check_preset(answer: str) -> str:
    """Return the answer when it is the name of a preset; raise ConfigError."""
    if answer not in list_presets():
        raise ConfigError(f'"{answer}" is none of {", ".join(list_presets())}')
    return answer


def find_budget(base: str, settings: Sequence[str]) -> list[str]:
    """Return the setting that a preset's `tls.heap_budget` has to be raised to, if it has to."""
    profile = load_profile(base, settings)
    least = find_least(profile)
    if least.peak.heap <= profile.tls.heap_budget:
        return []
    usual = max(least.peak.heap, *_predict_usual(profile))
    return [f"tls.heap_budget={usual * 11 // 10 // 1024 + 1}KiB"]


def _predict_usual(profile: Profile) -> Iterator[int]:
    for chain in list_usual_chains(profile):
        with suppress(CertificateError):
            yield predict_heap(profile, chain).worst


def write_profile(name: str, base: str, settings: Sequence[str]) -> str:
    """Return the file of a profile that lays these settings over a preset.

    What it does not say stands there as a comment, with its meaning and the value that holds.
    """
    profile, layers = load_with_layers(base, settings)
    lines = [
        f"#:schema ./{FILE_NAME}",
        *_comment(
            f'What this file does not say is as in the preset "{base}". It stands in the lines that'
            " start with # and a key: take the # away to say something else."
        ),
        f"schema = {SCHEMA}",
        f"name = {json.dumps(name)}",
        'description = ""',
        f"extends = {json.dumps(base)}",
    ]
    table = ""
    for setting in list_settings(profile, layers):
        own_table, _, key = setting.key.partition(".")
        if own_table != table:
            table = own_table
            lines += ["", *_comment(Profile.model_fields[table].description or ""), f"[{table}]"]
        lines += _comment(setting.text)
        mark = "" if setting.origin == "--set" else "#"
        lines += [f"{mark}{line}" for line in _assign(setting.key, key, setting.value)]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    wrapped = textwrap.wrap(" ".join(text.split()), _WIDTH - 2, break_on_hyphens=False)
    return [f"# {line}" for line in wrapped]


def _assign(key: str, name: str, value: object) -> Iterator[str]:
    line = f"{name} = {show_setting(key, value)}"
    if len(line) < _WIDTH or not isinstance(value, list):
        yield line
        return
    yield f"{name} = ["
    for member in value:
        yield f"    {json.dumps(member)},"
    yield "]"


def _find_keys(profile: Profile) -> str:
    used = {exchange.rpartition("-")[2] for exchange in profile.tls.key_exchanges}
    return "both" if len(used) > 1 else used.pop().lower()


def _set_keys(answer: str) -> list[str]:
    if answer.lower() not in _KEYS:
        raise ConfigError(f'"{answer}" is none of ecdsa, rsa, both')
    kinds = _KEYS[answer.lower()]
    signatures = [*kinds, "RSA-PSS"] if "RSA" in kinds else [*kinds]
    return [
        f"tls.key_exchanges={json.dumps([f'ECDHE-{kind}' for kind in kinds])}",
        f"tls.signatures={json.dumps(signatures)}",
        "tls.cipher_suites=[]",
    ]


def _set_record_size(answer: str) -> list[str]:
    try:
        size = parse_size(answer)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    settings = [f"tls.in_buffer={answer}"]
    fragment = next((it for it in _FRAGMENTS if it <= size), None)
    if size < _FRAGMENTS[0] and fragment:
        settings.append(f"tls.max_fragment={fragment}")
    return settings


def _set_protocols(answer: str) -> list[str]:
    return [f"tls.alpn={'[]' if answer == 'none' else answer}"]


def _set_verify(answer: str) -> list[str]:
    if answer.lower() not in _YES:
        raise ConfigError(f'"{answer}" is neither yes nor no')
    return [f"tls.verify={json.dumps(_YES[answer.lower()])}"]


QUESTIONS = (
    Question("Keys in the certificates of your servers: ecdsa, rsa, both", _find_keys, _set_keys),
    Question(
        "Longest record that they send: 4KiB if they heed what they are asked, else 16KiB",
        lambda profile: _show("tls.in_buffer", profile.tls.in_buffer),
        _set_record_size,
    ),
    Question(
        "Application protocols to offer (ALPN), with commas between, or none",
        lambda profile: ",".join(profile.tls.alpn) or "none",
        _set_protocols,
    ),
    Question(
        "Verify servers from boot on: yes, no",
        lambda profile: "yes" if profile.tls.verify else "no",
        _set_verify,
    ),
    Question(
        "Size of the flash: 512KiB, 1MiB",
        lambda profile: _show("board.flash_size", profile.board.flash_size),
        lambda answer: [f"board.flash_size={answer}"],
    ),
)


def _show(key: str, value: object) -> str:
    return show_setting(key, value).strip('"')
