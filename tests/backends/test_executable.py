"""Shapes of inputs against a signature: the sizes they give, and what is said where they do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netwright as nw
from netwright.backends.executable import Executable, bind_sizes

SPEC = """\
netwright: 1
name: t
inputs: {x: 'float[N, 3]', y: 'float[2 * N, 3]'}
graph:
  - {op: concat, name: z, in: [x, y], axis: 0}
outputs: {z: z}
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Executable:
    path = Path(tmp_path_factory.mktemp("executable")) / "t.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return nw.compile(path)


def shapes(x: tuple[int, ...], y: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {"x": np.zeros(x, np.float32), "y": np.zeros(y, np.float32)}


REFUSED = [
    (shapes((2, 4), (4, 3)), r"^axis 1 of 'x' is 4; it must be 3$"),
    (shapes((2, 3), (5, 3)), r"^axis 0 of 'y' is 5; it must be 2\*N = 4 \(N = 2\)$"),
    (shapes((2,), (4, 3)), r"^input 'x' has the shape \(2,\), wanted is float32\[N, 3\]$"),
    (shapes((2, 3, 1), (4, 3)), r"^input 'x' has the shape \(2, 3, 1\), wanted is"),
]


def test_sizes_come_from_shapes(net: Executable) -> None:
    assert bind_sizes(net.signature.entries["main"], {"x": (2, 3), "y": (4, 3)}) == {"N": 2}
    assert net(**shapes((2, 3), (4, 3)))["z"].shape == (6, 3)


@pytest.mark.parametrize(("inputs", "message"), REFUSED)
def test_shapes_that_do_not_fit(net: Executable, inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(nw.InputError, match=message):
        net(**inputs)
    with pytest.raises(nw.InputError, match=message):
        bind_sizes(net.signature.entries["main"], {name: array.shape for name, array in inputs.items()})


COUNTER = """\
netwright: 1
name: counter
inputs: {x: 'int64[]'}
graph:
  - {name: next, value: total + x}
outputs: {seen: next, total: next}
state:
  total: {type: 'int64[]', range: [0, 5]}
"""


@pytest.mark.parametrize("target", ["numpy", "jax", "onnx", "reference"])
def test_a_state_stays_in_its_range(tmp_path: Path, target: str) -> None:
    (tmp_path / "counter.yaml").write_text(COUNTER, encoding="utf-8")
    net = nw.compile(tmp_path / "counter.yaml", target)
    assert [int(net(x=2)["seen"]) for _ in range(2)] == [2, 4]
    with pytest.raises(nw.InputError, match=r"^the state total is 6; it lies from 0 to 5: reset\(\) before more$"):
        net(x=2)
    net.reset()
    assert net(x=5)["seen"] == 5
    with pytest.raises(nw.InputError, match="the state total is -1"):
        net(x=-6)


def test_states_are_set_by_name(tmp_path: Path) -> None:
    (tmp_path / "counter.yaml").write_text(COUNTER, encoding="utf-8")
    net = nw.compile(tmp_path / "counter.yaml")
    net.set_states({"total": np.asarray(3, np.int64)})
    assert net(x=1)["seen"] == 4
    for values, message in (
        ({"totl": np.asarray(3)}, "there is no state 'totl'; did you mean 'total'"),
        ({"total": np.asarray([3])}, r"the state total is int64\[\], not int64\[1\]"),
        ({"total": np.asarray(3.0)}, r"the state total is int64\[\], not float64\[\]"),
    ):
        with pytest.raises(nw.InputError, match=message):
            net.set_states(values)
