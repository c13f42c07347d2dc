"""Recurrent networks and transformers trained beside torch and transformers, from the same start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from netwright.driver.build import Weights
from netwright.driver.model import Model, load

from ..zoo.running import save
from .running import assert_near, begin, model_of

STEPS = 10
TARGETS = ("numpy", "jax", "onnx")
CELLS: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU}
RNN = """
include: {{recurrent: zoo:recurrent}}
inputs: {{x: 'float[N, T, 3]', lengths: 'int64[N]'}}
graph:
  - {{block: recurrent.stack, name: net, path: net, in: {{x: x, lengths: lengths}}, cell: recurrent.{cell}, hidden: 5, depth: 2, bidirectional: true}}
  - {{op: linear, name: y, path: head, in: net.y, features: 4}}
outputs: {{y: y}}
training:
  inputs: {{label: 'int64[N, T]'}}
  loss: cross_entropy(y, label)
  optimizer: {{kind: adam}}
  clip: 0.5
  rate: 0.01
"""


class Tagger(nn.Module):
    def __init__(self, cell: str) -> None:
        super().__init__()
        self.net = CELLS[cell](3, 5, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(10, 4)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        rows = pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        return self.head(pad_packed_sequence(self.net(rows)[0], True, total_length=x.shape[1])[0])


@pytest.mark.parametrize(("cell", "target"), [("lstm", "numpy"), ("lstm", "jax"), ("gru", "numpy"), ("gru", "onnx")])
def test_a_recurrent_tagger_over_sequences_of_several_lengths(tmp_path: Path, cell: str, target: str) -> None:
    run = begin(model_of(tmp_path, RNN.format(cell=cell)), target)
    net = Tagger(cell)
    net.load_state_dict({path: torch.tensor(array) for path, array in run.first.items()})
    learner = torch.optim.Adam(net.parameters(), 0.01)
    rng = np.random.default_rng(0)
    for count in range(STEPS):
        # Sequences of other lengths in the steps, too.
        size = 6 + count % 2
        x, label = rng.normal(size=(4, size, 3)).astype(np.float32), rng.integers(0, 4, (4, size))
        lengths = np.array([3, size, 1, 4])
        learner.zero_grad()
        loss = nn.functional.cross_entropy(
            net(torch.tensor(x), torch.tensor(lengths)).flatten(0, 1), torch.tensor(label).flatten()
        )
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        learner.step()
        assert run.step(0.01, x=x, lengths=lengths, label=label)["loss"] == pytest.approx(
            float(loss.detach()), rel=1e-4
        )
    assert_near(run.weights(), {path: tensor.numpy() for path, tensor in net.state_dict().items()}, 3e-4)


def weights_in(net: nn.Module, folder: Path, model: Model) -> dict[str, np.ndarray]:
    """What a public checkpoint of the network is as our parameters."""
    read = Weights(path=save(net, folder / "w.safetensors")).parameters(model)
    return {path: np.asarray(read[path]) for path in read}


@pytest.mark.parametrize("target", TARGETS)
def test_a_gpt_beside_transformers(tmp_path: Path, target: str) -> None:
    """Tied embeddings, ids that repeat, clipping, decoupled decay."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"n_layer": 2, "n_embd": 16, "n_head": 2, "vocab_size": 13, "n_positions": 12}
    quiet: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    net: Any = GPT2LMHeadModel(GPT2Config(**sizes, **quiet, bos_token_id=0, eos_token_id=0))
    model = load("zoo:gpt2", depth=2, width=16, heads=2, vocabulary=13, context=12, new_tokens=3)
    run = begin(model, target, weights=weights_in(net, tmp_path, model))
    learner = torch.optim.AdamW(net.parameters(), 1e-3, betas=(0.9, 0.95), weight_decay=0.1)
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        ids = rng.integers(0, 13, (3, 9))
        learner.zero_grad()
        loss = net(input_ids=torch.tensor(ids), labels=torch.tensor(ids)).loss
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        learner.step()
        assert run.step(1e-3, ids=ids)["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    assert_near(run.weights(), weights_in(net, tmp_path, model), 5e-4)


T5 = """
parts:
  net: {model: zoo:t5, path: ., vocabulary: 19, width: 12, head_width: 5, hidden: 20, depth: 2, heads: 2, buckets: 8, furthest: 12}
inputs: {source: 'int64[N, S]', target: 'int64[N, T]'}
graph:
  - {part: net, name: run, in: {source: source, target: target}}
outputs: {logits: run.logits}
training:
  inputs: {answer: 'int64[N, T]'}
  loss: cross_entropy(run.logits, answer)
  optimizer: {kind: sgd, momentum: 0.9}
  rate: 0.01
"""


def test_relative_positions_beside_transformers(tmp_path: Path) -> None:
    """The biases of attention are rows of a table that every pair of places reads, in all layers."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 19, "d_model": 12, "d_kv": 5, "d_ff": 20, "num_layers": 2, "num_heads": 2}
    sizes |= {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 12, "dropout_rate": 0.0}
    net: Any = T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0))
    inner = load("zoo:t5", vocabulary=19, width=12, head_width=5, hidden=20, depth=2, heads=2, buckets=8, furthest=12)
    run = begin(model_of(tmp_path, T5), weights=weights_in(net, tmp_path, inner))
    learner = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    rng = np.random.default_rng(0)
    for _ in range(4):
        source, target, answer = (rng.integers(0, 19, (2, size)) for size in (15, 14, 14))
        learner.zero_grad()
        loss = net(
            input_ids=torch.tensor(source), decoder_input_ids=torch.tensor(target), labels=torch.tensor(answer)
        ).loss
        loss.backward()
        learner.step()
        assert run.step(0.01, source=source, target=target, answer=answer)["loss"] == pytest.approx(
            float(loss.detach()), rel=1e-4
        )
    wanted = weights_in(net, tmp_path, inner)
    assert any("relative_attention_bias" in path for path in wanted)
    assert_near(run.weights(), wanted, 5e-4)
