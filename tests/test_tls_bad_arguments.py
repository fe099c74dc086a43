"""Credentials and options that are refused: the error names the argument and says what is wrong."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from lua_steps import PKCS8, TRADITIONAL, make_der, make_key_text, make_text, run_steps
from pki import Identity, make_authority, make_key

NOT_A_PAIR = "the private key is not the certificate's"
NOT_A_KEY = "no private key that this firmware can read"
NOT_A_CERTIFICATE = "no certificate that this firmware can read"

# What is refused, and with what error. `cert` and `key` are a pair; so are `big` and its key.
BAD_ARGUMENTS = {
    "cert, other": f"#2 to '?' ({NOT_A_PAIR})",
    "cert .. other": f"#1 to '?' ({NOT_A_PAIR})",
    "cert, key .. other": f"#2 to '?' ({NOT_A_PAIR})",
    "cert": f"#1 to '?' ({NOT_A_KEY})",
    "key": f"#1 to '?' ({NOT_A_CERTIFICATE})",
    "cert, cert": f"#2 to '?' ({NOT_A_KEY})",
    "cert, encrypted": "#2 to '?' (an encrypted private key: decrypt it first)",
    "cert, old": "#2 to '?' (an encrypted private key: decrypt it first)",
    "cert:sub(1, -30), key": "#1 to '?' (a PEM object without its -----END line)",
    "cert, key:sub(1, 100)": "#2 to '?' (a PEM object without its -----END line)",
    "cert, (key:gsub('.', '!', 60))": "#2 to '?' (no certificate or key in it, PEM or DER)",
    "cert, key:sub(1, 60) .. '!' .. key:sub(62)": "#2 to '?' (a PEM object that is not base64)",
    "cert:sub(1, 60) .. '_' .. cert:sub(62), key": "#1 to '?' (a PEM object that is not base64)",
    # one base64 digit of the DER's outer lengths, and one in the middle of the signed part
    "cert, key:sub(1, 29) .. 'A' .. key:sub(31)": f"#2 to '?' ({NOT_A_KEY})",
    "cert:sub(1, 30) .. 'A' .. cert:sub(32), key": f"#1 to '?' ({NOT_A_CERTIFICATE})",
    "der:sub(1, -2), key": "#1 to '?' (no certificate or key in it, PEM or DER)",
    "der .. ' ', key": "#1 to '?' (no certificate or key in it, PEM or DER)",
    "'', key": "#1 to '?' (no certificate or key in it, PEM or DER)",
    "cert, ''": "#2 to '?' (no certificate or key in it, PEM or DER)",
    "cert, key, 'more'": "#3 to '?' (no certificate or key in it, PEM or DER)",
    "cert, nil": "#2 to '?' (string expected, got nil)",
    "cert, true": "#2 to '?' (string expected, got boolean)",
    "cert, print": "#2 to '?' (string expected, got function)",
    "7": "#1 to '?' (boolean, string, function or nil expected, got number)",
    "{}": "#1 to '?' (boolean, string, function or nil expected, got table)",
    "": "#1 to '?' (boolean, string, function or nil expected, got no value)",
}


def test_what_is_refused_leaves_what_is_stored(firmware: Path, tmp_path: Path) -> None:
    root = make_authority("ecdsa", "Clients' root")
    client = root.issue_client("ecdsa", "client")
    stored = {"cert": make_text(client), "key": make_key_text(client.key)}
    secret = serialization.BestAvailableEncryption(b"secret")
    other = make_key("ecdsa")
    constants = {
        "other": make_key_text(other),
        "encrypted": other.private_bytes(serialization.Encoding.PEM, PKCS8, secret),
        "old": other.private_bytes(serialization.Encoding.PEM, TRADITIONAL, secret),
        "der": make_der(client),
        **stored,
    }
    flash_path = tmp_path / "flash.bin"
    flash = ("--flash", str(flash_path))
    run_steps(firmware, "tls.cert.auth(cert, key)", *flash, **stored)
    before = hashlib.sha256(flash_path.read_bytes()).hexdigest()
    calls = "\n".join(f"print(refuse(tls.cert.auth, {text}))" for text in BAD_ARGUMENTS)
    printed = run_steps(firmware, calls.replace(", )", ")"), *flash, **constants)
    expected = [f"bad argument {error}" for error in BAD_ARGUMENTS.values()]
    assert dict(zip(BAD_ARGUMENTS, printed, strict=True)) == dict(
        zip(BAD_ARGUMENTS, expected, strict=True)
    )
    assert hashlib.sha256(flash_path.read_bytes()).hexdigest() == before
    assert run_steps(firmware, "print(tls.cert.auth(true))", *flash) == ["true"]


def test_more_than_fits(firmware: Path) -> None:
    client = make_authority("rsa", "x" * 60).issue_client("rsa", "y" * 60)
    count = 4064 // (4 + len(make_der(client)))  # so many fit, but not with the key
    script = f"""
        print(refuse(tls.cert.verify, cert:rep({count}), cert))
        print(refuse(tls.cert.verify, cert:rep({count})))
        print(refuse(tls.cert.auth, cert:rep({count}), key))
    """
    printed = run_steps(firmware, script, cert=make_text(client), key=make_key_text(client.key))
    assert printed == [
        "bad argument #2 to '?' (more than one flash sector holds)",
        "no error",
        "bad argument #2 to '?' (more than one flash sector holds)",
    ]


def test_key_on_a_curve_that_is_not_built_in(firmware: Path) -> None:
    key = ec.generate_private_key(ec.SECP521R1())
    identity = Identity(key, make_authority("ecdsa").certificate)
    printed = run_steps(
        firmware,
        "print(refuse(tls.cert.auth, cert, key))",
        cert=make_text(identity),
        key=make_key_text(key),
    )
    assert printed == [f"bad argument #2 to '?' ({NOT_A_KEY})"]


# Each table of options, and what its error says after "bad argument #1 to '?' ".
BAD_OPTIONS = {
    "{ verify = 1 }": "(verify: boolean expected)",
    "{ verify_host = 'no' }": "(verify_host: boolean expected)",
    "{ auth = {} }": "(auth: boolean expected)",
    "{ resume = 0 }": "(resume: boolean expected)",
    "{ server_name = true }": "(server_name: string or false expected)",
    "{ server_name = 7 }": "(server_name: string or false expected)",
    "{ server_name = '' }": "(server_name: a host name has 1 to 253 characters)",
    "{ server_name = ('x'):rep(254) }": "(server_name: a host name has 1 to 253 characters)",
    "{ server_name = 'a\\0b' }": "(server_name: a host name has letters, digits, dots and dashes)",
    "{ server_name = 'a b' }": "(server_name: a host name has letters, digits, dots and dashes)",
    "{ ca = 'rubbish' }": "(ca: no certificate or key in it, PEM or DER)",
    "{ ca = {} }": "(ca: no certificate that this firmware can read)",
    "{ ca = { ca, 'rubbish' } }": "(ca: no certificate or key in it, PEM or DER)",
    "{ ca = { ca, {} } }": "(ca: string expected, got table)",
    "{ ca = true }": "(ca: string expected, got boolean)",
    "{ ca = key }": "(ca: no certificate that this firmware can read)",
    "{ ca = ca, verify = false }": "(ca: verify = false leaves it unused)",
    "{ cert = ca }": "(cert and key: no private key that this firmware can read)",
    "{ cert = ca, key = key }": "(cert and key: the private key is not the certificate's)",
    "{ key = key }": "(key: there is no cert that it belongs to)",
    "{ cert = own .. key, auth = false }": "(cert: auth = false leaves it unused)",
    "{ pin = 'abc' }": "PIN",
    "{ pin = ('0g'):rep(32) }": "PIN",
    "{ pin = ('00'):rep(33) }": "PIN",
    "{ pin = ('A'):rep(44) }": "PIN",
    "{ pin = 'sha256//' }": "PIN",
    "{ pin = { ('00'):rep(32), '' } }": "PIN",
    "{ pin = {} }": "(pin: an empty list would trust any key)",
    "{ pin = { 7 } }": "(pin: string or list of strings expected)",
    "{ pin = true }": "(pin: string or list of strings expected)",
    "{ connect_timeout = 0 }": "(connect_timeout: MS)",
    "{ handshake_timeout = -1 }": "(handshake_timeout: MS)",
    "{ idle_timeout = 86400001 }": "(idle_timeout: MS)",
    "{ idle_timeout = 0 / 0 }": "(idle_timeout: MS)",
    "{ idle_timeout = {} }": "(idle_timeout: MS)",
    "{ idel_timeout = 5 }": "(idel_timeout: no such option)",
    "{ [1] = true }": "(number: no such option)",
    "{ [{}] = true }": "(table: no such option)",
    "'text'": "(table expected, got string)",
    "true": "(table expected, got boolean)",
    "print": "(table expected, got function)",
}
ABBREVIATIONS = {
    "PIN": "(pin: the SHA-256 of a public key expected, in 64 hex digits or 44 of base64)",
    "MS)": "milliseconds expected, from 1 to 86400000)",
}


def test_each_bad_option_is_named(firmware: Path) -> None:
    root = make_authority("ecdsa")
    client = root.issue_client("ecdsa", "client")
    calls = "\n".join(f"print(refuse(tls.createConnection, {text}))" for text in BAD_OPTIONS)
    printed = run_steps(
        firmware,
        calls + "\nprint(refuse(tls.createConnection, 1, 2))",  # net.TCP, secure: old scripts'
        ca=make_text(root),
        own=make_text(client),
        key=make_key_text(client.key),
    )
    expected = [f"bad argument #1 to '?' {text}" for text in BAD_OPTIONS.values()]
    for short, long in ABBREVIATIONS.items():
        expected = [text.replace(short, long) for text in expected]
    assert dict(zip(BAD_OPTIONS, printed, strict=False)) == dict(
        zip(BAD_OPTIONS, expected, strict=True)
    )
    assert printed[-1] == "no error"
