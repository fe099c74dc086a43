from __future__ import annotations

import json

import pytest

from nodemcu_tls_build import errors


def test_an_error_is_its_message() -> None:
    error = errors.BuildError("no such board", "Boards are: virtual.")
    assert str(error) == error.message == "no such board"
    assert error.hint == "Boards are: virtual."


@pytest.mark.parametrize(
    "kind",
    [
        errors.BuildError,
        errors.ToolNotFound,
        errors.CertificateError,
        errors.SourceError,
        errors.ImageError,
        errors.DeviceError,
        errors.OutputError,
    ],
)
def test_an_error_becomes_json(kind: type[errors.BuildError]) -> None:
    data = json.loads(json.dumps(kind("what", "how").to_dict()))
    assert data == {"error": {"kind": kind.__name__, "message": "what", "hint": "how"}}
    assert kind("what").to_dict()["error"]["hint"] is None


def test_a_config_error_lists_its_problems() -> None:
    error = errors.ConfigError("2 problems", problems=["a", "b"])
    assert error.problems == ("a", "b")
    assert json.loads(json.dumps(error.to_dict()))["error"] == {
        "kind": "ConfigError",
        "message": "2 problems",
        "hint": None,
        "problems": ["a", "b"],
    }


def test_a_failed_tool_tells_its_command_and_output() -> None:
    error = errors.ToolFailed("cc ended with 1", "Look.", ["cc", "x.c"], "x.c:1: no", 1)
    assert json.loads(json.dumps(error.to_dict()))["error"] == {
        "kind": "ToolFailed",
        "message": "cc ended with 1",
        "hint": "Look.",
        "command": ["cc", "x.c"],
        "output": "x.c:1: no",
        "exit_code": 1,
    }
