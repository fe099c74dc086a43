"""Make subjects of certificates from a template such as `CN={device},O=Example`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cryptography import x509

from nodemcu_tls_build.errors import CertificateError

_FIELD = re.compile(r"\{([^{}]*)\}")
_LENGTHS = re.compile(r">= (\d+) and <= (\d+), but it was (\d+)")  # cryptography's words
_SPECIAL = re.compile(r"[\x00-\x1f{}]")
_HINT = "Write it as `CN={device},O=Example`: RFC 4514, a column's name in braces."


class SubjectTemplate:
    """A subject with the names of columns in braces; values stand for themselves, commas too."""

    def __init__(self, text: str) -> None:
        """Read a template; raise CertificateError for one that no subject can be made of."""
        self.text = text
        self.columns: tuple[str, ...] = tuple(dict.fromkeys(_FIELD.findall(text)))
        # Two characters, which a country has to have, stand for a column while this is parsed.
        codes = {name: f"\x01{chr(2 + n)}" for n, name in enumerate(self.columns)}
        if len(codes) > 28 or "\x00" in text or (stray := _SPECIAL.search(_FIELD.sub("", text))):
            what = "it has too many columns" if len(codes) > 28 else f"{stray and stray[0]!r} in it"
            raise CertificateError(f"the subject {text!r} cannot be used: {what}", _HINT)
        try:
            name = x509.Name.from_rfc4514_string(_FIELD.sub(lambda m: codes[m[1]], text))
        except ValueError as error:
            length = _explain_length(error, text)
            reason = f"a value {length}" if length else "it is not NAME=VALUE, NAME=VALUE"
            message = f"the subject {text!r} cannot be used: {reason}"
            raise CertificateError(message, _HINT) from error
        if not list(name):
            raise CertificateError("the subject is empty", _HINT)
        self._parts = name.rdns
        self._codes = {code: name for name, code in codes.items()}

    def make(self, values: Mapping[str, str]) -> x509.Name:
        """Return the subject with the values of these columns; raise ValueError saying why not."""
        parts = [[self._fill(attribute, values) for attribute in part] for part in self._parts]
        return x509.Name([x509.RelativeDistinguishedName(part) for part in parts])

    def _fill(
        self, attribute: x509.NameAttribute[str | bytes], values: Mapping[str, str]
    ) -> x509.NameAttribute[str | bytes]:
        if not isinstance(attribute.value, str):
            return attribute
        value = re.sub("\x01.", lambda m: values[self._codes[m[0]]], attribute.value)
        if value == attribute.value:
            return attribute
        name = attribute.rfc4514_attribute_name
        if not value:
            raise ValueError(f"{name} of the subject would be empty")
        try:
            return x509.NameAttribute(attribute.oid, value)
        except ValueError as error:
            reason = _explain_length(error, value) or f"cannot be {value!r}: {error}"
            raise ValueError(f"{name} of the subject {reason}") from error


def _explain_length(error: ValueError, text: str) -> str | None:
    """Return what an error says of a value in the text that is too long or too short."""
    found = _LENGTHS.search(str(error))
    if found is None:
        return None
    least, most, length = map(int, found.groups())
    limit = f"{most} are the most" if length > most else f"{least} are the least"
    return f"has {length} {'characters' if text.isascii() else 'bytes in UTF-8'}, {limit}"
