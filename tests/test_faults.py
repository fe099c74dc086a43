"""The `--fault` options: what they mean, and everything that is wrong with them."""

from __future__ import annotations

import pytest

from nodemcu_tls_build.emulator.faults import FAULT_FORMS, Faults, parse_faults
from nodemcu_tls_build.errors import ConfigError


def test_none_is_no_fault() -> None:
    assert parse_faults([]) == Faults()


def test_every_fault() -> None:
    texts = [
        *("lose=100", "corrupt=0x10", "delay=5", "cut-frame=3", "unplug=5000", "deaf"),
        *("wrong-chip", "stuck-sector=0x1000", "stuck-sector=8192", "stuck-bit=7", "power-cut=0"),
    ]
    assert parse_faults(texts) == Faults(
        lose=100,
        corrupt=16,
        delay=5,
        cut_frame=3,
        unplug=5000,
        deaf=True,
        wrong_chip=True,
        stuck_sector=(0x1000, 0x2000),
        stuck_bit=(7,),
        power_cut=0,
    )
    assert {form.partition("=")[0] for form in FAULT_FORMS} == {
        text.partition("=")[0] for text in texts
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'': no such fault"),
        ("loose=3", "'loose=3': no such fault, did you mean lose?"),
        ("stuck_sector=3", "'stuck_sector=3': no such fault, did you mean stuck-sector?"),
        ("lose", "'lose': needs a value: lose=N"),
        ("lose=", "'lose=': needs a value: lose=N"),
        ("lose=0", "'lose=0': N is at least 1 and at most 0xffffffff"),
        ("stuck-bit=-1", "'stuck-bit=-1': OFFSET is at least 0 and at most 0xffffffff"),
        ("delay=0x100000000", "'delay=0x100000000': MS is at least 1 and at most 0xffffffff"),
        ("power-cut=ten", "'power-cut=ten': 'ten' is not a number"),
        ("deaf=yes", "'deaf=yes': takes no value"),
    ],
)
def test_bad_fault(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_faults([text])
    assert caught.value.problems == (problem,)


def test_every_problem_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_faults(["nothing", "deaf", "deaf", "lose=2", "lose=3", "unplug=x"])
    assert caught.value.message == "the faults cannot be made"
    assert caught.value.problems == (
        "'nothing': no such fault",
        "'deaf': given twice",
        "'lose=3': given twice",
        "'unplug=x': 'x' is not a number",
    )
    assert caught.value.hint is not None
    assert all(form in caught.value.hint for form in FAULT_FORMS)
