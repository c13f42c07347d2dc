"""Recurrent networks against torch's, with weights under torch's own key names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .running import EXACT, Reference, error, random_floats, random_ids, randomize, save, save_state
from .sequence_oracles import Luong, RnnSearch, Sutskever

CELLS: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def last_states(cell: str, wanted: Any) -> dict[str, Tensor]:
    """torch's last states by name, each (layers * directions, batch, hidden)."""
    return {"h": wanted[0], "c": wanted[1]} if cell == "lstm" else {"h": wanted}


def assert_states(cell: str, got: dict[str, np.ndarray], wanted: Any, layers: int, both: bool) -> None:
    directions = ["ahead", "back"] if both else ["ahead"]
    for kind, states in last_states(cell, wanted).items():
        for layer in range(layers):
            for at, direction in enumerate(directions):
                state = states[layer * len(directions) + at]
                assert error(got[f"states.{layer}.{direction}.{kind}"], state) < EXACT


@pytest.mark.parametrize("both", [False, True], ids=["ahead", "both"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_recurrent(tmp_path: Path, cell: str, layers: int, both: bool) -> None:
    net = randomize(CELLS[cell](5, 7, layers, batch_first=True, bidirectional=both))
    args: dict[str, Any] = {"features": 5, "hidden": 7, "depth": layers, "bidirectional": both}
    reference = Reference(cell, save(net, tmp_path / "w.safetensors"), **args)
    x = random_floats(3, 6, 5)
    got = reference(x=x)
    y, states = net(torch.tensor(x).double())
    assert error(got["y"], y) < EXACT
    assert_states(cell, got, states, layers, both)


@pytest.mark.parametrize("cell", CELLS)
def test_lengths(tmp_path: Path, cell: str) -> None:
    """Sequences of several lengths equal torch's packed ones: states stop, what follows is zero."""
    net = randomize(CELLS[cell](5, 7, 2, batch_first=True, bidirectional=True))
    args: dict[str, Any] = {"features": 5, "hidden": 7, "depth": 2, "bidirectional": True}
    reference = Reference(cell, save(net, tmp_path / "w.safetensors"), given=("lengths",), **args)
    x, lengths = random_floats(4, 6, 5), np.array([3, 6, 1, 4])
    got = reference(x=x, lengths=lengths)
    rows = pack_padded_sequence(torch.tensor(x).double(), torch.tensor(lengths), True, enforce_sorted=False)
    packed, states = net(rows)
    y, _ = pad_packed_sequence(packed, batch_first=True, total_length=6)
    assert error(got["y"], y) < EXACT
    assert_states(cell, got, states, 2, True)


def test_full_size(tmp_path: Path) -> None:
    """The sizes that the zoo names."""
    net = randomize(nn.LSTM(32, 64, batch_first=True))
    x = random_floats(2, 20, 32)
    got = Reference("lstm", save(net, tmp_path / "w.safetensors"))(x=x)
    assert error(got["y"], net(torch.tensor(x).double())[0]) < EXACT


WORDS: dict[str, Any] = {"source_vocabulary": 23, "target_vocabulary": 19, "new_tokens": 6}


def assert_sentences(got: dict[str, np.ndarray], wanted: list[list[int]], stop: int) -> None:
    """Free-running words: each sentence up to and without its stop, its length beside it."""
    assert len({len(sentence) for sentence in wanted}) > 1, "the sentences should end at several places"
    assert got["tokens"].shape == (len(wanted), 6)
    for row, length, sentence in zip(got["tokens"], got["count"], wanted, strict=True):
        assert list(row[: len(sentence)]) == sentence
        assert length == len(sentence)
        assert set(row[len(sentence) :]) <= {stop}


def test_seq2seq(tmp_path: Path) -> None:
    net = randomize(Sutskever(23, 19, 8, 2), seed=2)
    reference = Reference("seq2seq", save(net, tmp_path / "w.safetensors"), width=8, depth=2, **WORDS)
    source, target = random_ids(5, 4, below=23), random_ids(5, 3, below=19, seed=1)
    got = reference(source=source, target=target)["logits"]
    assert error(got, net(torch.tensor(source), torch.tensor(target))) < EXACT
    assert_sentences(
        reference("generate", source=source, temperature=1.0, seed=0), net.generate(torch.tensor(source), 1, 2, 6), 2
    )


@pytest.mark.parametrize(("score", "stop"), [("dot", 6), ("general", 6), ("concat", 10)])
def test_seq2seq_luong(tmp_path: Path, score: str, stop: int) -> None:
    net = randomize(Luong(23, 19, 8, 2, score), seed=2)
    sizes: dict[str, Any] = {"width": 8, "depth": 2, "score": score}
    reference = Reference("seq2seq_luong", save(net, tmp_path / "w.safetensors"), **sizes, stop=stop, **WORDS)
    source, target = random_ids(5, 4, below=23), random_ids(5, 3, below=19, seed=1)
    got = reference(source=source, target=target)["logits"]
    assert error(got, net(torch.tensor(source), torch.tensor(target))) < EXACT
    assert_sentences(
        reference("generate", source=source, temperature=1.0, seed=0),
        net.generate(torch.tensor(source), 1, stop, 6),
        stop,
    )


def test_seq2seq_attention(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"embedding": 6, "hidden": 8, "align": 5, "maxout": 4}
    net = randomize(RnnSearch(23, 19, **sizes), seed=1)
    path = save(net, tmp_path / "w.safetensors")
    source, target = random_ids(5, 4, below=23), random_ids(5, 3, below=19, seed=1)
    reference = Reference("seq2seq_attention", path, stop=10, **sizes, **WORDS)
    got = reference(source=source, target=target)["logits"]
    assert error(got, net(torch.tensor(source), torch.tensor(target))) < EXACT
    assert_sentences(
        reference("generate", source=source, temperature=1.0, seed=0), net.generate(torch.tensor(source), 1, 10, 6), 10
    )
    lengths = np.array([4, 2, 1, 3, 4])
    masked = Reference("seq2seq_attention", path, given=("lengths",), **sizes, **WORDS)
    got = masked(source=source, target=target, lengths=lengths)["logits"]
    for at, length in enumerate(lengths):
        alone = net(torch.tensor(source[at : at + 1, :length]), torch.tensor(target[at : at + 1]))
        assert error(got[at : at + 1], alone) < EXACT


def frnn(tmp_path: Path, net: nn.RNN) -> Path:
    """torch's one-layer network under the names of ours."""
    state = {f"cell.{key.removesuffix('_l0')}": value for key, value in net.state_dict().items()}
    return save_state(state, tmp_path / "w.safetensors")


def test_frnn(tmp_path: Path) -> None:
    """All connections is Elman's network; a mask of zeros cuts them."""
    net = randomize(nn.RNN(8, 16, batch_first=True))
    x, mask = random_floats(3, 5, 8), (random_floats(16, 16) > 0).astype(np.float32)
    path = frnn(tmp_path, net)
    wanted, last = net(torch.tensor(x).double())
    got = Reference("frnn", path)(x=x)
    assert error(got["y"], wanted) < EXACT
    assert error(got["state"], last[0]) < EXACT
    with torch.no_grad():
        net.weight_hh_l0 *= torch.tensor(mask)
    wanted, _ = net(torch.tensor(x).double())
    assert error(Reference("frnn", path, ("mask",))(x=x, mask=mask)["y"], wanted) < EXACT


def test_frnn_as_a_stack(tmp_path: Path) -> None:
    """Two layers are one network whose mask lets the first feed the second, a step later."""
    weights = {name: random_floats(6, 6, seed=at) for at, name in enumerate(("first", "up", "second"))}
    whole = np.zeros((12, 12), np.float32)
    whole[:6, :6], whole[6:, :6], whole[6:, 6:] = weights["first"], weights["up"], weights["second"]
    given = np.zeros((12, 8), np.float32)
    given[:6] = random_floats(6, 8, seed=9)
    state = {
        "cell.weight_hh": whole,
        "cell.weight_ih": given,
        "cell.bias_ih": np.zeros(12),
        "cell.bias_hh": np.zeros(12),
    }
    tensors = {key: torch.tensor(value) for key, value in state.items()}
    path = save_state(tensors, tmp_path / "w.safetensors")
    x = random_floats(2, 5, 8)
    got = Reference("frnn", path, units=12, read=12)(x=x)["y"]
    low = high = np.zeros((2, 6))
    for at in range(5):
        high = np.tanh(low @ weights["up"].T + high @ weights["second"].T)
        low = np.tanh(x[:, at] @ given[:6].T + low @ weights["first"].T)
        assert error(got[:, at, :6], low) < 1e-6
        assert error(got[:, at, 6:], high) < 1e-6
