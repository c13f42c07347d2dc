"""Specs of the zoo with random mistakes: each is a program or a SpecError, soon, and never anything else."""

from __future__ import annotations

import copy
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netwright.compiler.ir.verify import verify
from netwright.spec.diagnostics import SpecError
from netwright.spec.elaborate.program import Request, elaborate
from netwright.spec.load import load_document
from netwright.spec.reader import read_tree
from netwright.spec.tree import plain
from netwright.spec.zoo_index import ZOO

LARGE = {"stable_diffusion", "sd_unet", "sd_vae", "gpt3", "t5", "resnet", "googlenet", "transfer", "yolov3"}
SPECS = {path.stem: path for path in sorted(ZOO.rglob("*.yaml")) if path.stem not in LARGE}
SECONDS = 10

SCALARS: list[Any] = [
    0, 1, -1, 2, 7, 0.5, -0.5, 1.0e30, 10**9, 2**62, True, False, None, "", "x", "N", "T", "i", "null", "inf", "training",
    "1 +", "x[0]", "x[:, null]", "N * N", "N // 2", "[x, x]", "x.y", "max(x, 0)", "tanh", "relu", "linear", "any",
    "float[N]", "float[...]", "int64[]", "float[-1]", "float[N, 3", "$x", "$(i + 1)", ".", "..", "a..b", "a.*", "**",
    "conv2d", "split", "concat", "scan", "float", "block", "same", "9**9**9", "range(9)", "a b", "zoo:lenet5", "m.yaml",
    [], [1], [1, 2], ["x"], [[1], [2, 3]], {}, {"x": "x"}, {"a": 1}, {"op": "relu"}, {"value": "x"},
]  # fmt: skip
KEYS = [
    "op",
    "value",
    "block",
    "part",
    "name",
    "in",
    "when",
    "else",
    "repeat",
    "carry",
    "scan",
    "path",
    "compute",
    "doc",
]
KEYS += [
    "args",
    "let",
    "inputs",
    "params",
    "constants",
    "graph",
    "outputs",
    "state",
    "entries",
    "dims",
    "init",
    "x",
    "y",
]
KEYS += [
    "type",
    "count",
    "range",
    "default",
    "over",
    "steps",
    "axis",
    "lengths",
    "until",
    "features",
    "kernel",
    "model",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copied = tmp_path_factory.mktemp("specs") / "zoo"
    shutil.copytree(ZOO, copied)
    return copied


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found: list[tuple[Any, Any]] = []
    pending = [data]
    while pending:
        item = pending.pop()
        pairs = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        for key, value in pairs:
            found.append((item, key))
            pending.append(value)
    return found


def change(data: Any, draw: st.DrawFn) -> None:
    """One mistake somewhere."""
    found = places(data)
    if not found:
        return
    container, key = draw(st.sampled_from(range(len(found))).map(found.__getitem__))
    other, other_key = draw(st.sampled_from(range(len(found))).map(found.__getitem__))
    what = draw(st.sampled_from(["delete", "replace", "replace", "swap", "copy", "rename", "double", "number"]))
    value = container[key]
    if what == "delete":
        del container[key]
    elif what == "replace":
        container[key] = copy.deepcopy(draw(st.sampled_from(SCALARS)))
    elif what == "swap":
        container[key], other[other_key] = copy.deepcopy(other[other_key]), copy.deepcopy(value)
    elif what == "copy":
        container[key] = copy.deepcopy(other[other_key])
    elif what == "rename" and isinstance(container, dict):
        container[draw(st.sampled_from(KEYS))] = container.pop(key)
    elif what == "double" and isinstance(container, list):
        container.insert(key, copy.deepcopy(value))
    elif what == "number" and isinstance(value, int) and not isinstance(value, bool):
        container[key] = draw(st.sampled_from([0, -value, value + 1, value * 1000, value * 10**9]))


@st.composite
def mistaken(draw: st.DrawFn) -> tuple[str, str]:
    """The name of a spec, and its text with one to four mistakes."""
    name = draw(st.sampled_from(sorted(SPECS)))
    data = plain(read_tree(SPECS[name].read_bytes(), name))
    for _ in range(draw(st.integers(1, 4))):
        change(data, draw)
    return name, yaml.safe_dump(data, sort_keys=False)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(mistaken())
def test_a_spec_with_mistakes_is_a_program_or_a_spec_error(folder: Path, case: tuple[str, str]) -> None:
    name, text = case
    path = folder / SPECS[name].relative_to(ZOO)
    start = time.perf_counter()
    try:
        path.write_text(text, encoding="utf-8")
        program = elaborate(load_document(path, folder), Request()).program
    except SpecError as error:
        assert error.diagnostics
        assert str(error)
        assert len({one.key for one in error.diagnostics}) == len(error.diagnostics)
    else:
        verify(program)
    finally:
        shutil.copy(SPECS[name], path)
    assert time.perf_counter() - start < SECONDS
