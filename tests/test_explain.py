"""What esptool prints when it fails, and the sentence that becomes of it."""

from __future__ import annotations

import pytest

from nodemcu_tls_build.device.explain import explain_failure, explain_lost, explain_wrong_chip
from nodemcu_tls_build.process import TIMED_OUT

PORT = "/dev/ttyUSB0"
FATAL = "ERROR: A fatal error occurred: "
CONNECTED = ["esptool v5.6.0", "Connecting...", "Connected to ESP8266 on /dev/ttyUSB0:"]
TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/usr/lib/python3/esptool/loader.py", line 1, in command',
    "struct.error: unpack requires a buffer of 4 bytes",
]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            [f"{FATAL}Failed to connect to ESP8266: No serial data received.", "For help visit"],
            "the device does not answer "
            "(esptool: Failed to connect to ESP8266: No serial data received)",
        ),
        (
            [f"{FATAL}Failed to connect to ESP8266: Invalid head of packet (0x01): Possible"],
            "its answers are garbled "
            "(esptool: Failed to connect to ESP8266: Invalid head of packet (0x01): Possible)",
        ),
        (
            [*CONNECTED, f"{FATAL}MD5 of file does not match data in flash!"],
            "the flash does not hold what was written to it "
            "(esptool: MD5 of file does not match data in flash!)",
        ),
        (
            [*CONNECTED, f"{FATAL}Write failed, the written flash region is empty."],
            "the flash does not hold what was written to it "
            "(esptool: Write failed, the written flash region is empty)",
        ),
        (
            [*CONNECTED, f"{FATAL}Timed out waiting for packet header."],
            "the device stopped answering (esptool: Timed out waiting for packet header)",
        ),
        (
            [*CONNECTED, f"{FATAL}No serial data received."],
            "the device stopped answering (esptool: No serial data received)",
        ),
        (
            [
                *CONNECTED,
                f"{FATAL}Unable to verify flash chip connection (No more data to read from the "
                "serial port. This can have many causes, for steps visit: https://example.org).",
            ],
            "the device stopped answering (esptool: Unable to verify flash chip connection "
            "(No more data to read from the serial port))",
        ),
        (
            [*CONNECTED, *TRACEBACK[:2], "StopIteration", f"{FATAL}The chip stopped responding."],
            "the device stopped answering (esptool: The chip stopped responding)",
        ),
        (
            [*CONNECTED, f"{FATAL}Corrupt data, expected 0x1000 bytes but received 0xffc bytes"],
            "its answers are garbled "
            "(esptool: Corrupt data, expected 0x1000 bytes but received 0xffc bytes)",
        ),
        (
            [*CONNECTED, "ERROR: A serial exception error occurred: write failed: [Errno 5] I/O"],
            "the port was gone in the middle of it",
        ),
        (
            ["Lost connection, retrying...", "A serial exception error occurred: device reports"],
            "the port was gone in the middle of it",
        ),
        ([*CONNECTED, *TRACEBACK], "its answers make no sense"),
        (["/usr/bin/python: No module named esptool"], "esptool is not installed"),
        (
            [f"{FATAL}'0x10000.bin' will not fit in 524288 bytes of flash."],
            "it does not fit into the device's flash "
            "(esptool: '0x10000.bin' will not fit in 524288 bytes of flash)",
        ),
        ([*CONNECTED, "Something new."], "esptool ended with exit code 2"),
        (
            [*CONNECTED, f"{FATAL}Something new."],
            "esptool ended with exit code 2 (esptool: Something new)",
        ),
        ([], "esptool ended with exit code 2"),
    ],
)
def test_one_sentence(lines: list[str], reason: str) -> None:
    error = explain_failure(PORT, "writing the flash", lines, 2)
    assert error.message == f"writing the flash on {PORT} failed: {reason}"
    assert error.hint
    assert "Traceback" not in error.message + error.hint


def test_busy_port() -> None:
    said = "Could not open /dev/ttyUSB0, the port is busy or doesn't exist."
    why = "(Could not exclusively lock port /dev/ttyUSB0: [Errno 11] Resource temporarily ...)"
    error = explain_failure(PORT, "writing the flash", [FATAL + said, why], 2)
    assert error.message == f"{PORT} is in use by another program"


def test_a_run_without_an_end() -> None:
    error = explain_failure(PORT, "writing the flash", ["Writing at"], TIMED_OUT)
    assert error.message == f"writing the flash on {PORT} failed: it came to no end"


def test_long_words_are_cut() -> None:
    error = explain_failure(PORT, "writing", [FATAL + "x" * 1000], 2)
    assert len(error.message) < 300


def test_a_lost_port() -> None:
    assert explain_lost(PORT, "writing").message == (
        f"writing on {PORT} failed: the port was gone in the middle of it"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            f"{FATAL}This chip is ESP32, not ESP8266. Wrong chip argument?",
            f"the chip on {PORT} is an ESP32, not an ESP8266",
        ),
        (
            "WARNING: This chip doesn't appear to be an ESP8266 (read chip magic value 0x1234).",
            f"the chip on {PORT} is not known to esptool, not an ESP8266",
        ),
    ],
)
def test_another_chip(line: str, message: str) -> None:
    error = explain_wrong_chip(PORT, [*CONNECTED, line])
    assert error
    assert error.message == message
    assert explain_wrong_chip(PORT, CONNECTED) is None
