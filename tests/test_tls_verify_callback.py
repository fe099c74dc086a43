"""`tls.cert.verify` with a callback: what it may give, and what it may do meanwhile."""

from __future__ import annotations

from pathlib import Path

from emulated import Console
from lua_steps import Site, make_der, run_steps

STRANGER = "the certificate is not signed by a trusted CA\t-29\tverify\t-9984"


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
