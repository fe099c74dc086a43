from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from nodemcu_tls_build.errors import OutputError
from nodemcu_tls_build.files import explain_write_error, hash_file, make_directory, write_file
from nodemcu_tls_build.resources import app_dir, templates_dir


def test_a_new_file_and_its_directories(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    assert write_file(path, "Größe\n")
    assert path.read_bytes() == "Größe\n".encode()
    assert _names(path.parent) == ["file.txt"]


def test_the_same_content_touches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"same")
    os.utime(path, ns=(1, 1))
    inode = path.stat().st_ino
    assert not write_file(path, "same")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (inode, 1)
    assert write_file(path, b"else")
    assert path.read_bytes() == b"else"


def test_the_mode_is_the_one_asked_for_or_the_umask_decides(tmp_path: Path) -> None:
    path = tmp_path / "file"
    umask = os.umask(0o027)
    try:
        write_file(path, b"x")
        assert path.stat().st_mode & 0o777 == 0o640
        assert write_file(path, b"x", mode=0o600)
        assert path.stat().st_mode & 0o777 == 0o600
        assert not write_file(path, b"x", mode=0o600)
    finally:
        os.umask(umask)


def test_a_long_name_is_no_reason_to_fail(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    assert write_file(path, b"x")
    with pytest.raises(OutputError, match="File name too long") as caught:
        write_file(tmp_path / ("n" * 256), b"x")
    assert caught.value.hint == "Choose a shorter name."


def test_a_file_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "x", tmp_path / "file" / "dir" / "x"):
        with pytest.raises(OutputError) as caught:
            write_file(path, b"x")
        assert "is a file" in (caught.value.hint or "")


def test_a_directory_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="out: Is a directory") as caught:
        write_file(tmp_path / "out", b"x")
    assert "A directory stands there" in (caught.value.hint or "")
    assert _names(tmp_path) == ["out"]


def test_a_directory_that_may_not_be_written(
    tmp_path: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")
    tmp_path.chmod(0o555)
    try:
        with unprivileged(), pytest.raises(OutputError, match="Permission denied") as caught:
            write_file(path, b"new")
        with unprivileged(), pytest.raises(OutputError, match="Permission denied"):
            make_directory(tmp_path / "dir")
    finally:
        tmp_path.chmod(0o755)
    assert "writable" in (caught.value.hint or "")
    assert path.read_bytes() == b"old"


def test_a_write_that_stops_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")
    code = (
        "import signal, sys; from pathlib import Path\n"
        "from nodemcu_tls_build.errors import OutputError\n"
        "from nodemcu_tls_build.files import write_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try: write_file(Path(sys.argv[1]), bytes(100_000))\n"
        "except OutputError as error: print(error.message, error.hint)\n"
    )
    result = subprocess.run(
        [sys.executable, "-B", "-c", code, path],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.startswith(f"cannot write {path}: File too large The file is larger")
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["file"]


def test_a_full_disk_is_named() -> None:
    error = None
    try:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")
    except OSError as caught:
        error = caught
    assert error is not None
    explained = explain_write_error(Path("out/flash.bin"), error)
    assert explained.message == "cannot write out/flash.bin: No space left on device"
    assert "free some space" in (explained.hint or "")


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = {b"a" * 300_000, b"b" * 200_000}
    code = (
        "import sys; from pathlib import Path\n"
        "from nodemcu_tls_build.files import write_file\n"
        "for i in range(150):\n"
        "    write_file(Path(sys.argv[1]), b'a' * 300_000 if i % 2 else b'b' * 200_000)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, path])
    try:
        while writer.poll() is None:
            if path.exists():
                assert path.read_bytes() in contents
    finally:
        writer.kill()
        writer.wait()
    assert writer.returncode == 0


def test_hash_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert hash_file(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_the_resources_of_the_checkout_are_found() -> None:
    root = Path(__file__).resolve().parent.parent
    assert templates_dir() == root / "templates"
    assert app_dir() == root / "app"


def _names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]
