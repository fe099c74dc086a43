"""What provisioning did, and what is stored where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nodemcu_tls_build.certs.stored import StoredSet
from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.provision.layout import Format, list_changes, list_sectors


@dataclass(frozen=True)
class Stored:
    """The sectors of credentials of a flash, which begin at `offset` in it; `where` names it."""

    where: str
    layout: Format
    offset: int | None
    store: bytes = field(repr=False)

    def describe(self) -> tuple[StoredSet, ...]:
        """Return what is in force, keys only by their kind; raise ImageError if that is unclear."""
        try:
            return self.layout.describe(self.store)
        except ValueError as error:
            raise ImageError(
                f"{self.where} has no certificates of NodeMCU's firmware",
                f"What is there: {error}.",
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data; raise ImageError as `describe` does."""
        data: dict[str, Any] = {"where": self.where, "format": str(self.layout)}
        data |= {"offset": self.offset}
        data |= {"sets": [found.to_dict() for found in self.describe()]}
        sectors = list_sectors(self.layout, self.store)
        return data | ({"sectors": sectors} if sectors else {})


@dataclass(frozen=True)
class Provisioned:
    """What was stored before and is stored now."""

    before: bytes = field(repr=False)
    stored: Stored

    @property
    def written(self) -> list[int]:
        """Return the offsets of the sectors that were written, in the flash or the file."""
        start = self.stored.offset or 0
        return [start + at for at in list_changes(self.before, self.stored.store)]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return self.stored.to_dict() | {"written": self.written}
