"""Language models that continue a text, and the encoder-decoder that translates one, against independent ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, OpenAIGPTConfig, OpenAIGPTLMHeadModel

from .running import EXACT, Reference, error, random_ids, randomize, save, save_state
from .text_oracles import greedy, longs, of_torch

SDPA: dict[str, Any] = {"attn_implementation": "sdpa"}
SMALL: dict[str, Any] = {"depth": 2, "width": 24, "heads": 3, "vocabulary": 61, "context": 32, "new_tokens": 7}
LLAMA: dict[str, Any] = {**SMALL, "heads": 4, "kv_heads": 2, "head_width": 8, "hidden": 40}


@pytest.mark.parametrize("head", [True, False], ids=["with head", "decoder only"])
def test_gpt1(tmp_path: Path, head: bool) -> None:
    sizes: dict[str, Any] = {"n_layer": 2, "n_embd": 24, "n_head": 3, "vocab_size": 61, "n_positions": 32}
    net: Any = randomize(OpenAIGPTLMHeadModel(OpenAIGPTConfig(**sizes)))
    for block in net.transformer.h:
        block.attn.bias = torch.ones(1, 1, 32, 32).tril().double()  # the causal mask, which is no weight
    path = save(net if head else net.transformer, tmp_path / "w.safetensors")
    reference = Reference("gpt1", path, stop=60, **SMALL)
    ids = random_ids(2, 11, below=61)
    assert error(reference(ids=ids)["logits"], net(longs(ids)).logits) < EXACT
    got = reference("generate", ids=ids, temperature=1.0, seed=0)["tokens"]
    np.testing.assert_array_equal(got, greedy(of_torch(lambda texts: net(texts).logits), ids, 7, stop=60))


class Lecture(nn.Module):
    """A decoder with a module for each head, as it is written on the blackboard."""

    def __init__(self, letters: int, width: int, heads: int, context: int, depth: int) -> None:
        super().__init__()
        self.token_embedding_table = nn.Embedding(letters, width)
        self.position_embedding_table = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, letters)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.token_embedding_table(ids) + self.position_embedding_table.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.sa = nn.ModuleDict()
        self.sa["heads"] = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(width, width // heads, bias=False) for name in ("key", "query", "value")})
            for _ in range(heads)
        )
        self.sa["proj"] = nn.Linear(width, width)
        self.ffwd = nn.ModuleDict(
            {"net": nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))}
        )
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.ln1(x)
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        seen = []
        for head in self.sa["heads"]:
            key, query, value = (head[name](h) for name in ("key", "query", "value"))
            score = (query @ key.transpose(1, 2) / math.sqrt(key.shape[-1])).masked_fill(later, -math.inf)
            seen.append(score.softmax(-1) @ value)
        x = x + self.sa["proj"](torch.cat(seen, -1))
        return x + self.ffwd["net"](self.ln2(x))


def test_gpt_lecture(tmp_path: Path) -> None:
    net = randomize(Lecture(letters=41, width=24, heads=6, context=32, depth=2))
    path = save(net, tmp_path / "w.safetensors")
    sizes = {"vocabulary": 41, "width": 24, "heads": 6, "context": 32, "depth": 2, "new_tokens": 6, "top_k": 1}
    reference = Reference("gpt_lecture", path, **sizes)
    ids = random_ids(2, 9, below=41)
    assert error(reference(ids=ids)["logits"], net(longs(ids))) < EXACT
    got = reference("generate", ids=ids, temperature=1.0, seed=0)["tokens"]
    np.testing.assert_array_equal(got, greedy(of_torch(net), ids, 6))


@pytest.mark.parametrize("form", ["plain", "tied and stretched"])
def test_llama(tmp_path: Path, form: str) -> None:
    names: dict[str, Any] = {"num_hidden_layers": 2, "hidden_size": 24, "num_attention_heads": 4, "vocab_size": 61}
    names |= {"num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 40, "max_position_embeddings": 32}
    args = dict(LLAMA)
    rope: dict[str, Any] = {"rope_theta": 10000.0, "rope_type": "default"}
    if form != "plain":
        rope = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0}
        rope |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 16}
        names["tie_word_embeddings"] = True
        args |= {"tied": True, "stretch": 4.0, "learned": 16, "base": 500.0}
    net: Any = randomize(LlamaForCausalLM(LlamaConfig(**names, rope_parameters=rope, rms_norm_eps=1e-5, **SDPA)))
    # Frequencies are a buffer, which is no weight.
    net.model.rotary_emb = type(net.model.rotary_emb)(net.config)
    reference = Reference("llama", save(net, tmp_path / "w.safetensors"), stop=60, **args)
    ids = random_ids(2, 11, below=61)
    # The angles are float32 there.
    assert error(reference(ids=ids)["logits"], net(longs(ids)).logits) < 1e-6
    got = reference("generate", ids=ids, temperature=1.0, seed=0)["tokens"]
    np.testing.assert_array_equal(got, greedy(of_torch(lambda texts: net(texts).logits), ids, 7, stop=60))


class Vaswani(nn.Module):
    """torch's own layers between embeddings and sinusoids of section 3.5."""

    def __init__(self, words: int, width: int, heads: int, hidden: int, depth: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.tr = nn.Transformer(width, heads, depth, depth, hidden, dropout=0.0, batch_first=True)
        self.tr.encoder.norm = self.tr.decoder.norm = None

    def read(self, ids: torch.Tensor) -> torch.Tensor:
        width = self.embed.embedding_dim
        place = torch.zeros(ids.shape[1], width, dtype=torch.float64)
        for at in range(ids.shape[1]):
            for k in range(0, width, 2):
                place[at, k] = math.sin(at / 10000 ** (k / width))
                place[at, k + 1] = math.cos(at / 10000 ** (k / width))
        return self.embed(ids) * math.sqrt(width) + place

    def forward(self, ids: torch.Tensor, target: torch.Tensor, padding: torch.Tensor | None = None) -> torch.Tensor:
        later = nn.Transformer.generate_square_subsequent_mask(target.shape[1], dtype=torch.float64)
        given = {"src_key_padding_mask": padding, "memory_key_padding_mask": padding}
        out = self.tr(self.read(ids), self.read(target), tgt_mask=later, **given)
        return functional.linear(out, self.embed.weight)


def test_transformer(tmp_path: Path) -> None:
    net = randomize(Vaswani(words=47, width=24, heads=3, hidden=40, depth=2))
    sizes: dict[str, Any] = {"vocabulary": 47, "width": 24, "heads": 3, "hidden": 40, "depth": 2, "new_tokens": 8}
    path = save_state(net.state_dict(), tmp_path / "w.safetensors")
    ids, target = random_ids(2, 9, below=47), random_ids(2, 5, below=47, seed=1)
    mask = np.arange(9) < np.array([[9], [6]])
    got = Reference("transformer", path, **sizes)(source=ids, target=target)["logits"]
    assert error(got, net(longs(ids), longs(target))) < EXACT
    reference = Reference("transformer", path, ("mask",), **sizes)
    wanted = net(longs(ids), longs(target), torch.tensor(~mask))
    assert error(reference(source=ids, target=target, mask=mask)["logits"], wanted) < EXACT
    tokens = reference("generate", source=ids, mask=mask, temperature=1.0, seed=0)["tokens"]
    answer = of_torch(lambda texts: net(longs(ids), texts, torch.tensor(~mask)))
    np.testing.assert_array_equal(tokens, greedy(answer, np.ones((2, 1), np.int64), 8, stop=2))
