"""Places that lack something: a disk with little space, a Python without programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from builds import BUILD


@dataclass(frozen=True)
class Disk:
    """A file system of its own; programs started through `enter` see it at `mount_point`."""

    mount_point: Path
    path: Path
    """The same directory, as this process sees it."""
    enter: tuple[str, ...]
    """The command that runs another in the directory of the mount point."""

    @property
    def command(self) -> tuple[str, ...]:
        """Return the command of a build that sees the disk."""
        return (*self.enter, *BUILD)

    def run(self, *command: str) -> None:
        """Run a program that sees the disk."""
        subprocess.run([*self.enter, *command], check=True)

    def leave(self, free: int) -> None:
        """Make the disk larger or smaller, so that `free` bytes are left."""
        status = os.statvfs(self.path)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        self.run("mount", "-o", f"remount,size={used + free}", str(self.mount_point))


def find_namespace_tool() -> tuple[str, ...]:
    """Return the command that runs another with mounts of its own; skip where that is forbidden."""
    for command in (("unshare", "-m"), ("unshare", "-r", "-m")):
        if subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0:
            return command
    pytest.skip("this machine allows no mount namespaces, neither to root nor to users")


@contextmanager
def mount_disk(mount_point: Path) -> Iterator[Disk]:
    """Mount a disk of 64 MiB for programs that a test starts; it is gone afterwards."""
    mount_point.mkdir()
    tool = find_namespace_tool()
    script = 'mount -t tmpfs -o size=64m disk "$1" && echo mounted && exec cat'
    keeper = subprocess.Popen(
        [*tool, "sh", "-c", script, "sh", str(mount_point)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert keeper.stdout
        assert keeper.stdout.readline() == "mounted\n"
        enter = ["nsenter", "--target", str(keeper.pid), "--mount"]
        enter += ["--user", "--preserve-credentials"] if "-r" in tool else []
        root = Path(f"/proc/{keeper.pid}/root")
        yield Disk(
            mount_point,
            root / mount_point.relative_to("/"),
            (*enter, f"--wdns={mount_point.parent}"),
        )
    finally:
        keeper.communicate()


def make_bare_python(directory: Path) -> Path:
    """Make an environment that has this one's packages and none of its programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    packages_dir = next(directory.glob("lib/python*/site-packages"))
    paths = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    assert paths
    lines = [f"import site; site.addsitedir({path!r})" for path in paths]
    (packages_dir / "outer.pth").write_text("\n".join(lines) + "\n")
    return directory / "bin" / "python"
