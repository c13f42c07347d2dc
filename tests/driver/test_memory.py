"""Models that no machine holds, said before anything is allocated; how memory is told; and a collector that rests."""

from __future__ import annotations

import gc

import pytest

import netwright as nw
from netwright.backends.executable import InputError
from netwright.cli.memory import memory_text
from netwright.compiler.footprint import Footprint
from netwright.driver import memory
from netwright.driver.collector import paused

MIB = 2**20


def test_what_exceeds_the_machine_is_refused_with_its_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """lenet5 has 61,706 parameters; its largest values are those of the first convolution and its activation."""
    program = nw.lower("zoo:lenet5")
    weights, picture = 4 * 61_706, 4 * 6 * 28 * 28
    monkeypatch.setattr(memory, "physical_memory", lambda: weights + 1000 * 2 * picture)
    memory.check_memory(program, {"N": 1000})
    with pytest.raises(InputError, match=r"^lenet5 with N = 1001 needs about 0.0 GiB, this machine has 0.0 GiB$"):
        memory.check_memory(program, {"N": 1001})
    with pytest.raises(InputError):
        memory.check_memory(program, {"N": 1000}, factor=2)
    # What is out of range, or no size of it, is said by others.
    memory.check_memory(program, {"N": 2**40, "M": 1})
    monkeypatch.setattr(memory, "physical_memory", lambda: None)
    memory.check_memory(program, {"N": 10**9})


def test_this_machine_has_memory() -> None:
    found = memory.physical_memory()
    assert found is not None and found > 2**28
    assert memory.gibibytes(3 * 2**29) == "1.5 GiB"


def test_how_memory_is_told() -> None:
    assert memory_text(Footprint(3 * MIB)) == "plans its memory by itself; 3.0 MiB of values live at once"
    plan = Footprint(4 * MIB, live=5 * MIB, peak=6 * MIB)
    told = "6.0 MiB in one block for 4.0 MiB of values (1.50 times)"
    assert memory_text(plan) == f"{told}, with 1.0 MiB that kernels need besides"
    assert memory_text(Footprint(4 * MIB, live=3 * MIB, peak=6 * MIB)) == told


def test_the_collector_rests_inside_and_is_as_it_was_afterwards() -> None:
    assert gc.isenabled()
    with paused():
        assert not gc.isenabled()
        with paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), paused():
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with paused():
            pass
        assert not gc.isenabled(), "who stopped it starts it"
    finally:
        gc.enable()
