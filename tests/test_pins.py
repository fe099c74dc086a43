"""DTR and RTS: which sequences reset the chip, and into what."""

from __future__ import annotations

import pytest

from nodemcu_tls_build.emulator.pins import Pins, Start

RESET, LOADER, FLASH = Start.RESET, Start.LOADER, Start.FLASH
LATER, SOON = 10.0, 0.2


def play(steps: str, pins: Pins | None = None) -> list[Start]:
    """Set the lines as written, `D1 R0`, and `DR0` for both at once; `W` and `w` wait."""
    pins = pins or Pins()
    lines = {"D": False, "R": False}
    now, seen = 0.0, []
    for step in steps.split():
        if step in "Ww":
            now += LATER if step == "W" else SOON
            start = pins.check(now)
        else:
            lines |= dict.fromkeys(step[:-1], step[-1] == "1")
            start = pins.set_lines(now, dtr=lines["D"], rts=lines["R"])
        if start:
            seen.append(start)
    return seen


@pytest.mark.parametrize(
    ("steps", "starts"),
    [
        pytest.param("D0 R1 D0 W D1 R0 D1 W D0", [RESET, LOADER], id="esptool's classic"),
        pytest.param("D0 R1 D0 W D1 w R0 D1 W D0", [RESET, LOADER], id="classic, over a network"),
        pytest.param("DR0 DR1 D0 R1 W D1 R0 W DR0", [RESET, LOADER], id="tight, DTR first"),
        pytest.param("DR0 DR1 D0 W R0 D1 W DR0", [RESET, LOADER], id="tight, RTS first"),
        pytest.param("D1 R1 D0 W D1 R0 W D0", [RESET, LOADER], id="opened with both, classic"),
        pytest.param("R1 D0 W R0 D0 W", [RESET, FLASH], id="hard reset"),
        pytest.param("R1 W R0 W D1 W", [RESET, FLASH], id="GPIO0 too late"),
        pytest.param("R1 W D1 W R0 W", [RESET, FLASH], id="both for long"),
        pytest.param("D1 R1 W W", [], id="a terminal that asserts both"),
        pytest.param("D1 W R1 W DR0 W", [], id="and goes"),
        pytest.param("R1 W DR0 W", [RESET, FLASH], id="gone in reset"),
        pytest.param("R1 R1 W W", [RESET], id="held"),
        pytest.param("D1 W D0 W D1 W", [], id="DTR alone"),
        pytest.param("R1 R0 R1 W", [RESET], id="no time to rise"),
    ],
)
def test_sequences(steps: str, starts: list[Start]) -> None:
    assert play(steps) == starts


def test_flash_boots_at_the_deadline() -> None:
    pins = Pins()
    assert pins.set_lines(1.0, dtr=False, rts=True) is RESET
    assert pins.deadline is None
    assert pins.set_lines(2.0, dtr=False, rts=False) is None
    assert pins.deadline is not None
    assert pins.check(pins.deadline - 0.001) is None
    assert pins.check(pins.deadline) is FLASH
    assert pins.deadline is None
