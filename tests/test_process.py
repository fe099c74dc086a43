from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nodemcu_tls_build import process
from nodemcu_tls_build.errors import OutputError, ToolFailed, ToolNotFound
from nodemcu_tls_build.process import describe_exit, run_capture, run_live

# Runs a child in run_live and tells how that ended. SIGINT is set up by hand, because a test run
# in the background starts with it ignored.
_PARENT = """
import signal, sys
from nodemcu_tls_build import process
signal.signal(signal.SIGINT, signal.default_int_handler)
process._ASK_AFTER, process._KILL_AFTER = float(sys.argv[1]), float(sys.argv[2])
try:
    process.run_live(sys.argv[3:], on_line=lambda line: print(line, flush=True))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""

_POLITE_CHILD = """
import os, signal, sys, time
def stop(*_):
    sys.stdout.write("x" * 1_000_000)  # more than a pipe holds
    sys.stdout.flush()
    open(sys.argv[1], "w").close()
    os._exit(0)
signal.signal(signal.SIGINT, stop)
print(os.getpid(), flush=True)
time.sleep(60)
"""

_STUBBORN_CHILD = """
import os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_capture_returns_standard_output_alone() -> None:
    assert run_capture(["sh", "-c", "echo out; echo err >&2"]) == "out\n"


def test_capture_takes_input_directory_and_environment(tmp_path: Path) -> None:
    assert run_capture(["cat"], input="ä\n") == "ä\n"
    assert run_capture(["cat"]) == ""  # never the terminal's input
    assert run_capture(["pwd"], cwd=tmp_path) == f"{tmp_path}\n"
    assert run_capture(["/bin/sh", "-c", "echo $A"], env={"A": "b"}) == "b\n"


def test_capture_of_bytes_that_are_not_utf8() -> None:
    assert run_capture(["printf", r"a\377b"]) == "a\ufffdb"


def test_a_failure_carries_everything() -> None:
    with pytest.raises(ToolFailed) as caught:
        run_capture(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert caught.value.message == "sh ended with exit code 3"
    assert caught.value.command[0] == "sh"
    assert caught.value.output == "out\nerr\n"
    assert caught.value.exit_code == 3


def test_a_death_by_signal_is_named() -> None:
    with pytest.raises(ToolFailed, match="sh was ended by SIGSEGV") as caught:
        run_capture(["sh", "-c", "kill -SEGV $$"])
    assert caught.value.exit_code == 128 + signal.SIGSEGV
    assert describe_exit(0) == "ended with exit code 0"
    assert describe_exit(255) == "ended with exit code 255"


@pytest.mark.parametrize("run", ["capture", "live"])
def test_what_cannot_be_started(run: str, tmp_path: Path) -> None:
    def start(*args: str | Path, cwd: Path | None = None) -> None:
        if run == "capture":
            run_capture(args, cwd=cwd)
        else:
            run_live(args, on_line=print, cwd=cwd)

    with pytest.raises(ToolNotFound, match="no-such-tool was not found"):
        start("no-such-tool")
    (tmp_path / "text").write_text("not a program")
    with pytest.raises(ToolNotFound, match="cannot be started: Permission denied"):
        start(tmp_path / "text")
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(ToolNotFound, match="cannot be started: Exec format error"):
        start(tmp_path / "text")
    with pytest.raises(OutputError, match="no such directory"):
        start("true", cwd=tmp_path / "none")


def test_live_merges_both_streams_line_by_line() -> None:
    lines: list[str] = []
    code = run_live(["sh", "-c", "echo 1; echo 2 >&2; printf 3; exit 4"], on_line=lines.append)
    assert (code, lines) == (4, ["1", "2", "3"])


def test_live_passes_a_line_on_before_the_program_ends(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def answer(line: str) -> None:
        if line == "ready":
            fifo.write_text("go\n")  # the program waits for this

    assert run_live(["sh", "-c", f"echo ready; read answer < {fifo}"], on_line=answer) == 0


def test_live_copes_with_signals_and_odd_bytes() -> None:
    lines: list[str] = []
    assert run_live(["sh", "-c", r"printf '\377\n'; kill -KILL $$"], on_line=lines.append) == 137
    assert lines == ["\ufffd"]


def test_live_ends_the_child_when_a_line_cannot_be_handled() -> None:
    pids: list[int] = []

    def fail(line: str) -> None:
        pids.append(int(line))
        raise ValueError(line)

    with pytest.raises(ValueError, match=r"\d+"):
        run_live(
            [
                sys.executable,
                "-c",
                "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)",
            ],
            on_line=fail,
        )
    assert not _is_alive(pids[0])


_SLEEPER = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)"


def test_live_ends_a_child_whose_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_ASK_AFTER", 0.1)
    monkeypatch.setattr(process, "_KILL_AFTER", 0.1)
    lines: list[str] = []
    for program in (_SLEEPER, _STUBBORN_CHILD):
        command = [sys.executable, "-c", program]
        assert run_live(command, on_line=lines.append, timeout=1) == process.TIMED_OUT
        assert not _is_alive(int(lines[0]))
        lines.clear()
    assert run_live(["sh", "-c", "exit 3"], on_line=lines.append, timeout=60) == 3


def test_live_ends_a_child_that_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line starts the time anew, and what it says may change how long that is."""
    monkeypatch.setattr(process, "_ASK_AFTER", 0.1)
    monkeypatch.setattr(process, "_KILL_AFTER", 0.1)
    lines: list[str] = []
    ticking = "for n in 1 2 3 4 5 6; do echo $n; sleep 0.4; done; echo $$; exec sleep 600"

    def count_silence() -> float:
        return 0.5 if len(lines) > 6 else 2.0

    code = run_live(
        ["sh", "-c", ticking], on_line=lines.append, timeout=600, count_silence=count_silence
    )
    assert code == process.FELL_SILENT
    assert len(lines) == 7
    assert not _is_alive(int(lines[6]))
    assert run_live(["true"], on_line=lines.append, count_silence=count_silence) == 0


def test_a_stopper_ends_what_other_threads_run() -> None:
    stopper = process.Stopper()
    pids: list[int] = []
    running = threading.Semaphore(0)
    codes: list[int] = []

    def note(line: str) -> None:
        pids.append(int(line))
        running.release()

    def run() -> None:
        command = [sys.executable, "-c", _SLEEPER]
        codes.append(run_live(command, on_line=note, stoppers=[stopper]))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert all(running.acquire(timeout=50) for _ in threads)
    stopper.stop()
    for thread in threads:
        thread.join()
    assert codes == [128 + signal.SIGTERM] * 2
    assert not any(map(_is_alive, pids))
    run()  # too late: it is ended as soon as it was started
    assert codes[2] == 128 + signal.SIGTERM


@pytest.mark.parametrize("whole_group", [True, False], ids=["terminal", "kill"])
def test_an_interrupted_child_finishes_by_itself(tmp_path: Path, whole_group: bool) -> None:
    done = tmp_path / "done"
    wait = "60" if whole_group else "0.1"  # alone, the child has to be sent the signal
    parent, pid = _start(wait, "60", _POLITE_CHILD, str(done))
    if whole_group:
        os.killpg(parent.pid, signal.SIGINT)
    else:
        parent.send_signal(signal.SIGINT)
    output, _ = parent.communicate()
    assert output.endswith("interrupted\n")
    assert done.exists()
    assert not _is_alive(pid)


def test_a_child_that_ignores_the_interrupt_is_killed() -> None:
    parent, pid = _start("0.1", "0.1", _STUBBORN_CHILD)
    os.killpg(parent.pid, signal.SIGINT)
    output, _ = parent.communicate()
    assert output.endswith("interrupted\n")
    assert not _is_alive(pid)


def _start(ask_after: str, kill_after: str, *child: str) -> tuple[subprocess.Popen[str], int]:
    """Start the parent in a group of its own; return it and its child's id."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, ask_after, kill_after, sys.executable, "-c", *child],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
