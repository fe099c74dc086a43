"""The JSON Schema of profile files takes what the model takes, as far as a schema can tell."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from nodemcu_tls_build.cli import cli
from nodemcu_tls_build.profile import Profile, list_presets
from nodemcu_tls_build.profile.layers import find_preset
from nodemcu_tls_build.profile.schema import make_schema
from nodemcu_tls_build.profile.settings import list_setting_keys
from nodemcu_tls_build.profile.suites import all_suites

HEAD = 'schema = 1\nname = "mine"\n'


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    result = CliRunner().invoke(cli, ["profile", "schema"])
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    assert schema == make_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def find_field(schema: dict[str, Any], key: str) -> dict[str, Any]:
    table, _, name = key.partition(".")
    found: dict[str, Any] = schema["$defs"][table.capitalize()]["properties"][name]
    return found


@pytest.mark.parametrize("name", list_presets())
def test_every_preset_is_right(validator: Draft202012Validator, name: str) -> None:
    validator.validate(tomllib.loads(find_preset(name).read_text()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        'extends = "ecdsa"\ndescription = "x"',
        "tls = {}",
        'tls.in_buffer = "16 KiB"',
        "tls.in_buffer = 600",
        'tls.in_buffer = "600"',
        'tls.max_fragment = "none"',
        'tls.max_fragment = "1KiB"',
        "tls.max_fragment = 512",
        'tls.max_fragment = "512B"',
        'tls.max_fragment = "0512"',
        'tls.in_buffer = "512"',
        'tls.in_buffer = "016384B"',
        'tls.heap_budget = "80KiB"',
        'board.flash_size = "1024KiB"',
        'tls.cipher_suites = ["TLS_AES_128_GCM_SHA256"]',
        'tls.alpn = ["http/1.1"]',
        "tls.curves = []",
    ],
)
def test_what_is_right(validator: Draft202012Validator, text: str) -> None:
    data = tomllib.loads(HEAD + text)
    validator.validate(data)
    assert find_wrong_keys(data) == set()


@pytest.mark.parametrize(
    "text",
    [
        "colour = 1",
        "tls.colour = 1",
        "tls = 3",
        "extends = 3",
        'tls.in_buffer = "4KB"',
        "tls.in_buffer = 20",
        'tls.in_buffer = "1MiB"',
        'tls.in_buffer = "511"',
        'tls.in_buffer = "16385"',
        'tls.in_buffer = "17KiB"',
        'tls.heap_budget = "4095"',
        'tls.heap_budget = "3KiB"',
        "tls.in_buffer = 1.5",
        "tls.in_buffer = true",
        'tls.max_fragment = "3KiB"',
        "tls.max_fragment = 3",
        'board.flash_size = "2MiB"',
        "tls.sni = 1",
        "tls.versions = []",
        'tls.versions = ["1.1"]',
        'tls.versions = "1.2"',
        'tls.digests = ["SHA-256", "SHA-256"]',
        'tls.cipher_suites = ["TLS_RSA_WITH_RC4_128_SHA"]',
        'tls.alpn = [""]',
        'tls.alpn = ["a b"]',
        "crypto.mpi_window = 7",
        'crypto.mpi_window = "2"',
        "crypto.max_key_bits = 1024",
        'optimise.lua = "fast"',
    ],
)
def test_what_is_wrong(validator: Draft202012Validator, text: str) -> None:
    data = tomllib.loads(HEAD + text)
    assert not validator.is_valid(data)
    assert find_wrong_keys(data), "the model takes it"


def find_wrong_keys(data: dict[str, Any]) -> set[str]:
    """Return what the model finds wrong with what is there, not with what is missing."""
    from pydantic import ValidationError  # noqa: PLC0415 -- for this alone

    try:
        Profile.model_validate(data)
    except ValidationError as error:
        wrong = [found for found in error.errors() if found["type"] != "missing"]
        return {".".join(map(str, found["loc"])) for found in wrong}
    return set()


@pytest.mark.parametrize("text", ["", "schema = 1", 'name = "x"', 'schema = 2\nname = "x"'])
def test_what_every_file_has_to_say(validator: Draft202012Validator, text: str) -> None:
    assert not validator.is_valid(tomllib.loads(text))


def test_every_field_is_described_and_has_right_examples(validator: Draft202012Validator) -> None:
    schema = make_schema()
    for key in list_setting_keys():
        field = find_field(schema, key)
        assert field["description"]
        assert not {"ge", "le"} & set(json.dumps(field).split('"'))
        assert field["examples"]
        for example in field["examples"]:
            table, _, name = key.partition(".")
            data = {"schema": 1, "name": "x", table: {name: example}}
            validator.validate(data)
            assert find_wrong_keys(data) == set()
    suites = find_field(schema, "tls.cipher_suites")["items"]["enum"]
    assert suites == [suite.name for suite in all_suites()]
