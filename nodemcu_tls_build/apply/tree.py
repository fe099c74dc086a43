"""Recognise a NodeMCU firmware tree, and find out which mbedTLS it has."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path

from nodemcu_tls_build.errors import TreeError

USER_MBEDTLS = "app/include/user_mbedtls.h"
USER_CONFIG = "app/include/user_config.h"
USER_MODULES = "app/include/user_modules.h"
CA_HEADER = "app/modules/server-ca.crt.h"
CA_FILE = "server-ca.crt"
# In the order that they are written in: make goes by their times.
FILES = (CA_FILE, CA_HEADER, USER_CONFIG, USER_MODULES, USER_MBEDTLS)

_NEEDED = ("Makefile", "app/modules", USER_CONFIG, USER_MBEDTLS, USER_MODULES)
_VERSION_HEADERS = ("app/include/mbedtls/build_info.h", "app/include/mbedtls/version.h")
_CONFIG_HEADERS = ("app/include/mbedtls/mbedtls_config.h", "app/include/mbedtls/config.h")
_LOADER = "app/mbedtls/app/espconn_mbedtls.c"

# A release line that a tree may have, and the release whose options a profile knows.
_KNOWN_LINES = {(2, 16): "2.16.3", (2, 28): "2.28.3", (3, 6): "3.6.6"}
_MAX_BYTES = 1024 * 1024

_TREE_HINT = "Give the top directory of a nodemcu-firmware checkout (branch release or dev)."


@dataclass(frozen=True)
class Tree:
    """A recognised tree: where it is and what its own files say.

    `version` is its mbedTLS, `profile_version` the release that profiles have for it; `config` is
    mbedTLS's own configuration, empty when the tree has none. `builds_ca` tells that its Makefile
    knows the CA's header; `takes_pem` that the code which loads the CA reads one record only, but
    any number of certificates as text in it; `asks_fragment` that it asks servers for records of
    a length.
    """

    path: Path
    version: str
    profile_version: str
    config: str
    builds_ca: bool
    takes_pem: bool
    asks_fragment: bool


def open_tree(path: Path) -> Tree:
    """Return the tree at `path`; raise TreeError when it is none that a profile can be put into."""
    _check_shape(path)
    version = _find_version(path)
    line = tuple(map(int, version.split(".")[:2]))
    known = _KNOWN_LINES.get((line[0], line[1]))
    if known is None:
        names = ", ".join(f"{major}.{minor}" for major, minor in _KNOWN_LINES)
        raise TreeError(
            f"{path} has mbedTLS {version}, of which profiles know nothing",
            f"Profiles are for mbedTLS {names}: use a version of the firmware that has one.",
        )
    loader = _read_if_there(path / _LOADER)
    return Tree(
        path=path,
        version=version,
        profile_version=known,
        config=next(filter(None, (_read_if_there(path / name) for name in _CONFIG_HEADERS)), ""),
        builds_ca=Path(CA_HEADER).name in _read_if_there(path / "Makefile"),
        takes_pem="-----BEGIN" in loader and "ESPCONN_CERT_AUTH" in loader,
        asks_fragment="SSL_MAX_FRAGMENT_LENGTH_CODE" in loader,
    )


def read_bytes(path: Path) -> bytes | None:
    """Return the content of a regular file, None when nothing is there; raise TreeError."""
    try:
        if not path.exists() and not path.is_symlink():
            return None
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise TreeError(f"{path} is not a file", "Move it out of the way.")
        if status.st_size > _MAX_BYTES:
            raise TreeError(f"{path} is larger than {_MAX_BYTES} bytes", _TREE_HINT)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise TreeError(f"{path} is a link that leads nowhere", "Mend or remove it.") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise TreeError(f"{path} cannot be read: {reason}", None) from error


def _check_shape(path: Path) -> None:
    if not path.is_dir():
        what = "is not a directory" if path.exists() else "does not exist"
        raise TreeError(f"{path} {what}", _TREE_HINT)
    missing = [name for name in _NEEDED if not (path / name).exists()]
    if not any((path / name).is_file() for name in _VERSION_HEADERS):
        missing.append(_VERSION_HEADERS[1])
    if not missing:
        return
    if (path / "components").is_dir() and not (path / "app").is_dir():
        raise TreeError(
            f"{path} is NodeMCU firmware for the ESP32: it has components and no app",
            "Use the branch release or dev, which are for the ESP8266.",
        )
    raise TreeError(
        f"{path} is not NodeMCU firmware as it is known: it lacks {', '.join(missing)}", _TREE_HINT
    )


def _find_version(path: Path) -> str:
    for name in _VERSION_HEADERS:
        text = _read_if_there(path / name)
        found = [
            match[1]
            for part in ("MAJOR", "MINOR", "PATCH")
            if (match := re.search(rf"^\s*#\s*define\s+MBEDTLS_VERSION_{part}\s+(\d+)", text, re.M))
        ]
        if len(found) == 3:
            return ".".join(found)
    names = " and ".join(name for name in _VERSION_HEADERS if (path / name).is_file())
    raise TreeError(f"{path}: {names} does not tell the version of mbedTLS", _TREE_HINT)


def _read_if_there(path: Path) -> str:
    return (read_bytes(path) or b"").decode("utf-8", errors="replace")
