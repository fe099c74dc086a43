"""Fetch a Python source package through this machine's own pip, and run nothing of it.

pip downloads a source package only together with its metadata, which the package's own build code
would have to give. A build backend of ours takes that code's place: pip finds it before the real
setuptools, and it answers with the name and the version that are known already.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
from pathlib import Path

from nodemcu_tls_build.errors import ToolFailed
from nodemcu_tls_build.files import write_file
from nodemcu_tls_build.process import run_capture
from nodemcu_tls_build.sources.lock import PipOrigin, Unavailable

# pip calls what a package without a pyproject.toml is built by `setuptools.build_meta:__legacy__`.
_BACKEND = """\
from pathlib import Path


class __legacy__:
    @staticmethod
    def prepare_metadata_for_build_wheel(directory, config_settings=None):
        name = "{directory}-{version}.dist-info"
        (Path(directory) / name).mkdir()
        text = "Metadata-Version: 2.1\\nName: {package}\\nVersion: {version}\\n"
        (Path(directory) / name / "METADATA").write_text(text)
        return name
"""

_OPTIONS = (
    *("--quiet", "--no-input", "--disable-pip-version-check", "--require-hashes"),
    *("--no-deps", "--no-binary", ":all:", "--ignore-requires-python"),
    *("--use-pep517", "--no-build-isolation"),
)


def fetch_with_pip(origin: PipOrigin, name: str, sha256: str, directory: Path) -> Path:
    """Put the source package `name` into `directory` and return its path.

    Raises Unavailable when this Python has no pip, or its pip cannot get the package with that
    hash.
    """
    if importlib.util.find_spec("pip") is None:
        raise Unavailable("this Python has no pip")
    with tempfile.TemporaryDirectory(prefix="nodemcu-tls-pip-") as temp_name:
        temp_dir = Path(temp_name)
        backend = _BACKEND.format(
            package=origin.package,
            version=origin.version,
            directory=re.sub(r"[-_.]+", "_", origin.package),
        )
        write_file(temp_dir / "backend" / "setuptools" / "__init__.py", "")
        write_file(temp_dir / "backend" / "setuptools" / "build_meta.py", backend)
        requirement = f"{origin.package}=={origin.version} --hash=sha256:{sha256}\n"
        write_file(temp_dir / "requirements.txt", requirement)
        paths = (str(temp_dir / "backend"), os.environ.get("PYTHONPATH", ""))
        wanted = ("--requirement", temp_dir / "requirements.txt", "--dest", directory)
        try:
            run_capture(
                [sys.executable, "-m", "pip", "download", *_OPTIONS, *wanted],
                cwd=temp_dir,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
            )
        except ToolFailed as error:
            raise Unavailable(_pick_complaint(error)) from error
    path = directory / name
    if not path.is_file():
        brought = ", ".join(sorted(found.name for found in directory.iterdir()))
        raise Unavailable(f"pip brought {brought or 'nothing'}")
    return path


def _pick_complaint(error: ToolFailed) -> str:
    """Return why pip failed, in one line."""
    complaints = [line for line in error.output.splitlines() if line.startswith("ERROR:")]
    if any("DO NOT MATCH THE HASHES" in line for line in complaints):
        return "pip found a package with another hash"
    return "; ".join(line[6:].strip() for line in complaints) or error.message
