"""Plan what an apply changes in a tree."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nodemcu_tls_build.apply.area import make_area
from nodemcu_tls_build.apply.backup import Backup, describe_change, load_backup
from nodemcu_tls_build.apply.defines import clear_define, mentions, set_define
from nodemcu_tls_build.apply.fit import fit_profile
from nodemcu_tls_build.apply.header import render_tree_header
from nodemcu_tls_build.apply.tree import (
    BANNER,
    CA_FILE,
    CA_HEADER,
    FILES,
    USER_CONFIG,
    USER_MBEDTLS,
    USER_MODULES,
    Tree,
    open_tree,
    read_bytes,
)
from nodemcu_tls_build.apply.write import Change, check_writable
from nodemcu_tls_build.certs import CaBundle, check_ca_fits, load_ca_file
from nodemcu_tls_build.errors import TreeError
from nodemcu_tls_build.profile import Profile
from nodemcu_tls_build.render import render_ca_area

_FRAGMENT = "SSL_MAX_FRAGMENT_LENGTH_CODE"
WHOLE = (USER_MBEDTLS, CA_HEADER, CA_FILE)  # replaced, not edited in place


@dataclass(frozen=True)
class Plan:
    """What an apply does to a tree: its changes, and files that only become newer.

    `without_effect` are settings that the tree has no code for; `edited` names files with edits of
    the user's that the apply replaces. `change` tells of a tree that has become another one since
    the last apply: its own files are to be remembered anew.
    """

    tree: Tree
    profile: Profile
    without_effect: tuple[str, ...]
    bundle: CaBundle | None
    changes: tuple[Change, ...]
    touched: tuple[str, ...]
    edited: tuple[str, ...]
    change: str | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether the tree has all of it already."""
        return not self.touched and all(change.old == change.new for change in self.changes)


def make_plan(
    path: Path,
    *,
    profile: str,
    settings: Sequence[str] = (),
    ca_path: Path | None = None,
) -> Plan:
    """Return what is to be done to the tree; nothing is written.

    Without `ca_path` the tree's own server-ca.crt is built in, if there is one. Raises TreeError,
    ConfigError and CertificateError.
    """
    tree = open_tree(path)
    loaded, without_effect = fit_profile(profile, settings, tree)
    old = {name: read_bytes(path / name) for name in FILES}
    bundle = _load_ca(ca_path or (path / CA_FILE if old[CA_FILE] is not None else None), loaded)
    backup = load_backup(path)
    new = dict(old)
    new[USER_MBEDTLS] = _make_header(loaded, tree, old[USER_MBEDTLS] or b"", backup)
    new[USER_CONFIG] = _edit_config(_decode(path, USER_CONFIG, old), loaded, tree)
    new[USER_MODULES] = _edit_modules(_decode(path, USER_MODULES, old))
    if bundle:
        new[CA_FILE] = old[CA_FILE] if ca_path is None else read_bytes(ca_path)
        area = make_area(bundle, takes_pem=tree.takes_pem)
        text = render_ca_area(bundle, area)
        new[CA_HEADER] = _end_lines_like(old[CA_HEADER] or b"", text)
    changes = tuple(_make_change(path, name, old[name], new[name]) for name in FILES)
    for change in changes:
        check_writable(change)
    return Plan(
        tree=tree,
        profile=loaded,
        without_effect=without_effect,
        bundle=bundle,
        changes=changes,
        touched=_find_touched(path, old, new),
        edited=_find_edited(backup, old, new),
        change=describe_change(backup, old[USER_MBEDTLS], tree.version),
    )


def _find_edited(
    backup: Backup, old: Mapping[str, bytes | None], new: Mapping[str, bytes | None]
) -> tuple[str, ...]:
    return tuple(
        name
        for name in WHOLE
        if name in backup.entries
        and old[name] != new[name]
        and not backup.entries[name].knows(old[name])
    )


def _load_ca(path: Path | None, profile: Profile) -> CaBundle | None:
    if path is None:
        return None
    bundle = load_ca_file(path, now=datetime.now(UTC))
    check_ca_fits(bundle, profile)
    return bundle


def _make_header(profile: Profile, tree: Tree, current: bytes, backup: Backup) -> bytes:
    own = current
    if BANNER.encode() in current and USER_MBEDTLS in backup.entries:
        own = backup.read_original(USER_MBEDTLS) or current
    text = render_tree_header(profile, tree, own.decode(errors="surrogateescape"))
    return _end_lines_like(own, text)


def _edit_config(text: str, profile: Profile, tree: Tree) -> bytes:
    text = set_define(text, "CLIENT_SSL_ENABLE", after="SHA2_ENABLE")
    size = max(profile.tls.in_buffer, profile.tls.out_buffer)
    text = set_define(text, "SSL_BUFFER_SIZE", str(size), after="CLIENT_SSL_ENABLE")
    if tree.asks_fragment or mentions(text, _FRAGMENT):
        if isinstance(profile.tls.max_fragment, int):
            code = f"MBEDTLS_SSL_MAX_FRAG_LEN_{profile.tls.max_fragment}"
            text = set_define(text, _FRAGMENT, code, after="SSL_BUFFER_SIZE")
        else:
            text = clear_define(text, _FRAGMENT)
    return text.encode("latin-1")


def _edit_modules(text: str) -> bytes:
    for name in ("NET", "TLS"):
        text = set_define(text, f"LUA_USE_MODULES_{name}", after="LUA_USE_MODULES_")
    return text.encode("latin-1")


def _decode(path: Path, name: str, contents: Mapping[str, bytes | None]) -> str:
    """Return the bytes as text, one character each, so that what is not edited stays."""
    data = contents[name] or b""
    if b"\0" in data:
        raise TreeError(f"{path / name} is not text: it has NUL bytes", "Save it as UTF-8.")
    return data.decode("latin-1")


def _end_lines_like(model: bytes, text: str) -> bytes:
    is_dos = model.count(b"\r\n") * 2 > model.count(b"\n")
    return (text.replace("\n", "\r\n") if is_dos else text).encode(errors="surrogateescape")


def _make_change(path: Path, name: str, old: bytes | None, new: bytes | None) -> Change:
    real = (path / name).resolve()
    return Change(name, real, old, new, None if old is None else stat.S_IMODE(real.stat().st_mode))


def _find_touched(
    path: Path, old: Mapping[str, bytes | None], new: Mapping[str, bytes | None]
) -> tuple[str, ...]:
    """Return the files that make has to find newer although their content stays.

    The CA's header, lest make runs Python 2 to make it anew; and user_mbedtls.h when a CA comes,
    because make does not see that tls.c is compiled in another way then.
    """
    touched = []
    had_ca = old[CA_FILE] is not None and old[CA_HEADER] is not None
    if had_ca and old[CA_HEADER] == new[CA_HEADER]:
        header, source = ((path / name).stat().st_mtime_ns for name in (CA_HEADER, CA_FILE))
        touched += [CA_HEADER] if header < source else []
    has_ca = new[CA_FILE] is not None and new[CA_HEADER] is not None
    if had_ca != has_ca and old[USER_MBEDTLS] == new[USER_MBEDTLS]:
        touched.append(USER_MBEDTLS)
    return tuple(touched)
