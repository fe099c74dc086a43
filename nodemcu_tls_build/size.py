"""Measure a firmware: what each memory holds, and which component put it there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.memmap import APP_DRAM, EMULATOR, IRAM, IROM, SDK_DRAM, Region

PADDING = "alignment"
_REGIONS = {"iram": IRAM, "dram": APP_DRAM, "sdk": SDK_DRAM, "flash": IROM, "emulator": EMULATOR}

_LINKER_MAP = "Linker script and memory map"
_CONTRIBUTION = re.compile(r" (\S+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S.*)")
_LONG_NAME = re.compile(r" [^*\s]\S*")  # its address and size stand on the next line

_OBJECT = re.compile(r"(?:.*/)?obj/([^/]+)/.+")
_ARCHIVE_MEMBER = re.compile(r".+\.a\(.+\)")
# The linker's own, which its map gives to whatever file comes first.
_BUILD_ID = ".note.gnu.build-id"
_BUILD_ID_OWNER = "app"


@dataclass(frozen=True)
class RegionUse:
    """How much of a memory the firmware takes, in bytes; of `dram`, the rest is the heap."""

    used: int
    limit: int

    @property
    def free(self) -> int:
        """Return the bytes left over."""
        return self.limit - self.used


@dataclass
class ComponentSize:
    """What one component takes, in bytes.

    `flash` is code and constants that stay in flash, `iram` code in IRAM, `data` and `bss` the
    initialised and the zeroed part of the application's DRAM, `sdk` both in the SDK's share.
    """

    flash: int = 0
    iram: int = 0
    data: int = 0
    bss: int = 0
    sdk: int = 0


@dataclass(frozen=True)
class SizeReport:
    """A firmware's use of the chip, by region and by component."""

    regions: dict[str, RegionUse]
    components: dict[str, ComponentSize] = field(default_factory=dict)

    @property
    def total(self) -> ComponentSize:
        """Return the sum over all components."""
        total = ComponentSize()
        for component in self.components.values():
            for column, size in vars(component).items():
                setattr(total, column, getattr(total, column) + size)
        return total

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able data."""
        return {
            "regions": {
                name: {"used": use.used, "limit": use.limit, "free": use.free}
                for name, use in self.regions.items()
            },
            "components": {name: dict(vars(size)) for name, size in self.components.items()},
            "total": dict(vars(self.total)),
        }


class _Section(NamedTuple):
    name: str
    address: int
    size: int
    region: str
    column: str | None  # of ComponentSize; None: not on the chip

    @property
    def end(self) -> int:
        return self.address + self.size


class _Contribution(NamedTuple):
    address: int
    size: int
    component: str


def measure_elf(elf_path: Path, map_path: Path) -> SizeReport:
    """Measure the firmware with its section headers and GNU ld's map file.

    Every byte of a section is accounted for: what no input file brought is `alignment`. Raises
    ImageError when a file cannot be read or a section lies in no memory of the chip.
    """
    sections = _load_sections(elf_path)
    regions = {
        name: RegionUse(sum(s.size for s in sections if s.region == name), region.size)
        for name, region in _REGIONS.items()
    }
    try:
        map_text = map_path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ImageError(f"cannot read {map_path}: {error.strerror}") from error
    contributions = sorted(_find_contributions(map_text), key=lambda c: c.address)
    components: dict[str, ComponentSize] = {}
    for section in sections:
        if section.column:
            _attribute(components, section, contributions)
    largest_first = sorted(
        components.items(), key=lambda item: (item[0] == PADDING, -item[1].flash, item[0])
    )
    return SizeReport(regions, dict(largest_first))


def find_component(origin: str) -> str:
    """Return the component of an input file as the linker names it.

    `…/obj/NAME/…` is component NAME; a member of an archive elsewhere is the C library's or the
    compiler's, both called `libc`.
    """
    match = _OBJECT.fullmatch(origin)
    if match:
        return match[1]
    return "libc" if _ARCHIVE_MEMBER.fullmatch(origin) else "other"


def _load_sections(elf_path: Path) -> list[_Section]:
    try:
        with elf_path.open("rb") as file:
            return [
                _place_section(
                    section.name,
                    section["sh_addr"],
                    section["sh_size"],
                    zeroed=section["sh_type"] == "SHT_NOBITS",
                )
                for section in ELFFile(file).iter_sections()
                if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_size"]
            ]
    except OSError as error:
        raise ImageError(f"cannot read {elf_path}: {error.strerror}") from error
    except ELFError as error:
        raise ImageError(f"{elf_path} is not an ELF file: {error}") from error


def _place_section(name: str, address: int, size: int, *, zeroed: bool) -> _Section:
    for region, memory in _REGIONS.items():
        if memory.covers(address, size):
            return _Section(name, address, size, region, _find_column(region, zeroed=zeroed))
    raise ImageError(
        f"section {name} ({size:,} bytes at {address:#x}) does not fit in the chip's memory",
        "Its regions: " + ", ".join(_describe(memory) for memory in _REGIONS.values()) + ".",
    )


def _describe(memory: Region) -> str:
    return f"{memory.name} {memory.start:#x}-{memory.end:#x}"


def _find_column(region: str, *, zeroed: bool) -> str | None:
    if region == "dram":
        return "bss" if zeroed else "data"
    return None if region == "emulator" else region


def _find_contributions(map_text: str) -> Iterator[_Contribution]:
    """Yield what the map's second half says of each input section: where, how much, from where."""
    long_name = ""
    for line in map_text.partition(_LINKER_MAP)[2].splitlines():
        match = _CONTRIBUTION.fullmatch(f"{long_name}{line}")
        long_name = line if _LONG_NAME.fullmatch(line) else ""
        if match and int(match[3], 16):
            owner = _BUILD_ID_OWNER if match[1] == _BUILD_ID else find_component(match[4])
            yield _Contribution(int(match[2], 16), int(match[3], 16), owner)


def _attribute(
    components: dict[str, ComponentSize], section: _Section, contributions: list[_Contribution]
) -> None:
    """Share out the section's bytes; a string merged into an earlier one takes none.

    The map gives such a string its old size at the address of what follows it.
    """
    assert section.column is not None  # noqa: S101 -- for the type checker: the caller looked
    inside = [c for c in contributions if section.address <= c.address < section.end]
    ends = [c.address for c in inside[1:]] + [section.end]
    unclaimed = section.size
    for contribution, end in zip(inside, ends, strict=True):
        size = min(contribution.size, end - contribution.address)
        unclaimed -= size
        _add(components, contribution.component, section.column, size)
    _add(components, PADDING, section.column, unclaimed)


def _add(components: dict[str, ComponentSize], name: str, column: str, size: int) -> None:
    if size:
        component = components.setdefault(name, ComponentSize())
        setattr(component, column, getattr(component, column) + size)
