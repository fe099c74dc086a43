"""The package is a house of layers: a module imports only what stands above it in the list."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import nodemcu_tls_build

PACKAGE = "nodemcu_tls_build"
LAYERS = (
    *("errors", "files", "resources", "memmap", "process", "request", "profile", "certs", "fleet"),
    *("sources", "toolchain", "render", "graph", "image", "build_output", "size", "ninja"),
    *("output", "fresh", "build_time", "build", "apply", "device", "provision"),
    *("monitor", "emulator"),
    *("commands", "cli", "__main__"),
)
ROOT = Path(nodemcu_tls_build.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if "_data" not in path.parts)

# Who may import what: everybody else goes through them.
DOORS = {
    "click": {"cli.py", "commands/"},
    "rich": {"commands/"},
    "subprocess": {"process.py", "emulator/console.py", "emulator/guest.py"},
    "jinja2": {"render.py"},
    "pydantic": {"profile/"},
    "pydantic_core": {"profile/"},
    "cryptography": {"certs/"},
    "elftools": {"size.py", "monitor/"},
    "prompt_toolkit": {"commands/"},
    "esptool": set(),
    "serial": {"device/", "monitor/", "emulator/"},
}


def list_imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            assert node.module
            yield node.module
            if node.module == PACKAGE:
                yield from (f"{PACKAGE}.{alias.name}" for alias in node.names)


def find_layer(module: str) -> str | None:
    """Return the layer of a module of this package, None for other modules."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == PACKAGE and rest else None


def list_calls(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {call.id for call in calls if isinstance(call, ast.Name)}


def is_behind(path: Path, doors: set[str]) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return any(name == door or (door.endswith("/") and name.startswith(door)) for door in doors)


def test_every_module_has_its_layer() -> None:
    found = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in MODULES}
    assert found == {*LAYERS, "__init__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_come_from_above(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    above = set() if own == "__init__" else {own, *LAYERS[: LAYERS.index(own)]}
    assert {layer for module in list_imports(path) if (layer := find_layer(module))} <= above


@pytest.mark.parametrize("module", DOORS)
def test_doors(module: str) -> None:
    users = [path for path in MODULES if any(n.split(".")[0] == module for n in list_imports(path))]
    assert bool(users) == bool(DOORS[module])
    assert [path for path in users if not is_behind(path, DOORS[module])] == []


def test_only_commands_print() -> None:
    printing = [path for path in MODULES if "print" in list_calls(path)]
    assert [path for path in printing if not is_behind(path, {"cli.py", "commands/"})] == []


def test_starting_programs_has_one_door() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        for way in ("os.system", "os.exec", "os.spawn", "os.popen", "posix_spawn", "os.fork"):
            assert way not in text, path
