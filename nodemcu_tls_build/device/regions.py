"""Read, compare, write and erase parts of a device's flash, each as one run of esptool."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nodemcu_tls_build.device.tool import Line, Step, open_memory, run_esptool
from nodemcu_tls_build.errors import DeviceError

KEEP_HEADER = ("--flash-mode", "keep", "--flash-freq", "keep", "--flash-size", "keep")

_COMPARED = re.compile(r"Verifying 0x[0-9a-f]+ \((\d+)\) bytes at 0x([0-9a-f]+) in flash against ")
_SAME = "Verification successful (digest matched)."
_DIFFERENT = "Verification failed (digest mismatch)."
_WRITTEN = "Hash of data verified."
_UNSTEADY = "Check cable and supply, try a lower --baud, then run the command again."


@dataclass(frozen=True)
class Region:
    """Bytes that belong at an offset of the flash, and the file that holds them."""

    name: str
    offset: int
    data: bytes
    path: Path


def read_flash(line: Line, offset: int, length: int, *, what: str) -> bytes:
    """Return `length` bytes of the device's flash; they never reach a disk."""
    with open_memory() as (descriptor, path):
        args = ["read-flash", f"{offset:#x}", f"{length:#x}", str(path)]
        run_esptool(line, Step(what, transfer=length), args, keep_open=[descriptor])
        data = path.read_bytes()
    if len(data) != length:
        raise DeviceError(
            f"{what} on {line.port} failed: {len(data):,} bytes came, not {length:,}", _UNSTEADY
        )
    return data


def compare_regions(
    line: Line, regions: Sequence[Region], *, what: str, keep_open: Sequence[int] = ()
) -> list[bool]:
    """Tell of each region whether the device's digest of it is that of its file."""
    step = Step(what, changes=sum(len(region.data) for region in regions))
    args = ["verify-flash", *KEEP_HEADER, *_list_pairs(regions)]
    lines = run_esptool(line, step, args, keep_open=keep_open, accepts=_says_different)
    verdicts = _read_verdicts(lines)
    if [offset for offset, _ in verdicts] != [region.offset for region in regions]:
        raise DeviceError(f"{what} on {line.port} failed: not every part was compared", _UNSTEADY)
    return [same for _, same in verdicts]


def write_regions(
    line: Line, regions: Sequence[Region], *, force: bool = False, keep_open: Sequence[int] = ()
) -> None:
    """Write the regions as they are, settings in a header included.

    esptool compares the digest of each with what it sent; DeviceError when it did not say so.
    With `force` it writes an image for another chip, too.
    """
    size = sum(len(region.data) for region in regions)
    step = Step("writing the flash", transfer=size, changes=2 * size)
    args = ["write-flash", *KEEP_HEADER, *(["--force"] if force else []), *_list_pairs(regions)]
    lines = run_esptool(line, step, args, keep_open=keep_open)
    if lines.count(_WRITTEN) != len(regions):
        raise DeviceError(
            f"{step.what} on {line.port} failed: not every part was confirmed", _UNSTEADY
        )


def erase_ranges(line: Line, ranges: Sequence[tuple[int, int]]) -> None:
    """Erase ranges of the flash, (start, end) in whole sectors, and see that they are erased."""
    for start, end in ranges:
        step = Step("erasing the flash", changes=end - start)
        run_esptool(line, step, ["erase-region", f"{start:#x}", f"{end - start:#x}"])
    with contextlib.ExitStack() as stack:
        regions, descriptors = [], []
        for start, end in ranges:
            erased = b"\xff" * (end - start)
            descriptor, path = stack.enter_context(open_memory(erased))
            descriptors.append(descriptor)
            regions.append(Region("", start, erased, path))
        what = "checking that the flash is erased"
        same = compare_regions(line, regions, what=what, keep_open=descriptors)
    for region, is_erased in zip(regions, same, strict=True):
        if not is_erased:
            raise DeviceError(
                f"the flash of {line.port} is not erased between {region.offset:#x} and "
                f"{region.offset + len(region.data):#x}",
                "Try again; when it stays so, the flash is worn out or its supply too weak.",
            )


def _list_pairs(regions: Sequence[Region]) -> list[str]:
    return [word for region in regions for word in (f"{region.offset:#x}", str(region.path))]


def _says_different(lines: Sequence[str]) -> bool:
    """Tell whether a comparison came to its end and found a difference: no failure of esptool."""
    return any(text.endswith("Verification failed.") for text in lines)


def _read_verdicts(lines: Sequence[str]) -> list[tuple[int, bool]]:
    """Return offset and verdict of each region of which esptool gives both."""
    verdicts = []
    for announced, said in itertools.pairwise(lines):
        match = _COMPARED.match(announced)
        if match and said in {_SAME, _DIFFERENT}:
            verdicts.append((int(match[2], 16), said == _SAME))
    return verdicts
