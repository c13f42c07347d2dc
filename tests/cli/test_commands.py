"""Each command does what its help says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from safetensors.numpy import save_file

from .conftest import Cli

PARAMETERS = 5 * 4 + 4 + 4 * 3 + 3


def weights(classes: int = 3) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(7).standard_normal
    shapes = {"a.weight": (4, 5), "a.bias": (4,), "b.weight": (classes, 4), "b.bias": (classes,)}
    return {name: draw(shape).astype(np.float32) for name, shape in shapes.items()}


def expected(x: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """The network by hand."""
    w = weights()
    scores = (np.tanh(x @ w["a.weight"].T + w["a.bias"]) @ w["b.weight"].T + w["b.bias"]) * scale
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file(weights(), path)
    return path


def test_check_counts_the_parameters_of_every_variant(cli: Cli, spec: Path) -> None:
    out = cli("check", spec).fine()
    assert f"no mistakes; {PARAMETERS} parameters" in out
    assert "small_two 34" in out


def test_check_shows_every_mistake_with_its_place(cli: Cli, spec: Path) -> None:
    text = spec.read_text().replace("op: tanh", "op: tanhh").replace("features: classes", "features: clases")
    spec.write_text(text)
    message = cli("check", spec).refused()
    assert f"{spec}:14:10: error: " in message and "tanhh" in message and "did you mean `tanh`" in message
    column = text.splitlines()[14].index("clases") + 1
    assert f"{spec}:15:{column}: error: " in message and "did you mean `classes`" in message
    assert "2 mistakes" in message


def test_check_as_json(cli: Cli, spec: Path) -> None:
    found = cli("check", spec, "--json").json
    assert found["valid"] and found["errors"] == [] and found["parameters"] == PARAMETERS
    assert found["variants"] == {"small_two": 34}
    spec.write_text(spec.read_text().replace("op: tanh", "op: tanhh"))
    ended = cli("check", spec, "--json")
    assert ended.code == 1
    (error,) = ended.json["errors"]
    assert (error["line"], error["column"]) == (14, 10) and "tanhh" in error["message"]


def test_summary_as_json(cli: Cli, spec: Path) -> None:
    found = cli("summary", spec, "--json", "--dim", "N=10").json
    assert found["parameters"] == PARAMETERS
    assert found["buffers"] == 0
    assert found["macs"] == 10 * (5 * 4 + 4 * 3)
    assert found["flops"] >= 2 * found["macs"]
    assert found["sizes"] == {"N": 10}
    assert found["activation_bytes"] > 0 and found["nodes"] > 0


def test_summary_for_people(cli: Cli, spec: Path) -> None:
    out = cli("summary", spec).fine()
    assert f"small: {PARAMETERS} parameters" in out
    assert "float32[1, 3]" in out


def test_summary_of_pictures_takes_their_size(cli: Cli) -> None:
    found = cli("summary", "zoo:resnet18", "--json").json
    assert found["sizes"] == {"H": 224, "W": 224, "N": 1}
    assert 1.8e9 < found["macs"] < 1.83e9  # 1.81 G by torchvision's page


def test_summary_takes_the_usual_sizes_of_the_spec(cli: Cli) -> None:
    found = cli("summary", "zoo:bert_base", "--json").json
    assert found["sizes"] == {"N": 1, "T": 512} and found["macs"] > 48e9
    found = cli("summary", "zoo:bert_base", "--dim", "T=128", "--dim", "N=2", "--json").json
    assert found["sizes"] == {"N": 2, "T": 128} and 22.3e9 < found["macs"] < 22.4e9
    shorter = cli("summary", "zoo:bert_base", "--set", "context=16", "--json").json
    assert shorter["sizes"]["T"] == 16, "as the range of the text allows"
    entries = cli("summary", "zoo:gpt2", "--json").json["entries"]
    assert {entry["name"]: entry["sizes"].get("T") for entry in entries} == {
        "main": 1024,
        "prefill": 1024,
        "decode": None,
        "generate": 1004,
    }


def test_summary_tells_parts_apart(cli: Cli) -> None:
    out = cli("summary", "zoo:resnet18").fine()
    heads = next(line for line in out.splitlines() if "part" in line)
    assert heads.split() == ["part", "op", "result", "parameters", "buffers", "MACs", "flops", "values"]
    assert "buffers" not in cli("summary", "zoo:lenet5").fine()


MEASURED = """
import resource, subprocess, sys
code = "import sys; from netwright.cli.main import main; sys.argv = ['netwright', 'summary', 'zoo:gpt3']; main()"
out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
assert "174,604,259,328 parameters" in out, out
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss * (1 if sys.platform == "darwin" else 1024), used.ru_utime + used.ru_stime)
"""
"""A process begins with the memory of the one that starts it, so a small one has to."""


@pytest.mark.skipif(sys.platform == "win32", reason="no module resource")
def test_a_large_model_is_counted_without_its_weights() -> None:
    """They would take 325 GiB. On a quiet machine the command takes one second."""
    out = subprocess.run([sys.executable, "-c", MEASURED], check=True, capture_output=True, text=True).stdout
    memory, seconds = map(float, out.split())
    assert memory < 500e6
    assert seconds < 4


@pytest.mark.parametrize("target", ["numpy", "onnx", "reference"])
def test_compile_and_run(cli: Cli, spec: Path, file: Path, tmp_path: Path, target: str) -> None:
    folder, x = tmp_path / "bundle", np.linspace(-1, 1, 10, dtype=np.float32).reshape(2, 5)
    np.save(tmp_path / "x.npy", x)
    out = cli("compile", spec, "--target", target, "-o", folder, "--weights", file).fine()
    assert f"small for {target}" in out and "random" not in out
    out = cli("run", folder, "--input", f"x={tmp_path / 'x.npy'}", "-o", tmp_path / "y.npz").fine()
    assert "p: float" in out and f"small on {target}" in out and "random" not in out
    with np.load(tmp_path / "y.npz") as found:
        assert list(found) == ["p"]
        np.testing.assert_allclose(found["p"], expected(x), rtol=1e-5)


def test_run_a_spec_with_an_optional_input(cli: Cli, spec: Path, file: Path) -> None:
    x = [[0.5, -1, 2, 0, 1]]
    words = ("run", spec, "-i", f"x={json.dumps(x)}", "--weights", file, "--json")
    plain = cli(*words).json
    np.testing.assert_allclose(plain["outputs"]["p"]["values"], expected(np.array(x)), rtol=1e-5)
    scaled = cli(*words, "-i", "scale=3").json
    np.testing.assert_allclose(scaled["outputs"]["p"]["values"], expected(np.array(x), 3), rtol=1e-5)
    assert scaled["sizes"] == {"N": 1} and scaled["target"] == "numpy"


def test_run_on_random_numbers(cli: Cli, spec: Path) -> None:
    one = cli("run", spec, "-i", "x=random", "--dim", "N=7", "--json").json
    assert one["outputs"]["p"]["shape"] == [7, 3]
    assert cli("run", spec, "-i", "x=random", "--dim", "N=7", "--json").json["outputs"] == one["outputs"]
    other = cli("run", spec, "-i", "x=random", "--dim", "N=7", "--seed", "1", "--json").json
    assert other["outputs"] != one["outputs"]


def test_run_says_that_weights_are_random(cli: Cli, spec: Path) -> None:
    assert "the weights are random" in cli("run", spec, "-i", "x=random").fine()


def test_run_a_picture(cli: Cli, tmp_path: Path) -> None:
    picture = tmp_path / "digit.png"
    Image.new("L", (64, 48), 255).save(picture)
    out = cli("run", "zoo:lenet5", "-i", f"image={picture}").fine()
    assert "probabilities: float32[1, 10]" in out and "... 5 more" in out


def test_set_dim_and_dtype(cli: Cli, spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    options = ("--set", "classes=7", "--dim", "N=4", "--dtype", "float64", "--with", "scale")
    manifest = cli("compile", spec, "-t", "numpy", "-o", folder, *options, "--json").json
    entry = manifest["signature"]["entries"]["main"]
    assert [field["name"] for field in entry["inputs"]] == ["x", "scale"]
    assert entry["outputs"] == [{"name": "p", "dtype": "float64", "shape": [4, 7]}]
    assert entry["symbols"] == {}


def test_export_runs_in_plain_onnxruntime(cli: Cli, spec: Path, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    assert "small.onnx: " in cli("export", spec, "-o", path, "--weights", file).fine()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for rows in (1, 3):
        x = np.random.default_rng(rows).standard_normal((rows, 5)).astype(np.float32)
        (y,) = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(y, expected(x), rtol=1e-5)


def test_export_opset(cli: Cli, spec: Path, tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "small.onnx"
    cli("export", spec, "-o", path, "--opset", "20", "--json").fine()
    assert [each.version for each in onnx.load(path).opset_import if each.domain in ("", "ai.onnx")] == [20]


def test_verify(cli: Cli, spec: Path) -> None:
    found = cli("verify", spec, "--targets", "numpy,onnx", "--dim", "N=6", "--json").json
    assert found["passed"] and found["sizes"] == {"N": 6}
    for target in ("numpy", "onnx"):
        outcome = found["targets"][target]
        assert outcome["passed"] and outcome["first_difference"] is None
        assert 0 <= outcome["max_relative_error"] < 1e-5
        assert 0 <= outcome["max_absolute_error"] < 1e-5
    assert "numpy" in cli("verify", spec, "--targets", "numpy").fine()


def test_explain(cli: Cli, tmp_path: Path, spec: Path) -> None:
    out = cli("explain", spec, "--target", "numpy", "--dump-dir", tmp_path / "dumps").fine()
    assert "softmax decomposed: NumPy has no form of softmax of its own" in " ".join(out.split()) and "rewritten" in out
    names = sorted(path.name for path in (tmp_path / "dumps").iterdir())
    assert names[0] == "00_input.txt" and len(names) > 5
    found = cli("explain", spec, "--target", "numpy", "--json").json
    assert found["counts"] and all(event["pass"] in found["counts"] for event in found["events"])


def test_ir_before_and_after_passes(cli: Cli, spec: Path) -> None:
    before = cli("ir", spec).fine()
    assert before.startswith('program "small"') and "softmax" in before
    after = cli("ir", spec, "--after", "all", "--target", "numpy").fine()
    assert "softmax" not in after and "exp(" in after
    assert cli("ir", spec, "--after", "simplify").fine() != ""


def test_schema_accepts_the_spec(cli: Cli, spec: Path, tmp_path: Path) -> None:
    import yaml

    schema = cli("schema").json
    document = yaml.safe_load(spec.read_text())
    assert list(Draft202012Validator(schema).iter_errors(document)) == []
    document["graph"][0]["op"] = "lineear"
    assert list(Draft202012Validator(schema).iter_errors(document)) != []
    path = tmp_path / "schema.json"
    cli("schema", "-o", path).fine()
    assert json.loads(path.read_text()) == schema


def test_weights_inspect_and_map(cli: Cli, spec: Path, file: Path, tmp_path: Path) -> None:
    out = cli("weights", "inspect", file).fine()
    assert "a.weight" in out and "[4, 5]" in out and f"4 tensors, {PARAMETERS} elements" in out
    found = cli("weights", "inspect", file, "--json").json
    assert {entry["key"]: entry["shape"] for entry in found["tensors"]} == {
        name: list(array.shape) for name, array in weights().items()
    }
    assert (found["elements"], found["bytes"], found["dtypes"]) == (PARAMETERS, 4 * PARAMETERS, {"F32": 4})
    assert "4 parameters" in cli("weights", "map", file, "--model", spec).fine()
    (report,) = cli("weights", "map", file, "--model", spec, "--json").json
    assert report["parameters"] == {name: [name] for name in weights()} and report["problem"] is None
    assert report["fits"] and {line["key"]: line["parameter"] for line in report["keys"]} == {n: n for n in weights()}
    wrong = cli("weights", "map", "--set", "classes=4", file, spec)
    assert wrong.code == 1 and "b.weight" in wrong.err and "[4, 4]" in wrong.err
    assert "2 of 4 keys have their place" in wrong.out
    wrong = cli("weights", "map", file, spec, "--set", "classes=4", "--json")
    (report,) = wrong.json
    assert wrong.code == 1 and not report["fits"] and "misshapen: 2" in report["problem"]
    assert {line["key"]: line["wrong"] for line in report["keys"] if line["wrong"]} == {
        "b.weight": "gives [3, 4], the parameter is [4, 4]",
        "b.bias": "gives [3], the parameter is [4]",
    }


def test_zoo(cli: Cli) -> None:
    found = cli("zoo", "--json").json
    rows = {row["name"]: row for row in found}
    assert rows["lenet5"]["parameters"] == 61_706
    assert rows["resnet50"]["parameters"] == 25_557_032
    assert rows["gpt2"]["parameters"] == 124_439_808
    assert rows["lenet5"]["macs"] == 416_520 and rows["lenet5"]["activation_bytes"] > 0
    assert rows["bert_base"]["sizes"] == {"N": 1, "T": 512} and rows["resnet18"]["buffers"] == 9_600
    assert rows["recurrent"]["parameters"] is None and rows["recurrent"]["macs"] is None
    assert rows["vgg"] == {**rows["vgg16"], "name": "vgg"}
    assert rows["lenet5"]["family"] == "convolutional"
    assert [row["name"] for row in found if row["problem"]] == []


def test_one_of_the_zoo(cli: Cli) -> None:
    out = cli("zoo", "lenet5").fine()
    assert "61,706 parameters" in out and "LeCun" in out and "classes" in out
    assert "main: 417 k MACs" in out and "stroke" in out
    found = cli("zoo", "resnet34", "--json").json
    assert found["parameters"] == 21_797_672 and found["knobs"]["depths"]["default"] == "[3, 4, 6, 3]"
    assert "blocks" in cli("zoo", "recurrent").fine()


def test_bench(cli: Cli, spec: Path) -> None:
    words = ("bench", spec, "--targets", "numpy", "--against", "onnxruntime,torch", "--rounds", "1", "--dim", "N=3")
    ended = cli(*words, "--json")
    assert ended.code == 0
    found = ended.json
    assert found["sizes"] == {"N": 3}
    numpy, ort, torch = (found["contenders"][name] for name in ("numpy", "onnxruntime", "torch"))
    assert numpy["ratio"] == 1 and numpy["median_seconds"] > 0 and numpy["runs"] > 0
    assert ort["ratio"] == pytest.approx(ort["median_seconds"] / numpy["median_seconds"])
    assert torch["median_seconds"] is None and "no torch implementation of small is known" in torch["problem"]
