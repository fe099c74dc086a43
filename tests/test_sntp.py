"""The sntp module against time servers that are good, wrong, silent or hostile."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest
from emulated import GATEWAY, HOST, run_lua
from time_servers import NOW, UNIX_EPOCH, Answer, Server, run_server, send

QUESTION = bytes([0x23]) + bytes(39)  # version 4, client; then the cookie

PRELUDE = """
local function done(...)
  local seconds, microseconds, server, info = ...
  print("done", seconds, server, info.stratum, info.leap, select("#", ...))
end
local function failed(...) print("failed", ...) end
"""


def sync(firmware: Path, *servers: Server | str, script: str = "") -> list[str]:
    """Run sntp.sync() with these servers; return what is printed, the end of a script too."""
    names = [s if isinstance(s, str) else f"{HOST}:{s.port}" for s in servers]
    argument = f'"{names[0]}"' if len(names) == 1 else f"{{ {', '.join(map(repr, names))} }}"
    text = f"{PRELUDE}{script}\nsntp.sync({argument}, done, failed)"
    result = run_lua(firmware, text, "--clock", "2031-01-01")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    return result.stdout.splitlines()


def test_good_answer_sets_the_clock(firmware: Path) -> None:
    script = """
        print(sntp.sync("%s:%d", function(seconds, microseconds, server, info)
          local now, us, rate = rtctime.get()
          print(server, seconds, now - seconds, us - microseconds < 500000, rate)
          print(microseconds >= 250000, microseconds < 1000000)
          print(info.stratum, info.leap, info.offset_s, info.offset_us)
          print(info.delay_us > 0, info.delay_us < 1000000, os.time() - seconds)
        end, error))
    """
    with run_server(send(Answer(leap=1, stratum=15))) as server:
        result = run_lua(firmware, script % (HOST, server.port), "--clock", "none")
    assert result.stdout.splitlines() == [
        "",
        f"{GATEWAY}\t{NOW}\t0\ttrue\t0",
        "true\ttrue",
        f"15\t1\t{NOW}\tnil",
        "true\ttrue\t0",
    ]
    (question,) = server.questions
    assert question[:40] == QUESTION
    assert len(set(question[40:])) > 1


def test_small_change_is_told_in_microseconds(firmware: Path) -> None:
    script = """
        sntp.sync("%s:%d", function(_, _, _, info)
          print(info.offset_s, math.abs(info.offset_us) < 1e6)
        end)
    """

    def serve(
        listener: socket.socket, question: bytes, client: tuple[str, int], number: int
    ) -> None:
        listener.sendto(Answer(seconds=int(time.time())).make(question), client)

    with run_server(serve) as server:
        result = run_lua(firmware, script % (HOST, server.port))
    assert result.stdout == "nil\ttrue\n"


GOOD = [f"done\t{NOW}\t{GATEWAY}\t2\t0\t4"]


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(), NOW),
        (Answer(version=1), NOW),
        (Answer(version=3, leap=2), NOW),
        (Answer(more=bytes(20)), NOW),
        (Answer(seconds=2_085_978_495), 2_085_978_495),  # the last second of NTP's first era
        (Answer(seconds=2_085_978_496), 2_085_978_496),  # its 32 bits begin again
        (Answer(seconds=4_102_444_800), 4_102_444_800),
    ],
)
def test_answers_that_are_taken(firmware: Path, answer: Answer, seconds: int) -> None:
    with run_server(send(answer)) as server:
        printed = sync(firmware, server)
    assert printed == [f"done\t{seconds}\t{GATEWAY}\t2\t{answer.leap}\t4"]


FORGED = {
    "nothing in it": Answer(length=0),
    "short": Answer(length=47),
    "a wrong cookie": Answer(cookie=b"\1\2\3\4\5\6\7\x08"),
    "no cookie": Answer(cookie=bytes(8)),
    "a wrong cookie in a kiss": Answer(cookie=bytes(8), stratum=0),
    "the question itself": Answer(mode=3),
    "a broadcast": Answer(mode=5),
    "a version to come": Answer(version=5),
    "no version": Answer(version=0),
}


def test_forged_answers_are_passed_over(firmware: Path) -> None:
    """One question for all of them: the good answer at last is the one that counts."""
    with run_server(send(*(replace(a, seconds=1) for a in FORGED.values()), Answer())) as server:
        assert sync(firmware, server) == GOOD
    assert len(server.questions) == 1


@pytest.mark.parametrize("answer", FORGED.values(), ids=FORGED)
def test_forged_answer_is_none(firmware: Path, answer: Answer) -> None:
    """Each alone, so that one that is taken shows; the good one comes to the second question."""

    def serve(
        listener: socket.socket, question: bytes, client: tuple[str, int], number: int
    ) -> None:
        sent = answer if number == 0 else Answer(stratum=3)
        listener.sendto(sent.make(question), client)

    with run_server(serve) as server:
        assert sync(firmware, server) == [f"done\t{NOW}\t{GATEWAY}\t3\t0\t4"]
    first, second = server.questions
    assert first[40:] != second[40:]


UNSET = {
    "stratum": Answer(stratum=16),
    "leap": Answer(leap=3),
    "no time": Answer(transmitted=bytes(8)),
    "before 1970": Answer(transmitted=struct.pack(">II", UNIX_EPOCH - 1, 0)),
}


@pytest.mark.parametrize("answer", UNSET.values(), ids=UNSET)
def test_server_that_does_not_know_the_time(firmware: Path, answer: Answer) -> None:
    script = "tmr.create():alarm(900, tmr.ALARM_SINGLE, function() print(os.time() < 2e9) end)"
    with run_server(send(answer)) as server:
        printed = sync(firmware, server, script=script)
    assert printed == [f"failed\t6\t{HOST}:{server.port}", "true"]
    assert len(server.questions) == 1


@pytest.mark.parametrize(("code", "shown"), [(b"RATE", "RATE"), (b"\0\xff A", "???A")])
def test_kiss_of_death(firmware: Path, code: bytes, shown: str) -> None:
    with run_server(send(Answer(stratum=0, leap=3, reference=code))) as server:
        assert sync(firmware, server) == [f"failed\t5\t{HOST}:{server.port}: {shown}"]
    assert len(server.questions) == 1  # it is not asked again


def test_silence_then_an_answer(firmware: Path) -> None:
    late: list[bytes] = []

    def serve(
        listener: socket.socket, question: bytes, client: tuple[str, int], number: int
    ) -> None:
        if number == 0:
            late.append(Answer(seconds=1).make(question))
        else:  # the answer to the first question comes too late
            listener.sendto(late[0], client)
            listener.sendto(Answer().make(question), client)

    with run_server(serve) as server:
        assert sync(firmware, server) == GOOD
    assert len(server.questions) == 2


def test_no_answer_and_no_such_name(firmware: Path) -> None:
    """Servers are asked in turn; of their failures the one that got furthest is told."""
    with run_server(lambda *_: None) as silent:
        printed = sync(firmware, "nothing.invalid", silent, "nothing.invalid:99")
    assert printed == [f"failed\t4\t{HOST}:{silent.port}"]
    assert len(silent.questions) == 3
    assert len({question[40:] for question in silent.questions}) == 3
    assert sync(firmware, "nothing.invalid") == ["failed\t1\tnothing.invalid"]


def test_next_server_is_asked(firmware: Path) -> None:
    with (
        run_server(send(Answer(stratum=0))) as busy,
        run_server(send(Answer())) as good,
        run_server(send(Answer())) as never_asked,
    ):
        printed = sync(firmware, "nothing.invalid", busy, good, never_asked)
    assert printed == GOOD
    assert [len(s.questions) for s in (busy, good, never_asked)] == [1, 1, 0]


def test_answer_from_another_port(firmware: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))

        def serve(
            listener: socket.socket, question: bytes, client: tuple[str, int], number: int
        ) -> None:
            other.sendto(Answer(seconds=1).make(question), client)
            if number > 0:
                listener.sendto(Answer().make(question), client)

        with run_server(serve) as server:
            assert sync(firmware, server) == GOOD
        assert len(server.questions) == 2


def test_end_while_a_question_is_out(firmware: Path) -> None:
    script = f"{PRELUDE} sntp.sync('{HOST}:%d', done, failed) %s"
    with run_server(lambda *_: None) as server:
        for end, code in (("os.exit(7)", 7), ("error('no good')", 1)):
            assert run_lua(firmware, script % (server.port, end)).returncode == code


def test_restart_while_a_question_is_out(firmware: Path) -> None:
    script = f"""
        {PRELUDE}
        sntp.sync("{HOST}:%d", done, failed)
        if os.time() < 3e9 then
          rtctime.set(4e9)
          node.restart()
        end
    """
    with run_server(send(Answer())) as server:
        result = run_lua(firmware, script % server.port)
    assert result.stdout.splitlines() == GOOD


def test_one_at_a_time_and_again_from_the_callback(firmware: Path) -> None:
    script = f"""
        {PRELUDE}
        local servers, turns = {{ "{HOST}:%d" }}, 0
        local function again(...)
          turns = turns + 1
          if turns < 3 then sntp.sync(servers, again, error) else done(...) end
        end
        sntp.sync(servers, again, error)
        servers[1] = {{}} -- the list was copied
        print(pcall(sntp.sync))
        servers = {{ "{HOST}:%d" }}
        collectgarbage() collectgarbage()
    """
    with run_server(send(Answer())) as server:
        result = run_lua(firmware, script % (server.port, server.port))
    assert result.stdout.splitlines() == ["false\tanother sntp.sync() is under way", *GOOD]


def test_without_callbacks(firmware: Path) -> None:
    script = f"sntp.sync('{HOST}:%d') tmr.create():alarm(1500, 0, function() print(os.time()) end)"
    with run_server(send(Answer())) as server:
        result = run_lua(firmware, script % server.port)
        assert result.stdout.startswith("20000000")
    with run_server(send(Answer(stratum=0))) as server:
        result = run_lua(firmware, f"sntp.sync('{HOST}:{server.port}')")
        assert (result.returncode, result.stdout) == (0, "")


def test_heap_comes_back(firmware: Path) -> None:
    script = f"""
        local names = {{ "{HOST}:%d", "nothing.invalid", "{HOST}:%d" }}
        local _, turns, before = rtctime.get(), 0
        local function turn()
          collectgarbage() collectgarbage()
          turns = turns + 1
          if turns == 7 then before = node.heap() end
          if turns > 60 then return print(before - node.heap()) end
          sntp.sync(names[turns %% 3 + 1], turn, turn)
        end
        turn()
    """
    with run_server(send(Answer())) as good, run_server(send(Answer(stratum=0))) as busy:
        result = run_lua(firmware, script % (good.port, busy.port))
    assert int(result.stdout) < 200


def test_wrong_arguments_are_named(firmware: Path) -> None:
    script = """
        local function try(...) print((select(2, pcall(sntp.sync, ...)))) end
        try("") try(("x"):rep(254)) try("a\\0b") try("a:") try("a:0") try("a:65536") try(":1")
        try("a:+1") try("a:1 ") try("a:1:2") try("a:000001") try({ "a", "" })
        try(1) try({ "a", 1 }) try({}) try(true)
        try("a", 1) try("a", nil, {}) try("a", nil, nil, 1)
    """
    form = "a server is HOST or HOST:PORT, the host of 1 to 253 characters"
    result = run_lua(firmware, script)
    assert result.stdout.splitlines() == [
        *([f"bad argument #1 to '?' ({form})"] * 12),
        *(["bad argument #1 to '?' (a server is a string)"] * 2),
        "bad argument #1 to '?' (the list of servers is empty)",
        "bad argument #1 to '?' (a server is a string)",
        "bad argument #2 to '?' (function expected, got number)",
        "bad argument #3 to '?' (function expected, got table)",
        "bad argument #4 to '?' (it does not repeat: call sntp.sync() from a timer)",
    ]
