"""The list of what was issued, JSON Lines: a line is what makes a certificate count as issued.

A device's file is written under another name, synced, then told in the manifest, then given its
name. So each line has its file, or one that only waits for its name, whenever all ends.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nodemcu_tls_build.errors import OutputError
from nodemcu_tls_build.files import explain_write_error, hash_file
from nodemcu_tls_build.fleet.names import Names
from nodemcu_tls_build.fleet.problems import shorten

MANIFEST = "manifest.jsonl"
_LIBC = ctypes.CDLL(None, use_errno=True)
_DAMAGED = "Take those lines out: what their devices have is taken over where it can be read."
_LACKING = "Put the files back, or take those lines out to have the devices issued anew."
_MAX_LINE = 64 * 1024


class Manifest:
    """The manifest in a directory that this process has locked."""

    def __init__(self, directory: Path) -> None:
        """Open the manifest, or begin one; see that each device in it has its file.

        Raises OutputError.
        """
        self._directory = directory
        self.path = directory / MANIFEST
        try:
            self._file = self.path.open("ab", buffering=0)
            self.settle()
        except OSError as error:
            raise explain_write_error(self.path, error) from error

    def settle(self) -> None:
        """Give files their names that have a line already; read which devices have one.

        From then on a file with a name that is not its last one has no line. Raises OSError, and
        OutputError for a manifest that cannot be gone on with.
        """
        self._drop_torn_line()
        self.devices, self.keys, self._issued = Names(), Names(), Names()
        for entry in self._check_lines():
            self.devices.add(entry["device"])
            self.keys.add(entry["public_key"])
            self._issued.add(_join(entry["device"], entry["file"], entry["subject"]))
            self._issued.add(_join(entry["device"], entry["public_key"]))

    def has_issued(self, device: str, file: str, subject: str) -> bool:
        """Tell whether the device was issued that file, with a certificate for that subject."""
        return _join(device, file, subject) in self._issued

    def has_key(self, device: str, public_key: str) -> bool:
        """Tell whether the device's certificate is for the key with that digest."""
        return _join(device, public_key) in self._issued

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield what each line says."""
        return _read(self.path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, lines: Sequence[str], files: Sequence[str]) -> None:
        """Add lines for files, paths in the directory, that are there as `find_staged` says.

        Raises OSError.
        """
        if lines:
            self._sync()  # first the files
            data = memoryview("".join(f"{line}\n" for line in lines).encode())
            while data:
                data = data[self._file.write(data) or 0 :]
            os.fsync(self._file.fileno())
        for name in files:
            find_staged(self._directory / name).replace(self._directory / name)

    def _sync(self) -> None:
        """Have all that was written to the file system on the disk, at once and not by file."""
        if _LIBC.syncfs(self._file.fileno()) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def _drop_torn_line(self) -> None:
        """Take away what a crash left of a line, or end a line that lacks only its end."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            file.seek(max(0, size - _MAX_LINE))
            tail = file.read().rpartition(b"\n")[2]
        if tail and _parse(tail) is not None:
            self._file.write(b"\n")
        elif tail:
            os.truncate(self.path, size - len(tail))

    def _check_lines(self) -> Iterator[dict[str, Any]]:
        """Yield what each line says; give files their names that wait for them."""
        problems: list[str] = []
        hints: dict[str, None] = {}
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                entry = _parse(line)
                if entry is None:
                    problems.append(f"line {number} {_explain(line)}")
                    hints[_DAMAGED] = None
                    continue
                yield entry
                if not self._has_file(entry):
                    name = f"the device {entry['device']!r} lacks its file, {entry['file']}"
                    problems.append(f"line {number}: {name}")
                    hints[_LACKING] = None
        if problems:
            raise OutputError(
                "\n  - ".join([f"{self.path} cannot be gone on with:", *shorten(problems)]),
                " ".join(hints),
            )

    def _has_file(self, entry: dict[str, Any]) -> bool:
        path = self._directory / entry["file"]
        if path.exists():
            return True
        staged = find_staged(path)
        if not staged.exists() or hash_file(staged) != entry["sha256"]:
            return False
        staged.replace(path)
        return True


def load_devices(directory: Path) -> Names:
    """Return which devices the manifest in a directory has, as far as it can be read."""
    try:
        return Names(entry["device"] for entry in _read(directory / MANIFEST))
    except OSError:
        return Names()


def find_staged(path: Path) -> Path:
    """Return the name that a file has until it is in the manifest."""
    return path.with_name(f".{path.name}.part")


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        yield from (entry for line in file if (entry := _parse(line)))


def _join(*parts: str) -> str:
    return "\0".join(parts)


def _explain(line: bytes) -> str:
    return "is damaged" if line.strip() else "is empty"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    keys = ("device", "subject", "public_key", "file", "sha256")
    is_entry = isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in keys)
    if not is_entry or Path(entry["file"]).is_absolute() or ".." in Path(entry["file"]).parts:
        return None
    return dict(entry)
