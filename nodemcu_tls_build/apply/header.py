"""Make a tree's user_mbedtls.h: the profile's macros, and what the tree itself needs to stay."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nodemcu_tls_build.apply.lexer import strip_comments
from nodemcu_tls_build.apply.tree import BANNER, Tree
from nodemcu_tls_build.profile import Macro, Profile, Section, list_macros
from nodemcu_tls_build.render import render_template

# Between these in a header of ours stands what the tree's own header had.
_KEPT_BEGIN = "/* ---- Kept from this tree's own header ---- */"
_KEPT_END = "/* ---- Kept until here ---- */"

# The platform is the tree's: its allocator, its entropy, its clock or lack of one, its sockets.
_PLATFORM = re.compile(
    r"MBEDTLS_(?:PLATFORM_\w+|HAVE_ASM|HAVE_SSE2|HAVE_TIME|HAVE_TIME_DATE|NET_C|FS_IO|MEMORY_\w+"
    r"|(?:ENTROPY|TIMING|THREADING|DEPRECATED)_\w+|NO_PLATFORM_ENTROPY"
    r"|NO_DEFAULT_ENTROPY_SOURCES|TEST_NULL_ENTROPY|CTR_DRBG_RESEED_INTERVAL|\w+_ALT)"
)
# What NodeMCU's platform is where the tree's header does not say: defined, or not.
_NODEMCU_PLATFORM = {
    "MBEDTLS_PLATFORM_C": True,
    "MBEDTLS_PLATFORM_MEMORY": True,
    "MBEDTLS_ENTROPY_C": True,
    "MBEDTLS_ENTROPY_HARDWARE_ALT": True,
    "MBEDTLS_ENTROPY_FORCE_SHA256": True,
    "MBEDTLS_NO_PLATFORM_ENTROPY": True,
    "MBEDTLS_NET_C": True,
    "MBEDTLS_HAVE_ASM": False,
    "MBEDTLS_HAVE_TIME": False,
    "MBEDTLS_HAVE_TIME_DATE": False,
    "MBEDTLS_FS_IO": False,
    "MBEDTLS_TIMING_C": False,
}
_GLUE = {
    "MBEDTLS_CTR_DRBG_C": "the tree's connections take random numbers from it",
    "MBEDTLS_PEM_PARSE_C": "scripts give certificates and keys as PEM",
    "MBEDTLS_BASE64_C": "PEM is made of it",
    "MBEDTLS_X509_CRT_PARSE_C": "the tree's connections parse certificates",
    "MBEDTLS_PK_PARSE_C": "the tree's connections parse keys",
}
_NOT_FOR_TREES = ("MBEDTLS_X509_REMOVE_INFO",)  # its connections print what is wrong
_NOT_OPTIONS = re.compile(r"MBEDTLS_(?:CONFIG_H|CONFIG_VERSION|\w*_FILE)")
# An option that is off, or on without a value: a value that is there has to be there.
_MEMBER = re.compile(
    r"^[ \t]*(?://[ \t]*#[ \t]*define[ \t]+(MBEDTLS_\w+)|#[ \t]*define[ \t]+(MBEDTLS_\w+)[ \t]*$)",
    re.MULTILINE,
)
_DEFINE = re.compile(r"#\s*(define|undef)\s+(\w+)")


def render_tree_header(profile: Profile, tree: Tree, own_header: str) -> str:
    """Return user_mbedtls.h for the tree; `own_header` is NodeMCU's, or an earlier one of ours.

    mbedTLS's configuration comes first in a tree, with much turned on: whatever the profile does
    not name is turned off here.
    """
    is_old = tree.version.startswith("2.")
    kept = keep_platform(own_header)
    named = {match[2] for line in kept if (match := _DEFINE.match(line))}
    sections = [*_platform_sections(named), *_profile_sections(profile)]
    named |= {macro.name for section in sections for macro in section.macros}
    return render_template(
        "tree_user_mbedtls.h.j2",
        banner=BANNER,
        profile=profile,
        digest=profile.digest(),
        tree_version=tree.version,
        config_header="config.h" if is_old else "build_info.h",
        config_guard="MBEDTLS_CONFIG_H" if is_old else "MBEDTLS_BUILD_INFO_H",
        kept_begin=_KEPT_BEGIN,
        kept_end=_KEPT_END,
        kept=kept,
        includes_config=any("user_config.h" in line for line in kept),
        sections=sections,
        absent=[
            name for name, is_on in _NODEMCU_PLATFORM.items() if not is_on and name not in named
        ],
        off=sorted(_find_options(tree.config) - named),
        checks_itself=not is_old,
    )


def keep_platform(own_header: str) -> list[str]:
    """Return the lines of a tree's header that are about its platform, without comments.

    Conditions around them are kept, too.
    """
    if BANNER in own_header and _KEPT_BEGIN in own_header:
        own_header = own_header.partition(_KEPT_BEGIN)[2].partition(_KEPT_END)[0]
    kept: list[str] = []
    starts: list[tuple[int, int]] = []  # of the open conditions: index, lines kept before
    count = 0
    for line in _code_lines(own_header):
        directive = re.match(r"#\s*(\w+)", line)
        word = directive[1] if directive else ""
        if word in {"if", "ifdef", "ifndef"}:
            starts.append((len(kept), count))
            kept.append(line)
        elif word in {"else", "elif"}:
            kept.append(line)
        elif word == "endif" and starts:
            index, before = starts.pop()
            kept.append(line)
            if count == before:
                del kept[index:]
        elif _is_platform(line):
            kept.append(line)
            count += 1
    return kept


def _code_lines(text: str) -> Iterator[str]:
    for line in strip_comments(text.replace("\r\n", "\n")).split("\n"):
        if line.strip():
            yield line.strip()


def _is_platform(line: str) -> bool:
    match = _DEFINE.match(line)
    if match is None:
        return not re.match(r"#\s*pragma\s+once|#\s*include\s+\"mbedtls/", line)
    return not match[2].startswith("MBEDTLS_") or bool(_PLATFORM.fullmatch(match[2]))


def _platform_sections(named: set[str]) -> Iterator[Section]:
    missing = [name for name, is_on in _NODEMCU_PLATFORM.items() if is_on and name not in named]
    macros = [Macro(name, "NodeMCU's platform has it") for name in missing]
    macros += [Macro(name, reason) for name, reason in _GLUE.items()]
    macros.append(Macro("MBEDTLS_SSL_MAX_CONTENT_LEN", "user_config.h has it", "SSL_BUFFER_SIZE"))
    yield Section("NodeMCU", tuple(macros))


def _profile_sections(profile: Profile) -> Iterator[Section]:
    for section in list_macros(profile):
        macros = tuple(macro for macro in section.macros if _is_for_trees(macro.name))
        if macros:
            yield Section(section.title, macros)


def _is_for_trees(name: str) -> bool:
    return (
        name.startswith("MBEDTLS_")
        and not _PLATFORM.fullmatch(name)
        and name not in _GLUE
        and name not in _NOT_FOR_TREES
    )


def _find_options(config: str) -> set[str]:
    """Return every option that mbedTLS's configuration names, on or off, but for the platform."""
    names = {match[1] or match[2] for match in _MEMBER.finditer(config.replace("\r\n", "\n"))}
    return {
        name for name in names if not _PLATFORM.fullmatch(name) and not _NOT_OPTIONS.fullmatch(name)
    }
