"""`weights map`: rules, keys that are ignored, and files of other networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from netwright.driver.build import Weights
from netwright.driver.model import load
from netwright.spec.weights.plan import static_shape

from .conftest import Cli

TURNED = """\
netwright: 1
name: turned
inputs: {x: 'float[N, 4]'}
graph:
  - {op: linear, name: a, features: 6}
outputs: {y: a}
weights:
  there:
    - {from: [q.weight, k.weight], to: a.weight, concat: 0, transpose: true}
    - {from: mask, ignore: true}
    - {from: '*', to: a.$1}
"""


@pytest.fixture
def turned(tmp_path: Path) -> tuple[Path, Path]:
    """A spec with rules, and a file that they fit."""
    spec, file = tmp_path / "turned.yaml", tmp_path / "w.safetensors"
    spec.write_text(TURNED)
    values = {"q.weight": np.ones((4, 2)), "k.weight": np.ones((4, 4)), "bias": np.ones(6), "mask": np.ones(9)}
    save_file({key: value.astype(np.float16) for key, value in values.items()}, file)
    return spec, file


def test_rules_are_shown(cli: Cli, turned: tuple[Path, Path]) -> None:
    spec, file = turned
    out = cli("weights", "map", file, spec).fine()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines()[1:-1]}
    assert rows == {
        "bias": "a.bias *",
        "k.weight": "a.weight k.weight, transposed, piece 2 of 2",
        "mask": "ignored mask",
        "q.weight": "a.weight q.weight, transposed, piece 1 of 2",
    }
    assert "fits by the layout there: 2 parameters, 1 key ignored" in out
    (report,) = cli("weights", "map", file, "-m", spec, "--json").json
    assert report["parameters"] == {"a.weight": ["q.weight", "k.weight"], "a.bias": ["bias"]}
    rules = {line["key"]: line["rule"] for line in report["keys"]}
    assert rules["k.weight"] == "{from: [q.weight, k.weight], to: a.weight, concat: 0, transpose: true}"
    assert [line["key"] for line in report["keys"] if line["ignored"]] == ["mask"]


def test_a_piece_that_is_missing(cli: Cli, turned: tuple[Path, Path]) -> None:
    spec, file = turned
    save_file({"q.weight": np.ones((4, 2), np.float32), "bias": np.ones(6, np.float32)}, file)
    found = cli("weights", "map", file, spec, "--all")
    assert found.code == 1 and "no key matches `k.weight`" in found.err and "other pieces are missing" in found.out
    (report,) = cli("weights", "map", file, spec, "--json").json
    assert report["missing"] == [{"parameter": "a.weight", "shape": [6, 4]}]


def test_what_a_file_must_hold(cli: Cli, turned: tuple[Path, Path]) -> None:
    spec, _ = turned
    wanted = {"a.weight": [6, 4], "a.bias": [6]}
    rows = [line.split(maxsplit=2) for line in cli("weights", "list", spec).fine().splitlines()[1:]]
    assert {row[0]: row[2].strip() for row in rows} == {path: str(shape) for path, shape in wanted.items()}
    listed = cli("weights", "list", spec, "--dtype", "float64", "--json").json
    assert {row["parameter"]: row["shape"] for row in listed} == wanted and {row["dtype"] for row in listed} == {
        "float64"
    }


@pytest.mark.parametrize("words", [[], ["zoo:lenet5", "--model", "zoo:lenet5"]])
def test_one_model_is_named(cli: Cli, turned: tuple[Path, Path], words: list[str]) -> None:
    assert "say once which model" in cli("weights", "map", turned[1], *words).refused()


def zoo_file(folder: Path, name: str, classes: int | None = None) -> Path:
    """A file with the keys and shapes of a network, all zero."""
    model = load(name) if classes is None else load(name, classes=classes)
    path = folder / "other.safetensors"
    parameters = model.program.parameters.items()
    save_file({key: np.zeros(static_shape(parameter), np.float16) for key, parameter in parameters}, path)
    return path


def test_the_file_of_another_network(cli: Cli, tmp_path: Path) -> None:
    file = zoo_file(tmp_path, "zoo:resnet18")
    found = cli("weights", "map", file, "--model", "zoo:resnet50")
    assert found.code == 1
    assert "missing: 165 parameters" in found.err and "misshapen: 24 parameters" in found.err
    assert "`layer1.0.conv1.weight` is [64, 64, 1, 1], the file gives [64, 64, 3, 3]" in found.err
    assert found.err.count("\n    `layer") == 20 and "... and 155 more" in found.err
    assert found.err.rstrip().endswith("hint: the file looks like that of zoo:resnet18")
    (report,) = cli("weights", "map", file, "zoo:resnet50", "--json").json
    assert report["hint"] == "the file looks like that of zoo:resnet18" and len(report["missing"]) == 165


def test_a_network_for_other_classes(cli: Cli, tmp_path: Path) -> None:
    file = zoo_file(tmp_path, "zoo:resnet18", classes=7)
    assert "the keys are those of zoo:resnet18" in cli("weights", "map", file, "zoo:vgg16").err
    # of the model itself, the two shapes say enough
    found = cli("weights", "map", file, "zoo:resnet18").err
    assert "misshapen: 2 parameters" in found and "hint" not in found
    assert "fits by the layout own" in cli("weights", "map", file, "zoo:resnet18", "--set", "classes=7").fine()


def test_running_says_whose_file_it_is(cli: Cli, tmp_path: Path) -> None:
    file = zoo_file(tmp_path, "zoo:resnet18")
    words = ("run", "zoo:resnet34", "-i", "image=random", "--dim", "H=32", "--dim", "W=32", "--weights", file)
    assert "looks like that of zoo:resnet18" in cli(*words).refused()


def test_flat_file(cli: Cli, tmp_path: Path) -> None:
    args: dict[str, Any] = {"classes": 2, "width": 4}
    values = Weights(seed=0).parameters(load("zoo:yolov3", **args))
    file = tmp_path / "yolov3.weights"
    file.write_bytes(bytes(20) + bytes(sum(array.size for array in values.values()) * 4))
    sets = [word for name, value in args.items() for word in ("--set", f"{name}={value}")]
    assert "by the layout darknet" in cli("weights", "map", file, "zoo:yolov3", *sets).fine()
    assert "values less than the model has" in cli("weights", "map", file, "zoo:yolov3").err
    assert "neither keys nor shapes" in cli("weights", "inspect", file).refused()
    assert "declares no flat layout" in cli("weights", "map", file, "zoo:resnet18").refused()
