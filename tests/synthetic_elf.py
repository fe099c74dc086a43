"""Builds small ELF files for the lx106, so that layout tests need no toolchain."""

from __future__ import annotations

import struct
from dataclasses import dataclass

EM_XTENSA = 94
SHT_PROGBITS, SHT_STRTAB, SHT_NOBITS = 1, 3, 8
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4

_HEADER_SIZE, _PROGRAM_HEADER_SIZE, _SECTION_HEADER_SIZE = 52, 32, 40


@dataclass(frozen=True)
class Section:
    """A section with its bytes, or with only a size when it is zeroed at start-up."""

    name: str
    address: int
    data: bytes = b""
    zeroed: int = 0
    flags: int = SHF_ALLOC | SHF_EXECINSTR

    @property
    def size(self) -> int:
        return self.zeroed or len(self.data)


def make_elf(sections: list[Section], *, entry: int = 0x40100000) -> bytes:
    """Return an executable with these sections, a load segment for each."""
    loaded = [section for section in sections if section.flags & SHF_ALLOC]
    names = b"\0" + b"".join(s.name.encode() + b"\0" for s in sections) + b".shstrtab\0"
    body = bytearray(_HEADER_SIZE + _PROGRAM_HEADER_SIZE * len(loaded))
    section_headers = bytearray(_SECTION_HEADER_SIZE)
    program_headers = b""
    for section in sections:
        body += bytes(-len(body) % 4)
        kind = SHT_NOBITS if section.zeroed else SHT_PROGBITS
        name = names.index(b"\0" + section.name.encode() + b"\0") + 1
        section_headers += struct.pack(
            "<10I",
            *(name, kind, section.flags, section.address, len(body), section.size, 0, 0, 4, 0),
        )
        if section in loaded:
            program_headers += struct.pack(
                "<8I",
                *(1, len(body), section.address, section.address),
                *(len(section.data), section.size, 5, 4),
            )
        body += section.data
    section_headers += struct.pack(
        "<10I", names.index(b".shstrtab"), SHT_STRTAB, 0, 0, len(body), len(names), 0, 0, 1, 0
    )
    body += names
    body += bytes(-len(body) % 4)
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack(
        "<HHIIIIIHHHHHH",
        *(2, EM_XTENSA, 1, entry, _HEADER_SIZE, len(body), 0, _HEADER_SIZE),
        *(_PROGRAM_HEADER_SIZE, len(loaded), _SECTION_HEADER_SIZE),
        *(len(sections) + 2, len(sections) + 1),
    )
    body[: len(header) + len(program_headers)] = header + program_headers
    return bytes(body + section_headers)
