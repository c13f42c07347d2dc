"""Which tiles kernels run with: on a device by an estimate, in the interpreter by the work."""

from __future__ import annotations

import pytest

from netwright.backends.triton import facts
from netwright.backends.triton.launcher import fitted
from netwright.backends.triton.templates.tiles import CORES, LANES, SHARED, choose, interpreted, parts_of
from netwright.compiler.ir.dims import symbol

N = symbol("N")


def first(shapes, *sizes, bytes=2):
    constants = choose(shapes, *sizes, bytes, {"GROUP": 8})[0].constants
    return constants["BLOCK_M"], constants["BLOCK_N"], constants["BLOCK_K"]


def test_large_products_take_large_tiles_and_small_ones_small():
    assert first(CORES, 4096, 4096, 1, 4096) == (128, 256, 64)
    assert first(LANES, 4096, 4096, 1, 4096, bytes=4) == (128, 128, 16)
    assert first(CORES, 1, 4096, 1, 4096)[0] == 16
    assert first(CORES, 4096, 24, 1, 64)[1] <= 32
    assert first(CORES, 50, 50, 64, 20)[2] == 32
    assert first(CORES, N, 1024, 1, 1024)[0] <= 128, "a symbol counts as a typical size"


@pytest.mark.parametrize("bytes", [2, 4])
@pytest.mark.parametrize("shapes", [CORES, LANES], ids=["cores", "lanes"])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (4096, 4096, 8, 4096), (N, 64, 1, N)], ids=["one", "many", "some"])
def test_candidates_are_tiles_that_triton_takes(shapes, sizes, bytes):
    made = choose(shapes, *sizes, bytes, {"GROUP": 8})
    assert len({tuple(config.constants.values()) + (config.warps, config.stages) for config in made}) == len(made) > 5
    for config in made:
        sides = [config.constants[f"BLOCK_{side}"] for side in "MNK"]
        assert all(side >= 16 and side & (side - 1) == 0 for side in sides)
        assert config.warps in (1, 2, 4, 8)
    tall, broad, deep = (made[0].constants[f"BLOCK_{side}"] for side in "MNK")
    assert (tall + broad) * deep * bytes * made[0].stages <= SHARED <= facts.SHARED_LIMITS[80]


def test_a_depth_is_split_where_programs_are_few():
    assert parts_of(1, 512, 1, 4096) == 8
    assert parts_of(4096, 512, 1, 4096) == 1
    assert parts_of(1, 512, 1, 512) == 1
    assert parts_of(1, 512, 1, N) == 1, "an unknown depth is not split"
    assert parts_of(0, 512, 1, 4096) == 1


def test_the_interpreter_gets_tiles_of_the_work():
    assert interpreted(3, 40, 7, {}).constants == {"BLOCK_M": 16, "BLOCK_N": 64, "BLOCK_K": 16}
    largest = interpreted(10**6, 10**6, 10**6, {}).constants
    assert largest["BLOCK_M"] * largest["BLOCK_N"] <= 2**20

    def grid(constants):
        return (-(-100 // constants["BLOCK_M"]) * -(-40 // constants["BLOCK_N"]),)

    constants = {"BLOCK_M": 1024, "BLOCK_N": 32, "BLOCK_K": 256}
    assert fitted(constants, grid, grid(constants)) == {"BLOCK_M": 128, "BLOCK_N": 32, "BLOCK_K": 256}
    assert fitted({"BLOCK": 64}, lambda constants: (5,), (5,)) == {"BLOCK": 64}, "it counts nothing"
