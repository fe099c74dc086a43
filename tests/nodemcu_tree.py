"""A small NodeMCU firmware tree: of each file the lines that an apply looks at."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from click.testing import CliRunner, Result

from nodemcu_tls_build.cli import cli

CONFIG, MODULES, MBEDTLS = (
    f"app/include/user_{name}.h" for name in ("config", "modules", "mbedtls")
)
CA_HEADER = "app/modules/server-ca.crt.h"

VERSION_HEADER = """\
#define MBEDTLS_VERSION_MAJOR  {0}
#define MBEDTLS_VERSION_MINOR  {1}
#define MBEDTLS_VERSION_PATCH  {2}
"""

MAKEFILE = """\
.PHONY: all pre_build
all: pre_build
\t@echo built with: $(DEFINES)
ifneq ($(wildcard server-ca.crt),)
pre_build: app/modules/server-ca.crt.h
app/modules/server-ca.crt.h: server-ca.crt
\tpython2-is-needed server-ca.crt > app/modules/server-ca.crt.h
DEFINES += HAVE_SSL_SERVER_CRT
else
pre_build:
\t@-rm -f app/modules/server-ca.crt.h
endif
"""

# As older firmware has it: the script runs in every build.
OLD_MAKEFILE = """\
TOP_DIR = .
all: pre_build
ifneq ($(wildcard $(TOP_DIR)/server-ca.crt),)
pre_build:
\t@python2-is-needed $(TOP_DIR)/server-ca.crt \\
\t\t> $(TOP_DIR)/app/modules/server-ca.crt.h
else
pre_build:
\t@-rm -f $(TOP_DIR)/app/modules/server-ca.crt.h
endif
"""

USER_CONFIG = """\
#ifndef __USER_CONFIG_H__
#define __USER_CONFIG_H__

#define FLASH_4M
#define BIT_RATE_DEFAULT BIT_RATE_115200

/* An old way to do it:
#define CLIENT_SSL_ENABLE
#define SSL_BUFFER_SIZE 1
*/
//#define CLIENT_SSL_ENABLE
//#define MD2_ENABLE
#define SHA2_ENABLE
#define SSL_BUFFER_SIZE 5120  // for HTTPS

#define LUA_TASK_PRIO USER_TASK_PRIO_0
#endif /* __USER_CONFIG_H__ */
"""

USER_MODULES = """\
#ifndef __USER_MODULES_H__
#define __USER_MODULES_H__
#ifndef LUA_CROSS_COMPILER
//#define LUA_USE_MODULES_ADC
#define LUA_USE_MODULES_FILE
#define LUA_USE_MODULES_GPIO
//#define LUA_USE_MODULES_MQTT
#define LUA_USE_MODULES_NET
#define LUA_USE_MODULES_NODE
//#define LUA_USE_MODULES_TLS
#define LUA_USE_MODULES_TMR
#endif  /* LUA_CROSS_COMPILER */
#endif  /* __USER_MODULES_H__ */
"""

USER_MBEDTLS = """\
#include <stdint.h>
#include <stddef.h>

#include "user_config.h"

#undef MBEDTLS_HAVE_ASM
#undef MBEDTLS_HAVE_TIME // no clock
#undef MBEDTLS_HAVE_TIME_DATE
#define MBEDTLS_PLATFORM_MEMORY
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_DEPRECATED_REMOVED
#define MBEDTLS_ENTROPY_HARDWARE_ALT
#define MBEDTLS_NO_PLATFORM_ENTROPY
#define MBEDTLS_ENTROPY_FORCE_SHA256
#undef MBEDTLS_FS_IO
#undef MBEDTLS_TIMING_C
#define MBEDTLS_NET_C
#define MBEDTLS_KEY_EXCHANGE_RSA_ENABLED
#define MBEDTLS_DES_C
#ifdef DEVELOP_VERSION
#define MBEDTLS_DEBUG_C
#endif
extern void *mbedtls_calloc_wrap(size_t n, size_t sz);
#define MBEDTLS_PLATFORM_STD_CALLOC mbedtls_calloc_wrap /* the heap */
extern void mbedtls_free_wrap(void *p);
#define MBEDTLS_PLATFORM_STD_FREE mbedtls_free_wrap
#define MBEDTLS_SSL_MAX_CONTENT_LEN SSL_BUFFER_SIZE
"""

LOADER = """\
/* Takes the first record of ESPCONN_CERT_AUTH, and looks in it for text: */
const char *begin = "-----BEGIN";
"""

FILES = {
    "Makefile": MAKEFILE,
    "app/Makefile": 'DEFINES = -DMBEDTLS_USER_CONFIG_FILE=\\"user_mbedtls.h\\"\n',
    "app/include/user_config.h": USER_CONFIG,
    "app/include/user_modules.h": USER_MODULES,
    "app/include/user_mbedtls.h": USER_MBEDTLS,
    "app/modules/tls.c": "#ifdef HAVE_SSL_SERVER_CRT\n#include HAVE_SSL_SERVER_CRT\n#endif\n",
}


def make_tree(path: Path, *, version: str = "2.16.3", headers: Path | None = None) -> Path:
    """Make a tree with this mbedTLS: its real headers when they are given, else its version."""
    for name, text in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    target = path / "app/include/mbedtls"
    if headers is not None:
        shutil.copytree(headers, target)
        return path
    target.mkdir()
    name = "build_info.h" if version.startswith("3.") else "version.h"
    (target / name).write_text(VERSION_HEADER.format(*version.split(".")))
    return path


def read_tree(path: Path) -> dict[str, bytes]:
    """Return every file of the tree by name, those of the backup and of git left out."""
    return {
        found.relative_to(path).as_posix(): found.read_bytes()
        for found in sorted(path.rglob("*"))
        if found.is_file() and not {".nodemcu-tls", ".git"} & set(found.parts)
    }


def run_apply(*args: object, code: int = 0) -> Result:
    """Run the command, which must end with this code."""
    result = CliRunner().invoke(cli, ["apply", *map(str, args)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def list_actions(result: Result) -> dict[str, str]:
    """Return what the command says it did to each file, from its JSON."""
    return {file["path"]: file["action"] for file in json.loads(result.stdout)["files"]}
