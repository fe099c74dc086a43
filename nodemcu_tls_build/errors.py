"""Name what can go wrong, with a hint for the person who has to put it right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class BuildError(Exception):
    """Say what failed in `message` and what to do about it in `hint`."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def to_dict(self) -> dict[str, Any]:
        """Return the error as JSON-able data under the one key `error`."""
        return {"error": {"kind": type(self).__name__, "message": self.message, "hint": self.hint}}


class ConfigError(BuildError):
    """Report a profile that cannot be used, every problem of it at once."""

    def __init__(self, message: str, hint: str | None = None, problems: Sequence[str] = ()) -> None:
        super().__init__(message, hint)
        self.problems = tuple(problems)

    def to_dict(self) -> dict[str, Any]:
        """Return the error as JSON-able data, the problems as a list."""
        data = super().to_dict()
        data["error"]["problems"] = list(self.problems)
        return data


class ToolNotFound(BuildError):  # noqa: N818 -- reads as the sentence it is
    """Report a program that is missing or cannot be started."""


class ToolFailed(BuildError):  # noqa: N818 -- reads as the sentence it is
    """Report a program that ended badly, with its command line and what it printed."""

    def __init__(
        self,
        message: str,
        hint: str | None,
        command: Sequence[str],
        output: str,
        exit_code: int,
    ) -> None:
        super().__init__(message, hint)
        self.command = tuple(command)
        self.output = output
        self.exit_code = exit_code

    def to_dict(self) -> dict[str, Any]:
        """Return the error as JSON-able data, with the command, its output and exit code."""
        data = super().to_dict()
        data["error"] |= {
            "command": list(self.command),
            "output": self.output,
            "exit_code": self.exit_code,
        }
        return data


class CertificateError(BuildError):
    """Report a certificate that is missing, unreadable or of the wrong kind."""


class SourceError(BuildError):
    """Report a source archive that cannot be had, is not the pinned one or cannot be unpacked."""


class ImageError(BuildError):
    """Report a flash image that is damaged or does not fit."""


class DeviceError(BuildError):
    """Report a device that is missing, busy or does not answer."""


class TreeError(BuildError):
    """Report a firmware tree that is not recognised, or that must not be changed as asked."""


class OutputError(BuildError):
    """Report a file or directory that cannot be written."""
