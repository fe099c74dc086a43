"""`tls.cert.verify` in each of its forms, against servers that it must and must not let in."""

from __future__ import annotations

import hashlib
from pathlib import Path

from emulated import World
from lua_steps import Site, make_text, run_steps
from peers import read_to_end, run_peer
from pki import make_authority

STRANGER = "the certificate is not signed by a trusted CA\t-29\tverify\t-9984"
NO_CA = (
    "no CA certificate is stored or built in: give one to tls.cert.verify, "
    "or build the firmware with server-ca.crt"
)


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


def test_nothing_is_overwritten_that_a_handshake_reads(firmware: Path, one: Site) -> None:
    script = """
        tls.cert.verify(A)
        local socket = tls.createConnection()
        socket:on("connection", function() print("open") end)
        socket:on("reconnection", function(_, reason) print(reason) end)
        socket:connect(silent, "server.test")
        repeat -- until it waits for the server
          wait(10)
          tls.cert.verify(B)
          local written, message = pcall(tls.cert.verify, A)
        until not written
        print(select(2, pcall(tls.cert.verify, A)))
        socket:close()
        print(connect(a))
        tls.cert.verify(A)
        print(connect(a))
    """
    with run_peer(read_to_end) as peer:
        printed = run_steps(
            firmware,
            script,
            a=one.port,
            silent=peer.port,
            A=one.ca,
            B=make_text(make_authority("ecdsa", "Other")),
        )
    busy = "tls.cert.verify: a handshake is reading the stored credentials: try again later"
    assert printed == [busy, STRANGER, "open"]
