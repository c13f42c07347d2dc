"""How a program is spread over a mesh: by its document, and by a person who asks for another mesh."""

from __future__ import annotations

from typing import Any

import pytest

from netwright.compiler.ir.text import parse_program, print_program
from netwright.spec.elaborate.sharding import Spread

from .elaborating import lowered, said, spec

NET = """
inputs: {x: 'float[N, 4]'}
blocks:
  layer:
    inputs: {x: 'float[N, 4]'}
    graph:
      - {op: linear, name: h, in: x, features: 8}
      - {op: linear, name: y, features: 4}
    outputs: {x: y}
graph:
  - {block: layer, name: stack, path: l.$i, repeat: 2, carry: {x: x}}
  - {op: linear, name: last, in: stack.x, features: 6}
outputs: {y: last}
state:
  kept: {type: 'float[N, 4]', initial: 0}
entries:
  keep:
    inputs: {x: 'float[N, 4]'}
    graph:
      - {name: kept_now, value: kept + x}
    outputs: {z: kept_now, kept: kept_now}
"""
SHARDING = """
sharding:
  mesh: {data: 2, model: 4}
  params: {'l.*.h.weight': [model, null], 'l.1.h.weight': [null, model]}
  values: {x: [data, null], 'stack.*.h': [data, model], y: [data, null], kept: [data, null]}
"""


def spread(**fields: Any) -> dict[str, Any]:
    return {"spread": Spread(**fields)}


def test_patterns_become_paths_and_labels() -> None:
    """The first pattern that matches decides; outputs and states have names too."""
    program = lowered(spec(NET + SHARDING)).program
    found = program.sharding
    assert found is not None and found.mesh == {"data": 2, "model": 4}
    params = {name: placement.axes for name, placement in found.params.items()}
    values = {name: placement.axes for name, placement in found.values.items()}
    assert params == {"l.0.h.weight": ("model", None), "l.1.h.weight": ("model", None)}
    assert values.pop("x") == values.pop("y") == values.pop("kept") == ("data", None)
    assert values == {"stack.0.h": ("data", "model"), "stack.1.h": ("data", "model")}
    assert found.values["y"].loc is not None and found.values["y"].loc.line == 27
    assert print_program(parse_program(print_program(program))) == print_program(program)


def test_a_person_asks_for_another_mesh() -> None:
    program = lowered(spec(NET + SHARDING), **spread(mesh={"model": 2, "data": 1})).program
    assert program.sharding is not None and list(program.sharding.mesh.items()) == [("model", 2), ("data", 1)]
    assert lowered(spec(NET + SHARDING), **spread(mesh={})).program.sharding is None
    assert lowered(spec(NET)).program.sharding is None


def test_rules_of_a_person_come_first_and_need_no_section() -> None:
    rules = {"l.0.h.weight": (None, "data"), "stack.1.*": ("data", None)}
    program = lowered(spec(NET + SHARDING), **spread(rules=rules)).program
    assert program.sharding is not None
    assert program.sharding.params["l.0.h.weight"].axes == (None, "data")
    assert program.sharding.params["l.1.h.weight"].axes == ("model", None)
    assert program.sharding.values["stack.1.h"].axes == ("data", None)
    assert program.sharding.values["stack.0.h"].axes == ("data", "model")
    program = lowered(spec(NET), **spread(mesh={"data": 2}, rules=rules)).program
    assert program.sharding is not None and set(program.sharding.params) == {"l.0.h.weight"}


@pytest.mark.parametrize(
    ("section", "asked", "message"),
    [
        (
            SHARDING,
            {"mesh": {"data": 2}},
            "the mesh has no axis `model`",
        ),
        (SHARDING, {"mesh": {"data": 2, "model": 3}}, "26:12 `l.0.h.weight`: 8 is not divisible by the 3 chips"),
        (SHARDING.replace("x: [data, null]", "x: [data, data]"), {}, "27:22 the mesh axis `data` stands twice"),
        (SHARDING.replace("'stack.*.h': [data", "'stack.*.h': [null, data"), {}, "has 2 axes, 3 are placed"),
        (SHARDING.replace("stack.*.h", "stack.*.g"), {}, "no value has a label like `stack.*.g`"),
        (SHARDING.replace("y: [data, null]", "y: [data, model]"), {}, "`y`: 6 is not divisible by the 4 chips"),
        ("", {"mesh": {"data": 2}, "rules": {"x": ("dat", None)}}, "1:3 the mesh has no axis `dat`"),
        ("", {"mesh": {"data": 2}, "rules": {"x": ("data",)}}, "1:3 `x` has 2 axes, 1 are placed"),
        ("", {"mesh": {"data": 2}, "rules": {"w": ("data",)}}, "1:1 no parameter and no value is called like `w`"),
        ("", {"mesh": {"data": 2}, "rules": {"a**": ("data",)}}, "1:1 `a**`: `**` stands alone"),
        ("", {"mesh": {"data": 5}, "rules": {"l.0.h.weight": ("data", None)}}, "8 is not divisible by the 5 chips"),
        ("", {"rules": {"x": ("data", None)}}, "there is no mesh"),
        ("", {"mesh": {}, "rules": {"x": ("data", None)}}, "without a mesh nothing can be spread"),
        ("", {"mesh": {"data": 0}}, "the mesh axis `data` has 0 chips"),
    ],
)
def test_mistakes(section: str, asked: dict[str, Any], message: str) -> None:
    assert message in said(spec(NET + section), **spread(**asked))[0]
