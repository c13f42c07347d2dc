"""The benchmarks measure what they say: the peers are the same networks, and what fails or differs is not timed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from netwright.backends import bundle, signature
from netwright.benchmarks import depth, gpu, race, report
from netwright.benchmarks.cases import CASES, ON_GPU, SMALL, Case
from netwright.benchmarks.deep_specs import KINDS
from netwright.benchmarks.peers import build, flat
from netwright.driver.build import Build, Weights, compile_model
from netwright.driver.model import load
from netwright.driver.processes import ContenderError
from netwright.driver.samples import distance, random_inputs

SMALL_GPT2 = replace(
    ON_GPU[0], args={"depth": 2, "width": 64, "heads": 4, "vocabulary": 300}, sizes={"N": 2, "T": 9},
    peer_args={"depth": 2, "width": 64, "heads": 4, "vocabulary": 300},
)  # fmt: skip


@pytest.mark.parametrize("case", [*SMALL, SMALL_GPT2], ids=lambda case: case.name)
def test_peer_is_the_same_network(tmp_path: Path, case: Case) -> None:
    model = load(f"zoo:{case.zoo}", **case.args)
    weights = Weights(everywhere=True).kept(model)
    path = tmp_path / "weights.safetensors"
    with open(path, "wb") as file:
        bundle.write_safetensors(file, weights.parameters(model))
    entry = signature.from_json(signature.to_json(model.program)).entries["main"]
    inputs = random_inputs(entry, 0, case.sizes)
    got = compile_model(model, Build("reference"), weights)(**inputs)
    with torch.inference_mode():
        wanted = flat(build(case.peer, case.peer_args, path)(*map(torch.from_numpy, inputs.values())))
    for name, tensor in zip(case.outputs, wanted, strict=False):
        difference, largest = distance(got[name], tensor.numpy())
        assert difference <= 2e-6 * largest


def test_small_cases_stand_for_the_others() -> None:
    assert [case.name for case in SMALL] == [case.name for case in CASES if case.name != "lstm_large"]


def test_race(tmp_path: Path) -> None:
    """Every contender that can start runs and agrees; torch's own export needs an extra that may be missing."""
    results = {result.name: result for result in race.race(SMALL[0], tmp_path, 1, 1, 1.0, lambda message: None)}
    assert tuple(results) == race.CONTENDERS
    for name, result in results.items():
        if name == race.EXPORTED and result.problem:
            assert "onnxscript" in result.problem
            continue
        assert not result.problem
        assert result.error is not None and result.error <= race.CLOSE
        assert len(result.times) > 1 and min(result.times) > 0


class Fixed:
    """A contender that gives what it was made with, or fails."""

    def __init__(self, outputs: dict[str, np.ndarray] | None) -> None:
        self.given = outputs

    def outputs(self, path: Path) -> dict[str, np.ndarray]:
        if self.given is None:
            raise ContenderError("it died")
        return self.given


def compared(tmp_path: Path, **running: dict[str, np.ndarray] | None) -> dict[str, race.Result]:
    case = Case("one", "", "one", "one", {}, ("y",))
    names = {name: name.replace("_", " ") for name in running}
    results = [race.Result(name) for name in names.values()]
    race._compare(case, results, {names[name]: Fixed(outputs) for name, outputs in running.items()}, tmp_path)  # type: ignore[misc]
    return {result.name: result for result in results}


def test_what_differs_or_fails_is_not_timed(tmp_path: Path) -> None:
    y = np.linspace(1, 2, 5, dtype=np.float32)
    states = np.zeros(3, np.float32)
    found = compared(
        tmp_path,
        our_numpy={"other": states, "y": y},
        our_onnx={"y": y + np.float32(1e-3)},
        our_jax={"y": y[:4]},
        our_file_in_onnxruntime=None,
        torch_eager={"y0": y, "y1": states},
    )
    assert (found["our numpy"].problem, found["our numpy"].error) == ("", 0.0)
    assert "differ from torch's by 5.0e-04" in found["our onnx"].problem
    assert "differ from torch's by inf" in found["our jax"].problem
    assert found["our file in onnxruntime"].problem == "it died"
    assert found["torch eager"].problem == ""


def test_without_torch_nothing_is_timed(tmp_path: Path) -> None:
    y = np.ones(2, np.float32)
    found = compared(tmp_path, our_numpy={"y": y}, torch_eager=None)
    assert found["torch eager"].problem == "it died"
    assert "nothing to compare" in found["our numpy"].problem


def test_page() -> None:
    times = {"our numpy": [0.002, 0.004, 0.003], race.EXPORTED: [0.0015] * 3}
    results = [
        race.Result(name, times.get(name, []), 0.0, "" if name in times else "it died") for name in race.CONTENDERS
    ]
    case = report.case_data(CASES[0], results)
    assert case["contenders"]["our numpy"]["median_seconds"] == 0.003
    assert case["contenders"]["our numpy"]["ratio"] == 2.0
    assert case["contenders"]["our numpy"]["quartiles_seconds"] == [0.0025, 0.0035]
    data = {"command": "c", "date": "d", "threads": 2, "machine": {"processor": "one"}, "cases": [case]}
    assert "| lenet5 (image 32 x 32) | 3.00 ms (2.00) | - | - | - | 1.50 ms (1.00) | - |" in report.short(data)
    assert "- torch eager: it died" in report.full(data)


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2.00 s"), (0.1234, "123 ms"), (0.0123, "12.3 ms"), (9.99e-5, "99.9 us"), (5e-8, "0.05 us")],
)
def test_seconds(value: float, text: str) -> None:
    assert report.seconds(value) == text


@pytest.mark.parametrize("kind", KINDS)
def test_depth(tmp_path: Path, kind: str) -> None:
    """Every stage is timed, and what is written is the model."""
    marks = depth.stages(kind, 3, tmp_path)
    assert set(depth.STAGES) <= set(marks)
    assert depth.total(marks) == pytest.approx(sum(value for name, value in marks.items() if name != "passes"))
    session = onnxruntime.InferenceSession(tmp_path / "main.onnx")
    (port,) = session.get_inputs()
    shape = [2, *port.shape[1:]]
    (y,) = session.run(None, {port.name: np.ones(shape, np.float32)})
    assert list(y.shape) == shape
    program = load(tmp_path / "3.yaml").program
    assert sum(node.op.name == "relu" for node in program.entries["main"].graph.nodes) in (1, 4)


def test_gpu_needs_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(gpu, "gpu_facts", lambda: None)
    with pytest.raises(SystemExit) as caught:
        gpu.main()
    assert caught.value.code == 1
    assert "needs an NVIDIA GPU that torch can use; there is none here" in capsys.readouterr().err


def test_race_on_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU stands for the device: our kernels are interpreted, torch is eager."""
    monkeypatch.setattr(gpu, "CONTENDERS", (gpu.OURS, gpu.EAGER))
    setting = gpu.Setting(SMALL[0], 2, "bfloat16", device="cpu")
    for result in gpu.race(setting, tmp_path, 1, 1.0, lambda message: None):
        assert not result.problem
        assert result.error is not None and result.error <= gpu.CLOSE["bfloat16"] and result.times


def test_page_of_a_gpu() -> None:
    results = [
        race.Result(gpu.OURS, [0.001] * 3, 1e-6),
        race.Result(gpu.EAGER, [], 0.5, "the outputs differ"),
        race.Result(gpu.COMPILED, [0.002] * 3, 2e-6),
    ]
    case = gpu.case_data(gpu.Setting(CASES[2], 32, "float16"), results)
    assert case["contenders"][gpu.OURS]["ratio"] == 0.5 and case["batch"] == 32 and case["dtype"] == "float16"
    text = gpu.page({"command": "c", "date": "d", "machine": {"GPU": "H100"}, "cases": [case]})
    row = "| resnet50 (image 224 x 224) | 32 | float16 | 1.00 ms (0.50) | - | 2.00 ms (1.00) | 1e-06 / 5e-01 / 2e-06 |"
    assert row in text
    assert "- resnet50, batch 32, float16, torch eager: the outputs differ" in text
    assert gpu.file_name("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"
