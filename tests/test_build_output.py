"""What a build says of itself: read exactly, or refused with a reason."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from loader_port import make_build

from nodemcu_tls_build.build_output import load_build_output, read_images
from nodemcu_tls_build.errors import ImageError
from nodemcu_tls_build.memmap import IROM_OFFSET, KIB


@pytest.fixture
def build_dir(tmp_path: Path) -> Path:
    return make_build(tmp_path / "out")


def load_report(build_dir: Path) -> dict[str, Any]:
    return json.loads((build_dir / "build.json").read_text(encoding="utf-8"))


def change(build_dir: Path, **changes: object) -> None:
    report = load_report(build_dir) | changes
    (build_dir / "build.json").write_text(json.dumps(report), encoding="utf-8")


def change_image(build_dir: Path, **changes: object) -> None:
    """Change what build.json says of its second image."""
    images = load_report(build_dir)["images"]
    change(build_dir, images=[images[0], images[1] | changes])


def find_damage(build_dir: Path) -> str:
    with pytest.raises(ImageError) as caught:
        load_build_output(build_dir)
    assert caught.value.hint == f"Make it again: nodemcu-tls build --out {build_dir}"
    before, found, reason = caught.value.message.partition("build.json is damaged: ")
    assert found, caught.value.message
    assert before == f"{build_dir}/"
    return reason


def test_build_output(build_dir: Path) -> None:
    output = load_build_output(build_dir)
    assert output.flash_size == 1024 * KIB
    assert output.build_id == load_report(build_dir)["build_id"]
    assert output.board == "virtual"
    assert [image.offset for image in output.images] == [0, IROM_OFFSET]
    assert output.images[0].path == build_dir / "0x00000.bin"
    images = read_images(output)
    assert images == tuple(image.path.read_bytes() for image in output.images)


def test_no_build_says_how_to_make_one(tmp_path: Path) -> None:
    for build_dir, what in ((tmp_path, "no build in"), (tmp_path / "none", "no directory")):
        with pytest.raises(ImageError, match=what) as caught:
            load_build_output(build_dir)
        assert caught.value.hint == f"Make one: nodemcu-tls build --out {build_dir}"


def test_a_file_is_no_build(build_dir: Path) -> None:
    with pytest.raises(ImageError, match="is a file, not the directory of a build") as caught:
        load_build_output(build_dir / "0x00000.bin")
    assert caught.value.hint == "Name the directory that `nodemcu-tls build --out` was given."


def test_build_of_before_there_were_build_ids(build_dir: Path) -> None:
    report = load_report(build_dir)
    del report["build_id"]
    (build_dir / "build.json").write_text(json.dumps(report), encoding="utf-8")
    with pytest.raises(ImageError, match="an older nodemcu-tls made it"):
        load_build_output(build_dir)


@pytest.mark.parametrize("schema", [2, 99])
def test_build_of_another_schema(build_dir: Path, schema: int) -> None:
    change(build_dir, schema=schema)
    with pytest.raises(ImageError, match=f"another nodemcu-tls: schema {schema}, not 1"):
        load_build_output(build_dir)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": True}, "schema is true, not a whole number"),
        ({"flash_size": True}, "flash_size is true, not a whole number"),
        ({"flash_size": 1048576.0}, "flash_size is 1048576.0, not a whole number"),
        ({"flash_size": 1}, "flash_size is 1, no flash has as many bytes"),
        ({"flash_size": 512 * KIB}, "flash_size is 524288, the board's is 1048576"),
        ({"profile": {}}, "it has no board"),
        ({"profile": None}, "profile is null, not an object"),
        ({"images": []}, "it has no images"),
        ({"images": {}}, "images is {}, not a list"),
        ({"images": [0]}, "an image is no JSON object"),
        ({"images": [{}]}, "it has no name"),
        ({"build_id": None}, "build_id is null, not a text"),
        ({"build_id": 7}, "build_id is 7, not a text"),
        *(({"build_id": text}, f'build_id is "{text}"') for text in ("", "0123", "00" * 21)),
    ],
)
def test_damaged_report(build_dir: Path, changes: dict[str, object], reason: str) -> None:
    change(build_dir, **changes)
    assert find_damage(build_dir) == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "../out/0x10000.bin"}, '"../out/0x10000.bin" is not the name of a file beside'),
        ({"name": ".."}, '".." is not the name'),
        ({"name": "a\0b"}, "is not the name"),
        ({"name": "0x00000.bin"}, "an image is in it twice"),
        ({"offset": 65536.0}, "offset is 65536.0, not a whole number"),
        ({"offset": 65540}, "offset of 0x10000.bin is 0x10004, where no sector begins"),
        ({"offset": -4096}, "offset of 0x10000.bin is -0x1000, where no sector begins"),
        ({"offset": 0}, "0x10000.bin at 0x0 overlaps 0x00000.bin, which ends at 0x2c4"),
        ({"length": -1}, "length of 0x10000.bin is -1"),
        ({"sha256": "abc"}, 'sha256 of 0x10000.bin is "abc"'),
    ],
)
def test_damaged_image_entry(build_dir: Path, changes: dict[str, object], reason: str) -> None:
    change_image(build_dir, **changes)
    assert reason in find_damage(build_dir)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "it is no JSON from line 1, column 1 on"),
        (b'{"a":\n}', "it is no JSON from line 2, column 1 on"),
        (b"[]", "it is no JSON object"),
        (b"{}", "it has no schema"),
        (b"\xff", "it is no text in UTF-8"),
        (b"[" * 200_000, "it is nested too deep"),
        (b'{"schema": ' + b"9" * 5000 + b"}", ""),
    ],
)
def test_damaged_json(build_dir: Path, text: bytes, reason: str) -> None:
    (build_dir / "build.json").write_bytes(text)
    assert find_damage(build_dir).startswith(reason)


def test_files_without_an_end(build_dir: Path) -> None:
    output = load_build_output(build_dir)
    for name in ("0x10000.bin", "build.json"):
        (build_dir / name).unlink()
        os.mkfifo(build_dir / name)
    with pytest.raises(ImageError, match=r"cannot read \S+0x10000\.bin: it is not a regular file"):
        read_images(output)
    with pytest.raises(ImageError, match=r"cannot read \S+build\.json: it is not a regular file"):
        load_build_output(build_dir)


def test_changed_or_missing_image_file(build_dir: Path) -> None:
    output = load_build_output(build_dir)
    path = build_dir / "0x10000.bin"
    path.write_bytes(b"edit")
    with pytest.raises(ImageError, match=r"0x10000\.bin is not what the build made") as caught:
        read_images(output)
    assert caught.value.hint == f"Make it again: nodemcu-tls build --out {build_dir}"
    path.write_bytes(bytes(2048 * KIB))
    with pytest.raises(ImageError, match="more than 1,048,576 bytes"):
        read_images(output)
    path.unlink()
    with pytest.raises(ImageError, match="No such file"):
        read_images(output)


def test_another_length(build_dir: Path) -> None:
    change_image(build_dir, length=5)
    with pytest.raises(ImageError, match=r"damaged: 0x10000\.bin has 9,036 bytes, not 5"):
        read_images(load_build_output(build_dir))


def test_another_build_id(build_dir: Path) -> None:
    build_id = load_report(build_dir)["build_id"]
    change(build_dir, build_id="00" * 20)
    with pytest.raises(ImageError, match=f"of build {build_id}, build.json of {'00' * 20}"):
        read_images(load_build_output(build_dir))
    data = b"code without a note"
    (build_dir / "0x10000.bin").write_bytes(data)
    change_image(build_dir, length=len(data), sha256=sha256(data).hexdigest())
    with pytest.raises(ImageError, match="is of build none"):
        read_images(load_build_output(build_dir))
