"""The fuzz targets: what each is made of, how it is built and run. `make fuzz` runs them all.

A target is `tests/fuzz/NAME.c`; its kept inputs are in `tests/fuzz/corpus/NAME/`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from native_build import MBEDTLS_BASE64, ROOT, compile_native
from native_host import NATIVE, compile_objects, link_program, list_client_sources, prepare

from nodemcu_tls_build.render import render_server_ca

STORE = ("app/tls/tls_store.c", "app/tls/tls_record.c", "tests/native/host_flash.c")
CREDENTIALS = tuple(f"app/tls/tls_{name}.c" for name in ("credentials", "intake", "pem"))
CLIENT = ("host_board.c", "host_flash.c", "fixed_client.c")
FUZZ_DIR = Path(__file__).parent / "fuzz"
CORPUS_DIR = FUZZ_DIR / "corpus"
FLAGS = ("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")
_CLIENT_FLAGS = (
    *FLAGS,
    f"-fsanitize-ignorelist={NATIVE / 'mbedtls.ignore'}",
    f"-fsanitize-ignorelist={FUZZ_DIR / 'arithmetic.ignore'}",
    f"-fsanitize-coverage-ignorelist={FUZZ_DIR / 'arithmetic.ignore'}",
)


@dataclass(frozen=True)
class Target:
    """What a fuzz target is built from, beside its own file.

    `mbedtls` is as `compile_native` takes it; `flags` are for the compiler, includes among them.
    No input is longer than `max_length`; more than some thousand bytes make it slow. A test does
    so many `runs`. `is_client`: it is built with the whole TLS client, as native_host has it.
    """

    name: str
    sources: tuple[str, ...]
    max_length: int
    mbedtls: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    runs: int = 20_000
    is_client: bool = False

    @property
    def corpus_dir(self) -> Path:
        """Return where the kept inputs are."""
        return CORPUS_DIR / self.name


TARGETS = (
    Target("fuzz_boot_image", ("app/boot/boot_image.c",), 512),
    Target("fuzz_credentials", (*CREDENTIALS, *STORE), 2048, ("*.c",)),
    Target("fuzz_pem", ("app/tls/tls_pem.c",), 1024, MBEDTLS_BASE64),
    Target("fuzz_sntp", ("app/net/sntp_packet.c",), 128),
    Target("fuzz_store", STORE, 512),
    Target("fuzz_tls_conn", (), 4096, runs=4_000, is_client=True),
)


def build_target(target: Target, directory: Path) -> Path:
    """Compile a target into a directory and return the program."""
    if target.is_client:
        return _build_client(target, directory)
    return compile_native(
        directory / target.name,
        [f"tests/fuzz/{target.name}.c", *target.sources],
        mbedtls=target.mbedtls,
        flags=[*FLAGS, *target.flags],
    )


def _build_client(target: Target, directory: Path) -> Path:
    native = prepare(directory, *_CLIENT_FLAGS)
    server_ca_path = directory / "server_ca.c"
    server_ca_path.write_text(render_server_ca(None))
    sources = [*list_client_sources(), *(NATIVE / name for name in CLIENT), server_ca_path]
    sources.append(FUZZ_DIR / f"{target.name}.c")
    objects = compile_objects(sources, native.own_flags, directory / f"{target.name}-objects")
    objects += native.compile_upstream()
    flags = (*_CLIENT_FLAGS, "-Wl,--wrap=tls_platform_random")
    return link_program(objects, flags, directory / target.name)


def run_target(
    target: Target, program: Path, *options: str, limit: float
) -> subprocess.CompletedProcess[str]:
    """Run a target from its corpus on; what it finds new goes beside the program, not there."""
    new_dir = program.with_name(f"{program.name}-new")
    new_dir.mkdir(exist_ok=True)
    fixed = [f"-max_len={target.max_length}", f"-artifact_prefix={program}-"]
    fixed += ["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]
    return _run([program, *fixed, *options, new_dir, target.corpus_dir], limit)


def keep_new(target: Target, program: Path) -> None:
    """Add to the corpus those of the new inputs that reach what no other does."""
    new_dir = program.with_name(f"{program.name}-new")
    _run([program, "-merge=1", target.corpus_dir, new_dir], 600).check_returncode()


def _run(command: Sequence[str | Path], limit: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=limit,
    )


def main() -> int:
    """Fuzz every target, or those named, and say what came of it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    names = [target.name for target in TARGETS]
    parser.add_argument("target", nargs="*", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="how long each of them runs")
    parser.add_argument("--keep", action="store_true", help="add what is new to the corpora")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fuzz")
    args = parser.parse_args()
    unknown = set(args.target) - set(names)
    if unknown:
        parser.error(f"no target is named {', '.join(sorted(unknown))}")
    args.out.mkdir(parents=True, exist_ok=True)

    def fuzz(target: Target) -> bool:
        program = build_target(target, args.out)
        result = run_target(
            target, program, f"-max_total_time={args.seconds}", limit=args.seconds + 120
        )
        failed = result.returncode != 0
        lines = result.stdout.splitlines()
        shown = lines if failed else [line for line in lines if line.startswith(("Done", "stat::"))]
        print(f"{target.name}: {'FAILED' if failed else 'ok'}", *shown, sep="\n  ", flush=True)
        if args.keep and not failed:
            keep_new(target, program)
        return not failed

    chosen = [target for target in TARGETS if target.name in args.target or not args.target]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return 0 if all(list(pool.map(fuzz, chosen))) else 1


if __name__ == "__main__":
    sys.exit(main())
