"""Whole runs in this process: measures, early stopping, validation, what is written, what is refused."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from netwright.driver.build import Build, Weights, compile_model
from netwright.driver.model import load
from netwright.driver.training import INTERRUPTED, CheckpointError, DataError, NotFiniteError, Progress, Settings, train
from netwright.driver.training.first import trainable
from netwright.driver.training.session import CHECKPOINT, CURVE, METRICS, WEIGHTS

from ..cli.conftest import Cli, cli
from .small import SPEC, data_file, examples, spec

__all__ = ["cli"]


def test_what_a_run_writes_and_what_it_tells(tmp_path: Path, cli: Cli) -> None:
    model, data, folder = spec(tmp_path), data_file(tmp_path), tmp_path / "out" / "run"
    told = cli("train", model, "--data", data, "-o", folder, "--validation", "0.2", "--json").json
    assert sorted(path.name for path in folder.iterdir()) == sorted([CHECKPOINT, CURVE, METRICS, WEIGHTS])
    lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    assert told["epochs"] == lines and told["ended"] == "6 epochs are done" and told["folder"] == str(folder)
    names = ["epoch", "loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate", "seconds"]
    assert [list(line) for line in lines] == [names] * 6
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["validation_accuracy"] > 0.6 and lines[-1]["loss"] < lines[0]["loss"] * 0.8
    assert lines[0]["learning_rate"] == 0.02 and lines[-1]["learning_rate"] < 0.002
    root = ElementTree.fromstring((folder / CURVE).read_text())
    assert root.tag.endswith("svg")
    assert {"loss", "validation_loss", "small, numpy"} <= {each.text for each in root.iter()}
    # The weights feed the model as any others.
    assert set(load_file(folder / WEIGHTS)) == set(load(model).program.parameters)
    net = compile_model(load(model), Build("numpy"), Weights(path=folder / WEIGHTS))
    given = examples(200, 5)
    assert (net(x=given["x"])["y"].argmax(1) == given["label"]).mean() > 0.8


def test_the_table_of_a_run(tmp_path: Path, cli: Cli) -> None:
    text = cli("train", spec(tmp_path), "-d", data_file(tmp_path), "--epochs", 2).fine()
    assert "epoch 2/2  loss" in text and "2 epochs are done" in text and "accuracy" in text


def test_two_runs_are_one(tmp_path: Path) -> None:
    model = load(spec(tmp_path))
    for name in ("one", "two"):
        train(model, examples(), Settings(folder=tmp_path / name, validation=0.2, seed=3))
    for file in (WEIGHTS, CURVE):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    other = train(model, examples(), Settings(validation=0.2, seed=4)).weights
    assert not np.array_equal(other["a.weight"], load_file(tmp_path / "one" / WEIGHTS)["a.weight"])


def test_the_mean_of_an_epoch_counts_examples_not_batches(tmp_path: Path) -> None:
    """The last batch has 4 of 100 examples. Nothing moves, so the mean is that of all."""
    text = SPEC.replace("  - {op: dropout, rate: 0.2}\n", "").replace("  - {op: batch_norm, name: n}\n", "")
    model = load(spec(tmp_path, text, rate="1.0e-12"))
    trained = train(model, examples(), Settings(epochs=1))
    whole = train(model, examples(), Settings(epochs=1, batch=100))
    assert trained.epochs[0]["accuracy"] == pytest.approx(whole.epochs[0]["accuracy"])
    assert trained.epochs[0]["loss"] == pytest.approx(whole.epochs[0]["loss"], rel=1e-5)


def test_all_examples_are_one_batch_where_the_spec_says_none(tmp_path: Path) -> None:
    path = spec(tmp_path)
    path.write_text(path.read_text().replace("  batch: 16\n", ""))
    told: list[Progress] = []
    train(load(path), examples(50), Settings(epochs=2), told.append)
    assert [(now.epoch, now.batch, now.batches) for now in told] == [(1, 1, 1), (2, 1, 1)]


def test_no_epoch_gives_the_first_weights(tmp_path: Path) -> None:
    model = load(spec(tmp_path))
    trained = train(model, examples(), Settings(epochs=0, folder=tmp_path / "run"))
    first = Weights(seed=0).parameters(model)
    for path, array in trained.weights.items():
        np.testing.assert_array_equal(array, first[path])
    ElementTree.fromstring((tmp_path / "run" / CURVE).read_text())
    # And the run goes on from there as if it had never ended.
    again = train(model, examples(), Settings(epochs=2, folder=tmp_path / "run", resume=True))
    np.testing.assert_array_equal(
        again.weights["a.weight"], train(model, examples(), Settings(epochs=2)).weights["a.weight"]
    )


STOP = SPEC + "  stop: {monitor: loss, patience: 2}\n"


def test_early_stopping_goes_back_to_the_best(tmp_path: Path) -> None:
    """Random labels: what is learned is noise, so the loss of the others rises soon."""
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(60, 4)).astype(np.float32), "label": rng.integers(0, 3, 60)}
    settings = Settings(epochs=60, validation=0.4, folder=tmp_path / "run")
    trained = train(load(spec(tmp_path, STOP, rate="0.05")), data, settings)
    losses = [epoch["validation_loss"] for epoch in trained.epochs]
    best = int(np.argmin(losses)) + 1
    assert len(losses) == best + 2 < 60
    assert trained.ended == "validation_loss has not become better for 2 epochs"
    shorter = train(load(spec(tmp_path, rate="0.05")), data, Settings(epochs=best, validation=0.4))
    for path, array in shorter.weights.items():
        np.testing.assert_array_equal(trained.weights[path], array)
    # What is over stays over, and says so.
    again = train(load(spec(tmp_path, STOP, rate="0.05")), data, Settings(**{**vars_of(settings), "resume": True}))
    assert again.ended == trained.ended and len(again.epochs) == len(losses)
    kept = train(load(spec(tmp_path, STOP.replace("patience: 2", "patience: 2, restore_best: false"), rate="0.05")), data,
                 Settings(epochs=60, validation=0.4))  # fmt: skip
    assert not np.array_equal(kept.weights["a.weight"], trained.weights["a.weight"])


def vars_of(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in Settings.__dataclass_fields__}


def test_stopping_without_examples_set_apart_watches_those_of_training(tmp_path: Path) -> None:
    text = STOP.replace("monitor: loss", "monitor: accuracy")
    trained = train(load(spec(tmp_path, text, rate="1.0e-12")), examples(16), Settings())
    assert trained.ended.startswith("accuracy has not become better")


def test_a_file_of_examples_set_apart(tmp_path: Path) -> None:
    data = data_file(tmp_path, 30, 7)
    trained = train(load(spec(tmp_path)), examples(), Settings(epochs=1, validation=data))
    half = train(load(spec(tmp_path)), examples(), Settings(epochs=1))
    assert trained.epochs[0]["loss"] == half.epochs[0]["loss"] and "validation_loss" in trained.epochs[0]


@pytest.mark.parametrize("after", [1, 3, 7, 12])
def test_a_signal_ends_after_the_step_and_the_run_goes_on(tmp_path: Path, after: int) -> None:
    """7 steps are an epoch: amid it, and with its last step."""
    model, folder = load(spec(tmp_path)), tmp_path / "run"
    seen = 0

    def tell(now: Progress) -> None:
        nonlocal seen
        seen += 1
        if seen == after:
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    ended = train(model, examples(), Settings(folder=folder), tell)
    assert seen == after and ended.ended == INTERRUPTED and len(ended.epochs) == after // 7
    assert signal.getsignal(signal.SIGINT) is handler
    resumed = train(model, examples(), Settings(folder=folder, resume=True))
    whole = train(model, examples(), Settings())
    assert [{**epoch, "seconds": 0} for epoch in resumed.epochs] == [{**epoch, "seconds": 0} for epoch in whole.epochs]
    for path, array in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[path], array)


def test_a_signal_with_the_last_step_before_stopping_does_not_train_on(tmp_path: Path) -> None:
    model, folder = load(spec(tmp_path, STOP, rate="1.0e-12")), tmp_path / "run"
    whole = train(model, examples(16), Settings())

    def tell(now: Progress) -> None:
        if now.epoch == len(whole.epochs):
            signal.raise_signal(signal.SIGINT)

    train(model, examples(16), Settings(folder=folder), tell)
    assert len(train(model, examples(16), Settings(folder=folder, resume=True)).epochs) == len(whole.epochs)


def test_checkpoints_between_and_at_the_end_of_epochs(tmp_path: Path) -> None:
    """With one after every step, a run that breaks off anywhere resumes."""
    model = load(spec(tmp_path))
    whole = train(model, examples(), Settings(epochs=2)).weights

    class Broken(Exception):
        pass

    for after in (1, 6, 7, 8, 13, 14):
        folder, seen = tmp_path / f"run{after}", 0

        def tell(now: Progress, after: int = after) -> None:
            nonlocal seen
            seen += 1
            if seen == after:
                raise Broken

        with pytest.raises(Broken):
            train(model, examples(), Settings(epochs=2, folder=folder, save_every=0), tell)
        again = train(model, examples(), Settings(epochs=2, folder=folder, save_every=0, resume=True))
        np.testing.assert_array_equal(again.weights["a.weight"], whole["a.weight"])


def test_what_is_not_the_same_run_is_not_gone_on_with(tmp_path: Path, cli: Cli) -> None:
    path, folder = spec(tmp_path), tmp_path / "run"
    model = load(path)
    train(model, examples(), Settings(epochs=1, folder=folder))
    same = {"epochs": 2, "folder": folder, "resume": True}
    other = Path(tmp_path / "other")
    other.mkdir()
    for changed, data, settings in (
        (model, examples(seed=1), Settings(**same)),
        (model, examples(), Settings(**same, seed=1)),
        (model, examples(), Settings(**same, batch=8)),
        (model, examples(), Settings(**same, validation=0.1)),
        (load(spec(other, shuffle="false", text=SPEC + "  shuffle: true\n")), examples(), Settings(**same)),
        (load(spec(other, optimizer="{kind: adam, beta1: 0.8}")), examples(), Settings(**same)),
        (load(spec(other, rate="0.02")), examples(), Settings(**same)),
    ):
        with pytest.raises(CheckpointError, match="is of another run"):
            train(changed, data, settings)
    with pytest.raises(CheckpointError, match="holds a training run; resume it, or name another folder"):
        train(model, examples(), Settings(folder=folder))
    with pytest.raises(CheckpointError, match="holds no checkpoint.safetensors to resume from"):
        train(model, examples(), Settings(folder=other, resume=True))
    with pytest.raises(CheckpointError, match="is a file; name a folder"):
        train(model, examples(), Settings(folder=path))
    with pytest.raises(CheckpointError, match="no folder to resume from"):
        train(model, examples(), Settings(resume=True))
    assert "--resume needs the folder" in cli("train", path, "-d", data_file(tmp_path), "--resume").refused()
    # None of these has changed the run.
    assert len(train(model, examples(), Settings(**same)).epochs) == 2


def test_frozen_weights_are_part_of_what_a_run_is(tmp_path: Path) -> None:
    model, folder = load(spec(tmp_path, SPEC + "  freeze: ['a.**']\n")), tmp_path / "run"
    base = {path: np.asarray(array) + 1 for path, array in Weights(seed=5).parameters(model).items()}
    first = train(model, examples(), Settings(epochs=1, folder=folder, weights=Weights(values=base)))
    np.testing.assert_array_equal(first.weights["a.weight"], base["a.weight"])
    with pytest.raises(CheckpointError, match="its fixed weights"):
        train(model, examples(), Settings(epochs=2, folder=folder, resume=True))
    again = train(model, examples(), Settings(epochs=2, folder=folder, resume=True, weights=Weights(values=base)))
    np.testing.assert_array_equal(again.weights["a.weight"], base["a.weight"])


def test_weights_that_lie_in_the_folder_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / WEIGHTS).write_bytes(b"precious")
    with pytest.raises(CheckpointError, match="name another folder"):
        train(load(spec(tmp_path)), examples(), Settings(folder=tmp_path / "run"))
    assert (tmp_path / "run" / WEIGHTS).read_bytes() == b"precious"


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    model, folder = load(spec(tmp_path)), tmp_path / "run"
    train(model, examples(), Settings(epochs=1, folder=folder))
    whole = (folder / CHECKPOINT).read_bytes()
    for damaged in (b"", whole[:100], whole[:-1], (folder / WEIGHTS).read_bytes()):
        (folder / CHECKPOINT).write_bytes(damaged)
        with pytest.raises(CheckpointError, match="is no checkpoint of a training run"):
            train(model, examples(), Settings(folder=folder, resume=True))
    (folder / CHECKPOINT).write_bytes(whole)
    (folder / METRICS).write_text("{broken")
    with pytest.raises(CheckpointError, match="holds no measures"):
        train(model, examples(), Settings(folder=folder, resume=True))


@pytest.mark.parametrize(
    ("graph", "data", "where"),
    [
        # 1 / 0 in the loss of the first batch that has a zero
        ("{name: y, value: 'log(a)'}", "zero", "log"),
        # the weights explode over some steps, then a square overflows
        ("{name: y, value: 'exp(a)'}", "large", "exp"),
    ],
)
def test_a_loss_that_is_not_finite_names_the_node(tmp_path: Path, graph: str, data: str, where: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(f"""netwright: 1
inputs: {{x: 'float[N, 1]'}}
params: {{w: {{type: 'float[1]', init: ones}}}}
graph:
  - {{name: a, value: 'x * w'}}
  - {graph}
outputs: {{y: y}}
training:
  loss: reduce_mean(y)
  optimizer: {{kind: sgd}}
  rate: 0.001
  batch: 2
  shuffle: false
  epochs: 3
""")
    x = np.full((6, 1), 1, np.float32)
    x[4] = 0 if data == "zero" else 1000
    with pytest.raises(NotFiniteError) as error:
        train(load(path), {"x": x}, Settings(folder=tmp_path / "run"))
    message = str(error.value)
    assert message.startswith("the loss is -inf" if data == "zero" else "the loss is inf")
    assert "in epoch 1, batch 3 of 3" in message and f"it begins in {where} at m.yaml:6:" in message
    assert "lower learning rate than 0.001" in message
    assert sorted(each.name for each in (tmp_path / "run").iterdir()) == [CHECKPOINT, METRICS]


def test_a_gradient_that_was_not_finite_is_blamed_not_the_loss_after_it(tmp_path: Path) -> None:
    """sqrt has no slope at 0: the loss is finite there, the weights are not any more, and then no loss is."""
    path = tmp_path / "m.yaml"
    path.write_text("""netwright: 1
inputs: {x: 'float[N, 1]'}
params: {w: {type: 'float[1]', init: ones}, mask: {type: 'float[1]', init: ones, trainable: false}}
graph:
  - {name: a, value: 'x * w'}
  - {name: b, value: 'where(x < 100, a, float(-inf))'}
  - {name: y, value: 'sqrt(where(x < 100, b, 1.0))'}
outputs: {y: y}
training:
  loss: reduce_mean(y)
  optimizer: {kind: sgd}
  rate: 0.5
  batch: 2
  shuffle: false
  epochs: 3
""")
    x = np.full((6, 1), 2, np.float32)
    x[3], x[0] = 0, 200
    with pytest.raises(NotFiniteError) as error:
        train(load(path), {"x": x}, Settings())
    message = str(error.value)
    assert "the loss is nan in epoch 1, batch 3 of 3" in message
    assert "m.yaml:7:" in message and "in epoch 1, batch 2;" in message


BAD: dict[str, tuple[Any, str]] = {
    "shape": (
        lambda d: {**d, "x": d["x"][:, :3]},
        r"x is float32\[100, 3\], the input is float32\[N, 4\]: axis 1 differs",
    ),
    "rank": (lambda d: {**d, "label": d["label"][:, None]}, r"label is int64\[100, 1\], the input is int64\[N\]"),
    "kind": (lambda d: {**d, "label": d["label"] + 0.0}, r"label is float64\[100\], the input is int64\[N\]"),
    "too high": (
        lambda d: {**d, "label": np.where(np.arange(100) == 7, 3, d["label"])},
        r"label\[7\] is 3, not from 0 to 2",
    ),
    "too low": (lambda d: {**d, "label": d["label"] - 1}, r"label\[\d+\] is -1, not from 0 to 2 \(and \d+ more\)"),
    "nan": (
        lambda d: {**d, "x": np.where(np.arange(400).reshape(100, 4) == 9, np.nan, d["x"])},
        r"x\[2, 1\] is nan, no finite number",
    ),
    "overflow": (lambda d: {**d, "x": d["x"].astype(np.float64) * 1e300}, r"x\[0, 0\] is -?inf, no finite number"),
    "empty": (lambda d: {key: value[:0] for key, value in d.items()}, "there are no examples"),
    "few": (
        lambda d: {key: value[:5] for key, value in d.items()},
        "there are 5 examples to learn from, fewer than a batch of 16",
    ),
    "counts": (lambda d: {**d, "x": d["x"][:50]}, "the numbers of examples differ: x has 50, label has 100"),
    "unknown": (lambda d: {**d, "lable": d["label"]}, "no input is called 'lable'; did you mean 'label'"),
    "missing": (lambda d: {"x": d["x"]}, "label is missing"),
    "text": (lambda d: {**d, "x": d["x"].astype(str)}, "not supported"),
    "objects": (lambda d: {**d, "x": d["x"].astype(object)}, "pickled objects, which are never loaded"),
    "rate": (lambda d: {**d, "learning_rate": d["x"]}, "no input is called 'learning_rate'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_one_message_before_the_first_step(tmp_path: Path, cli: Cli, name: str) -> None:
    change, message = BAD[name]
    data = tmp_path / "bad.npz"
    np.savez(data, **change(examples()))
    told = cli("train", spec(tmp_path), "-d", data, "-o", tmp_path / "run").refused()
    assert told.count("error: ") == 1 and "Warning" not in told
    assert re.search(message, " ".join(told.split())), told
    assert not (tmp_path / "run").exists()


def test_examples_beyond_memory_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small archive can unpack to any size; names and sizes are looked at first."""
    data = tmp_path / "large.npz"
    np.savez_compressed(data, **{**examples(), "x": np.zeros((100_000, 4), np.float32)})
    monkeypatch.setattr("netwright.driver.training.data.physical_memory", lambda: 2**20)
    monkeypatch.setattr("netwright.driver.training.data.NpzFile.read", None)
    with pytest.raises(DataError, match=r"the examples need 0\.0 GiB, this machine has 0\.0 GiB"):
        train(load(spec(tmp_path)), data, Settings())


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04broken"])
def test_a_file_that_is_no_archive(tmp_path: Path, cli: Cli, content: bytes) -> None:
    data = tmp_path / "bad.npz"
    data.write_bytes(content)
    assert "damaged" in cli("train", spec(tmp_path), "-d", data).refused()


def test_words_that_make_no_sense(tmp_path: Path, cli: Cli) -> None:
    model, data = spec(tmp_path), data_file(tmp_path)
    assert "there is no file" in cli("train", model, "-d", tmp_path / "none.npz").refused()
    assert "neither a share such as 0.1 nor a file" in cli("train", model, "-d", data, "--validation", "many").refused()
    assert "between 0 and 1" in cli("train", model, "-d", data, "--validation", "1.5").refused()
    assert "fewer than a batch of 101" in cli("train", model, "-d", data, "--batch", 101).refused()
    assert "fewer than a batch of 16" in cli("train", model, "-d", data, "--validation", "0.9").refused()
    assert "none are left" in cli("train", model, "-d", data, "--validation", "0.999").refused()
    assert "does not say how it learns" in cli("train", "zoo:gpt3", "-d", data).refused()


def test_sizes_that_no_step_takes_are_told_before(tmp_path: Path) -> None:
    model = load(spec(tmp_path, SPEC.replace("graph:", "dims: {N: [5, 20]}\ngraph:", 1)))
    with pytest.raises(DataError, match="the examples: the last batch: .*N must lie from 5 to 20"):
        train(model, examples(), Settings())
    with pytest.raises(DataError, match="the examples: axis 0 of 'x' makes N 50"):
        train(model, examples(), Settings(batch=50))
    with pytest.raises(DataError, match="the examples set apart: .*N must lie from 5 to 20"):
        train(model, examples(96), Settings(validation=0.04, batch=20))


def test_what_a_model_adds_to_learn_may_be_missing_in_a_file(tmp_path: Path) -> None:
    """A head that only training has: drawn, learned, and not among the weights of the model."""
    text = SPEC.replace(
        "  loss: cross_entropy(y, label)\n",
        "  graph: [{op: linear, name: extra, in: x, features: 3}]\n  loss: cross_entropy(y, label) + cross_entropy(extra, label)\n",
    )
    model = load(spec(tmp_path, text))
    assert "extra.weight" in model.training.parameters and "extra.weight" not in model.program.parameters
    trained = train(model, examples(), Settings(epochs=1, folder=tmp_path / "run"))
    assert "extra.weight" not in trained.weights
    again = train(model, examples(), Settings(epochs=1, weights=Weights(path=tmp_path / "run" / WEIGHTS)))
    assert again.epochs[0]["loss"] < trained.epochs[0]["loss"]
    values = train(model, examples(), Settings(epochs=1, weights=Weights(values=trained.weights)))
    assert values.epochs[0]["loss"] == again.epochs[0]["loss"]


BASE = """netwright: 1
name: base
inputs: {x: 'float[N, 4]'}
graph:
  - {op: linear, name: a, features: 6}
  - tanh
  - {op: linear, name: old, features: 10}
outputs: {old: old}
"""
ON_TOP = """netwright: 1
parts:
  base: {model: base.yaml, outputs: {seen: tanh}, weights: base.safetensors}
inputs: {x: 'float[N, 4]'}
graph:
  - {part: base, name: b, in: x}
  - {op: linear, name: head, in: b.seen, features: 3}
outputs: {y: head}
training:
  inputs: {label: 'int64[N]'}
  freeze: [base.**]
  loss: cross_entropy(head, label)
  optimizer: {kind: adam}
  rate: 0.1
  epochs: 3
"""


def test_a_new_head_on_published_weights(tmp_path: Path) -> None:
    """The folder holds the file of the sub-model alone; what is around it is drawn, and learns."""
    text = BASE.replace("  - tanh\n", "  - {op: tanh, name: tanh}\n").replace(
        "linear, name: old,", "linear, name: old, in: tanh,"
    )
    (tmp_path / "base.yaml").write_text(text)
    (tmp_path / "top.yaml").write_text(ON_TOP)
    (tmp_path / "weights").mkdir()
    base = {path: np.asarray(array) for path, array in Weights(seed=9).parameters(load(tmp_path / "base.yaml")).items()}
    save_file(base, tmp_path / "weights" / "base.safetensors")
    model = load(tmp_path / "top.yaml")
    trained = train(model, examples(), Settings(weights=Weights(path=tmp_path / "weights"), folder=tmp_path / "run"))
    np.testing.assert_array_equal(trained.weights["base.a.weight"], base["a.weight"])
    first = Weights(seed=0).parameters(model)["head.weight"]
    assert (
        not np.array_equal(trained.weights["head.weight"], first)
        and trained.weights["head.weight"].shape == first.shape
    )
    assert trained.epochs[-1]["loss"] < trained.epochs[0]["loss"]
    # What a run wrote is a file of the whole model.
    again = train(model, examples(), Settings(weights=Weights(path=tmp_path / "run" / WEIGHTS)))
    assert again.epochs[0]["loss"] < trained.epochs[0]["loss"]


def test_variants_of_the_zoo_learn(tmp_path: Path) -> None:
    """Their own sizes, not those of the document's first network."""
    model = load("zoo:resnet18")
    program = trainable(model.training)
    assert program.state["fc.weight"].type.shape == (1000, 512)
    assert {"bn1.running_mean", "optimizer/momentum/conv1.weight"} <= set(program.state)
    assert not any(name.startswith("optimizer/") and "running" in name for name in program.state)
