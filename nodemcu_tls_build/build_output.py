"""Read what a build says of itself, `build.json`, and its images."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.files import read_file
from nodemcu_tls_build.image import BUILD_ID_SIZE, FLASH_SIZES, find_build_id
from nodemcu_tls_build.memmap import IROM_OFFSET, KIB, SECTOR

SCHEMA = 1  # of build.json

_MAX_REPORT = 4 * KIB * KIB  # bytes of a build.json
_SHA256 = re.compile("[0-9a-f]{64}")
_BUILD_ID = re.compile(f"[0-9a-f]{{{2 * BUILD_ID_SIZE}}}")
_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}

T = TypeVar("T", str, int, list[Any], dict[str, Any])


@dataclass(frozen=True)
class ImageFile:
    """A file of a build and where in flash it goes."""

    path: Path
    offset: int
    length: int
    sha256: str


@dataclass(frozen=True)
class BuildOutput:
    """What `build.json` says about the images beside it; `flash_size` is the board's.

    No two images share a sector. `board` is the board's name, which may be none of BOARDS.
    `build_id` are the 40 hexadecimal digits that `find_build_id` finds in the mapped image.
    """

    build_dir: Path
    images: tuple[ImageFile, ...]
    flash_size: int
    build_id: str
    board: str


def load_build_output(build_dir: Path) -> BuildOutput:
    """Read `build.json`; raise ImageError when there is no build or it cannot be understood."""
    path = build_dir / "build.json"
    try:
        text = read_file(path, _MAX_REPORT).decode()
    except (FileNotFoundError, NotADirectoryError):
        raise _explain_no_build(build_dir) from None
    except OSError as error:
        raise ImageError(
            f"cannot read {path}: {error.strerror}", hint_to_build(build_dir)
        ) from error
    except UnicodeDecodeError as error:
        raise _explain_damage(build_dir, "it is no text in UTF-8") from error
    try:
        return _parse_report(build_dir, json.loads(text))
    except json.JSONDecodeError as error:
        reason = f"it is no JSON from line {error.lineno}, column {error.colno} on"
        raise _explain_damage(build_dir, reason) from error
    except RecursionError as error:
        raise _explain_damage(build_dir, "it is nested too deep") from error
    except ValueError as error:
        raise _explain_damage(build_dir, str(error)) from error


def read_images(output: BuildOutput) -> tuple[bytes, ...]:
    """Return the bytes of each image; raise ImageError unless they are what the build made.

    What is returned is what was checked: the files may change from now on.
    """
    images = tuple(_read_image(output, image) for image in output.images)
    for image, data in zip(output.images, images, strict=True):
        if image.offset == IROM_OFFSET and find_build_id(data) != output.build_id:
            raise ImageError(
                f"{image.path} is of build {find_build_id(data) or 'none'}, "
                f"build.json of {output.build_id}",
                hint_to_build(output.build_dir),
            )
    return images


def hint_to_build(build_dir: Path) -> str:
    """Return what to do about a build that cannot be used."""
    return f"Make it again: nodemcu-tls build --out {build_dir}"


def _read_image(output: BuildOutput, image: ImageFile) -> bytes:
    hint = hint_to_build(output.build_dir)
    try:
        data = read_file(image.path, output.flash_size)
    except OSError as error:
        raise ImageError(f"cannot read {image.path}: {error.strerror}", hint) from error
    found = sha256(data).hexdigest()
    if found != image.sha256:
        raise ImageError(
            f"{image.path} is not what the build made: SHA-256 {found}, "
            f"build.json says {image.sha256}",
            hint,
        )
    if len(data) != image.length:
        raise _explain_damage(
            output.build_dir,
            f"{image.path.name} has {len(data):,} bytes, not {image.length:,}",
        )
    return data


def _explain_no_build(build_dir: Path) -> ImageError:
    make = f"Make one: nodemcu-tls build --out {build_dir}"
    if build_dir.is_dir():
        return ImageError(f"there is no build in {build_dir}", make)
    if build_dir.exists():
        return ImageError(
            f"{build_dir} is a file, not the directory of a build",
            "Name the directory that `nodemcu-tls build --out` was given.",
        )
    return ImageError(f"there is no directory {build_dir}", make)


def _explain_damage(build_dir: Path, reason: str) -> ImageError:
    path = build_dir / "build.json"
    return ImageError(f"{path} is damaged: {reason}", hint_to_build(build_dir))


def _parse_report(build_dir: Path, report: Any) -> BuildOutput:
    """Take what is needed out of the report; raise ValueError saying what is wrong with it."""
    if not isinstance(report, dict):
        raise ValueError("it is no JSON object")
    _check_version(build_dir, report)
    flash_size = _get(report, "flash_size", int)
    if flash_size not in FLASH_SIZES.values():
        raise ValueError(f"flash_size is {flash_size}, no flash has as many bytes")
    board = _get(_get(report, "profile", dict), "board", dict)
    if _get(board, "flash_size", int) != flash_size:
        raise ValueError(f"flash_size is {flash_size}, the board's is {board['flash_size']}")
    build_id = _get(report, "build_id", str)
    if not _BUILD_ID.fullmatch(build_id):
        raise ValueError(f"build_id is {_quote(build_id)}")
    images = tuple(_parse_image(build_dir, entry) for entry in _get(report, "images", list))
    _check_places(images)
    return BuildOutput(build_dir, images, flash_size, build_id, _get(board, "name", str))


def _check_version(build_dir: Path, report: dict[str, Any]) -> None:
    schema = _get(report, "schema", int)
    if schema != SCHEMA:
        raise ImageError(
            f"the build in {build_dir} is of another nodemcu-tls: schema {schema}, not {SCHEMA}",
            f"Use that one, or make it again: nodemcu-tls build --out {build_dir}",
        )
    if "build_id" not in report:
        raise ImageError(
            f"the build in {build_dir} has no build id: an older nodemcu-tls made it",
            hint_to_build(build_dir),
        )


def _parse_image(build_dir: Path, entry: Any) -> ImageFile:
    if not isinstance(entry, dict):
        raise ValueError("an image is no JSON object")
    name, digest = _get(entry, "name", str), _get(entry, "sha256", str)
    offset, length = _get(entry, "offset", int), _get(entry, "length", int)
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise ValueError(f"{_quote(name)} is not the name of a file beside it")
    if not _SHA256.fullmatch(digest):
        raise ValueError(f"sha256 of {name} is {_quote(digest)}")
    if offset < 0 or offset % SECTOR:
        raise ValueError(f"offset of {name} is {offset:#x}, where no sector begins")
    if length < 0:
        raise ValueError(f"length of {name} is {length}")
    return ImageFile(build_dir / name, offset, length, digest)


def _check_places(images: Sequence[ImageFile]) -> None:
    if not images:
        raise ValueError("it has no images")
    if len({image.path for image in images}) < len(images):
        raise ValueError("an image is in it twice")
    for before, after in pairwise(sorted(images, key=lambda image: image.offset)):
        end = before.offset + max(before.length, 1)
        if after.offset < end:
            raise ValueError(
                f"{after.path.name} at {after.offset:#x} overlaps {before.path.name}, "
                f"which ends at {end:#x}"
            )


def _get(table: dict[str, Any], key: str, kind: type[T]) -> T:
    """Return a value of exactly that type; raise ValueError when it is missing or another."""
    if key not in table:
        raise ValueError(f"it has no {key}")
    value = table[key]
    if type(value) is not kind:  # bool is an int, and not meant
        _refuse_value(key, value, _KINDS[kind])
    return value


def _refuse_value(key: str, value: Any, wanted: str) -> NoReturn:
    raise ValueError(f"{key} is {_quote(value)}, not {wanted}")


def _quote(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
