"""`tls.cert.verify` in each of its forms, against servers that it must and must not let in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated import Console, World
from lua_steps import Site, make_der, make_text, run_site, run_steps
from pki import make_authority

STRANGER = "the certificate is not signed by a trusted CA\t-29\tverify\t-9984"
NO_CA = (
    "no CA certificate is stored or built in: give one to tls.cert.verify, "
    "or build the firmware with server-ca.crt"
)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_site(make_authority("ecdsa", "One"), tmp_path_factory.mktemp("one")) as site:
        yield site


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_site(make_authority("ecdsa", "Two"), tmp_path_factory.mktemp("two")) as site:
        yield site


def test_off_on_and_what_is_stored(firmware: Path, one: Site, two: Site) -> None:
    script = """
        print(refuse(tls.cert.verify, true))
        print(connect(a))
        print(tls.cert.verify(ca))
        print(connect(a)) print(connect(b))
        print(tls.cert.verify(false))
        print(connect(b))
        print(tls.cert.verify(true))
        print(connect(a)) print(connect(b))
    """
    assert run_steps(firmware, script, a=one.port, b=two.port, ca=one.ca) == [
        NO_CA,
        *("open", "true"),
        *("open", STRANGER, "true"),
        *("open", "true"),
        *("open, resumed", STRANGER),
    ]


def test_several_certificates(firmware: Path, one: Site, two: Site) -> None:
    script = """
        local function try(...)
          tls.cert.verify(...)
          print(connect(a, { resume = false })) print(connect(b, { resume = false }))
        end
        try(A) try(A, B) try(B .. A) try(B)
    """
    printed = run_steps(
        firmware, script, a=one.port, b=two.port, A=one.ca, B=two.ca + make_text(two.root)
    )
    assert printed == ["open", STRANGER, *("open", "open") * 2, STRANGER, "open"]


def test_stored_certificates_replace_the_built_in_one(world: World, one: Site) -> None:
    script = """
        print(tls.cert.verify(true))
        print(connect(good)) print(connect(a))
        tls.cert.verify(ca)
        print(connect(good)) print(connect(a))
    """
    printed = run_steps(world.build_dir, script, good=world.good_port, a=one.port, ca=one.ca)
    assert printed == ["true", "open", STRANGER, STRANGER, "open"]


# How the text of one certificate may look.
SHAPES = """
    function(text) return (text:gsub("\\n", " ")) end, -- as in the module's reference
    function(text) return (text:gsub("\\n", "\\r\\n")) end,
    function(text) return (text:gsub("\\n", "\\n    ")) end,
    function(text) return (text:gsub("%s+$", "")) end,
    function(text) return "Issuer: CN = x\\n" .. text .. "-- the end --\\n" end,
    function(text) return "\\239\\187\\191" .. text end, -- a byte order mark
    function(text) return (text:gsub("CERTIFICATE", "X509 CRL") .. text) end, -- others are skipped
    function(text)
      return (text:gsub("(BEGIN CERTIFICATE%-+\\n)(.*)(\\n%-+END)", function(from, base64, to)
        return from .. base64:gsub("\\n", "") .. to
      end))
    end,
"""


def test_shapes_of_the_text(firmware: Path, one: Site, two: Site) -> None:
    script = """
        for _, shape in ipairs {%s} do
          tls.cert.verify(other)
          tls.cert.verify(shape(ca))
          print(connect(a, { resume = false }))
        end
        print(connect(b))
    """
    constants = {"a": one.port, "b": two.port, "ca": one.ca, "other": two.ca}
    printed = run_steps(firmware, script % SHAPES, **constants)
    assert printed == [*["open"] * 8, STRANGER]


def test_stored_certificates_outlast_a_restart(
    firmware: Path, one: Site, two: Site, tmp_path: Path
) -> None:
    script = """
        if not pcall(tls.cert.verify, true) then
          tls.cert.verify(ca)
          node.restart()
        end
        print(connect(a)) print(connect(b))
    """
    flash = ("--flash", str(tmp_path / "flash.bin"))
    constants = {"a": one.port, "b": two.port}
    assert run_steps(firmware, script, *flash, ca=one.ca, **constants) == ["open", STRANGER]
    script = "print(connect(b)) tls.cert.verify(true) print(connect(b)) print(connect(a))"
    assert run_steps(firmware, script, *flash, **constants) == ["open", STRANGER, "open"]


def test_storing_the_same_again_writes_nothing(firmware: Path, one: Site, tmp_path: Path) -> None:
    flash_path = tmp_path / "flash.bin"

    def store(*calls: str) -> str:
        script = "\n".join(calls)
        run_steps(firmware, script, "--flash", str(flash_path), ca=one.ca)
        return hashlib.sha256(flash_path.read_bytes()).hexdigest()

    first = store("tls.cert.verify(ca)")
    assert store("tls.cert.verify(ca) tls.cert.verify((ca:gsub('\\n', ' ')))") == first
    assert store("tls.cert.verify(ca, ca)") != first


def test_callback_gives_pem_or_der_or_both(firmware: Path, one: Site, two: Site) -> None:
    script = """
        local asked, list = {}, nil
        local function try(...)
          list, asked = { ... }, {}
          print(connect(a, { resume = false })) print(connect(b, { resume = false }))
          print(table.concat(asked, " "))
        end
        tls.cert.verify(A)
        print(tls.cert.verify(function(k) asked[#asked + 1] = k return list[k] end))
        try(B) try(derA) try(derA, B) try(A .. B) try()
        print(tls.cert.verify(nil)) -- what was set before applies again
        try()
    """
    printed = run_steps(
        firmware,
        script,
        a=one.port,
        b=two.port,
        A=one.ca,
        B=two.ca,
        derA=make_der(one.root),
    )
    assert printed == [
        "true",
        *(STRANGER, "open", "1 2 1 2"),
        *("open", STRANGER, "1 2 1 2"),
        *("open", "open", "1 2 3 1 2 3"),
        *("open", "open", "1 2 1 2"),
        *("open", "open", "1 1"),
        "true",
        *("open", STRANGER, ""),
    ]


def test_other_forms_take_the_callback_out(firmware: Path, one: Site, two: Site) -> None:
    script = """
        local function nobody() end
        tls.cert.verify(nobody) tls.cert.verify(ca) print(connect(b))
        tls.cert.verify(nobody) print(connect(b)) tls.cert.verify(true) print(connect(b))
        tls.cert.verify(function() error("not asked") end) tls.cert.verify(false) print(connect(b))
        tls.cert.verify(nil) print(connect(b))
    """
    printed = run_steps(firmware, script, b=two.port, ca=one.ca)
    assert printed == [STRANGER, "open", STRANGER, *["open, resumed"] * 2]


# What the callback does, and what becomes of connections to the known and to the strange server.
MEDDLERS = {
    "function() tls.cert.verify(ca) end": ("open", STRANGER),
    "function() tls.cert.verify(nil) return ca end": ("open", STRANGER),
    "function() tls.cert.verify(false) return ca end": ("open", STRANGER),
    "function() tls.cert.verify(false) end": ("open", "open"),
    "function(k) if k == 1 then return ca end error_in_the_second() end": None,
    "function() return 7 end": None,
    "function() return {} end": None,
    "function() return true end": None,
    "function() error({}) end": None,
}


def test_callback_that_changes_the_setting(firmware: Path, one: Site, two: Site) -> None:
    meddlers = [text for text, expected in MEDDLERS.items() if expected]
    script = """
        for _, meddle in ipairs { %s } do
          tls.cert.verify(meddle) print(connect(a, { resume = false }))
          tls.cert.verify(meddle) print(connect(b, { resume = false }))
        end
    """
    printed = run_steps(firmware, script % ", ".join(meddlers), a=one.port, b=two.port, ca=one.ca)
    assert printed == [line for expected in MEDDLERS.values() for line in expected or ()]


def test_callback_that_fails_lets_nobody_in(firmware: Path, one: Site) -> None:
    with Console(firmware) as console:
        for line in one.ca.splitlines():
            console.wait_for("> ")
            console.type(f"ca = (ca or '') .. '{line}\\n'\n")
        for text, expected in MEDDLERS.items():
            if expected is None:
                console.wait_for("> ")
                console.type(f"tls.cert.verify({text})\n")
                console.wait_for("> ")
                console.type("s = tls.createConnection()\n")
                console.type("s:on('connection', function() print('let in') end)\n")
                console.type("s:on('reconnection', function(s, ...) print(...) end)\n")
                console.type(f"s:connect({one.port}, 'server.test')\n")
                shown = console.wait_for("the credentials callback failed\t-37\thandshake\tnil\n")
                assert "let in\n" not in shown
                console.type("\n")
        assert console.end() == 0


def test_callback_that_closes_or_reopens_its_socket(firmware: Path, one: Site) -> None:
    script = """
        local function open(name)
          local socket = tls.createConnection()
          socket:on("connection", function(s) print(name, "open") s:close() resume() end)
          for _, event in ipairs { "reconnection", "disconnection" } do
            socket:on(event, function(_, ...) print(name, ...) end)
          end
          socket:connect(a, "10.0.2.2")
          return socket
        end
        local again, asked = nil, 0
        tls.cert.verify(function(k)
          asked = asked + 1
          if asked == 1 then
            again:close() again:connect(a, "10.0.2.2") -- and is asked anew for that
          end
          return k == 1 and ca or nil
        end)
        again = open("again")
        coroutine.yield()
        print(asked)

        -- Closed with its neighbour, whose memory is used for something else at once.
        local closed, neighbour = open("closed"), open("neighbour")
        tls.cert.verify(function(k)
          if closed then closed:close() neighbour:close() end
          closed, neighbour = nil, nil
          collectgarbage() collectgarbage()
          local filled = {}
          for number = 1, 40 do filled[number] = ("%c"):format(32 + number):rep(300) end
          filled = nil
          collectgarbage()
          return k == 1 and ca or nil
        end)
        open("third")
        coroutine.yield()
    """
    printed = run_steps(firmware, script, a=one.port, ca=one.ca)
    assert printed == ["again\topen", "3", "third\topen"]


def test_callback_cannot_leave_a_socket_unverified_that_insists(firmware: Path, one: Site) -> None:
    script = """
        tls.cert.verify(function() end)
        print(connect(a))
        print(connect(a, { verify = true }))
    """
    assert run_steps(firmware, script, a=one.port) == [
        "open",
        "verification is on but there is no CA certificate\t-27\tverify\tnil",
    ]
