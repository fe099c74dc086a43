"""The wheel: it holds what it needs, and builds a firmware away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest
from builds import list_steps, load_report, run_build

ROOT = Path(__file__).parent.parent
PACKAGE = "nodemcu_tls_build"


@pytest.fixture(scope="module")
def wheel_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet")
    here = ("--no-deps", "--no-build-isolation", "--wheel-dir", str(directory), str(ROOT))
    subprocess.run([*pip, *here], check=True)
    (path,) = directory.iterdir()
    return path


def list_files(root: Path) -> set[str]:
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_everything_and_nothing_else(wheel_path: Path) -> None:
    with ZipFile(wheel_path) as wheel:
        names = set(wheel.namelist())
        metadata = HeaderParser().parsestr(
            wheel.read(next(n for n in names if n.endswith("/METADATA"))).decode()
        )
        scripts = wheel.read(next(n for n in names if n.endswith("/entry_points.txt"))).decode()
    expected = {f"{PACKAGE}/{name}" for name in list_files(ROOT / PACKAGE)}
    for data in ("templates", "app"):
        expected |= {f"{PACKAGE}/_data/{data}/{name}" for name in list_files(ROOT / data)}
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert f"{PACKAGE}/profile/presets/default.toml" in names
    assert f"{PACKAGE}/sources.lock" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert metadata["License-Expression"] == "MIT"
    assert "nodemcu-tls = nodemcu_tls_build.cli:main" in scripts


def test_installed_wheel_builds_from_an_empty_directory(
    wheel_path: Path, whole_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    env_dir, empty_dir = tmp_path / "env", tmp_path / "empty"
    empty_dir.mkdir()
    subprocess.run([sys.executable, "-m", "venv", env_dir], check=True)
    pip = (env_dir / "bin" / "pip", "--disable-pip-version-check", "install", "--quiet")
    subprocess.run([*pip, wheel_path], check=True, cwd=empty_dir)

    where = "import nodemcu_tls_build as package; print(package.__file__)"
    told = subprocess.check_output([env_dir / "bin" / "python", "-c", where], cwd=empty_dir)
    assert Path(os.fsdecode(told)).is_relative_to(env_dir)

    command = (str(env_dir / "bin" / "nodemcu-tls"), "build")
    steps = list_steps(run_build(cwd=empty_dir, command=command))
    assert len(steps) > 100
    assert [path.name for path in empty_dir.iterdir()] == ["build"]
    report, expected = load_report(empty_dir / "build"), load_report(whole_build)
    del report["tools"], expected["tools"]  # pip may have found another esptool
    assert report == expected
    flash_path = empty_dir / "build" / "flash.bin"
    assert flash_path.read_bytes() == (whole_build / "flash.bin").read_bytes()
    assert list_steps(run_build(cwd=empty_dir, command=command)) == []
