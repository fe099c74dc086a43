"""Read, compare, write and erase parts of a device's flash, each as one run of esptool."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    """Bytes that belong at an offset of the flash."""

    name: str
    offset: int
    data: bytes


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


def compare_regions(line: Line, regions: Sequence[Region], *, what: str) -> list[bool]:
    """Tell of each region whether the device's digest of it is that of its bytes."""
    step = Step(what, changes=sum(len(region.data) for region in regions))
    with _open_regions(regions) as (pairs, descriptors):
        args = ["verify-flash", *KEEP_HEADER, *pairs]
        lines = run_esptool(line, step, args, keep_open=descriptors, accepts=_says_different)
    verdicts = _read_verdicts(lines)
    if [offset for offset, _ in verdicts] != [region.offset for region in regions]:
        raise DeviceError(f"{what} on {line.port} failed: not every part was compared", _UNSTEADY)
    return [same for _, same in verdicts]


def write_regions(line: Line, regions: Sequence[Region], *, force: bool = False) -> None:
    """Write the regions as they are, settings in a header included.

    esptool compares the digest of each with what it sent; DeviceError when it did not say so.
    With `force` it writes an image for another chip, too.
    """
    size = sum(len(region.data) for region in regions)
    step = Step("writing the flash", transfer=size, changes=2 * size)
    with _open_regions(regions) as (pairs, descriptors):
        args = ["write-flash", *KEEP_HEADER, *(["--force"] if force else []), *pairs]
        lines = run_esptool(line, step, args, keep_open=descriptors)
    if lines.count(_WRITTEN) != len(regions):
        raise DeviceError(
            f"{step.what} on {line.port} failed: not every part was confirmed", _UNSTEADY
        )


def erase_ranges(line: Line, ranges: Sequence[tuple[int, int]]) -> None:
    """Erase ranges of the flash, (start, end) in whole sectors, and see that they are erased."""
    for start, end in ranges:
        step = Step("erasing the flash", changes=end - start)
        run_esptool(line, step, ["erase-region", f"{start:#x}", f"{end - start:#x}"])
    regions = [Region("", start, b"\xff" * (end - start)) for start, end in ranges]
    same = compare_regions(line, regions, what="checking that the flash is erased")
    for region, is_erased in zip(regions, same, strict=True):
        if not is_erased:
            raise DeviceError(
                f"the flash of {line.port} is not erased between {region.offset:#x} and "
                f"{region.offset + len(region.data):#x}",
                "Try again; when it stays so, the flash is worn out or its supply too weak.",
            )


@contextlib.contextmanager
def _open_regions(regions: Sequence[Region]) -> Iterator[tuple[list[str], list[int]]]:
    """Give esptool the regions' bytes, whatever has become of the files that they came from.

    Yields offset and path of each for its command line, and the descriptors that it inherits.
    """
    with contextlib.ExitStack() as stack:
        pairs, descriptors = [], []
        for region in regions:
            descriptor, path = stack.enter_context(open_memory(region.data))
            pairs += [f"{region.offset:#x}", str(path)]
            descriptors.append(descriptor)
        yield pairs, descriptors


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
