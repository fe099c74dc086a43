"""Make subjects of certificates from a template such as `CN={device},O=Example`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cryptography import x509

from nodemcu_tls_build.errors import CertificateError

_FIELD = re.compile(r"\{([^{}]*)\}")
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
            raise CertificateError(
                f"the subject {text!r} cannot be used: {error}", _HINT
            ) from error
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
            raise ValueError(f"{name} of the subject cannot be {value!r}: {error}") from error


def list_missing(template: SubjectTemplate, columns: Sequence[str]) -> list[str]:
    """Return the columns that the template names and the table lacks."""
    return [name for name in template.columns if name not in columns]
