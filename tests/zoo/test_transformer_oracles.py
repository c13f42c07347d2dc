"""Transformers against those of Hugging Face, with weights under their own key names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertModel,
    CLIPTextConfig,
    CLIPTextModel,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from netwright.backends.executable import InputError

from .attention_oracles import VisionTransformer
from .running import EXACT, Reference, error, random_floats, random_ids, randomize, save, save_state
from .text_oracles import longs

BERT: dict[str, Any] = {"depth": 2, "width": 24, "heads": 3, "hidden": 40, "vocabulary": 99, "context": 32}
GPT2: dict[str, Any] = {"depth": 3, "width": 24, "heads": 3, "vocabulary": 61, "context": 32, "new_tokens": 9}


SDPA: dict[str, Any] = {"attn_implementation": "sdpa"}
"""The eager softmax runs in float32, whatever the model is."""


def bert_config(**sizes: int) -> BertConfig:
    names = {"vocabulary": "vocab_size", "width": "hidden_size", "depth": "num_hidden_layers"}
    names |= {"heads": "num_attention_heads", "hidden": "intermediate_size", "context": "max_position_embeddings"}
    options: dict[str, Any] = {names[key]: size for key, size in sizes.items()}
    return BertConfig(**options, **SDPA)


@pytest.mark.parametrize("with_heads", [False, True], ids=["encoder", "pre-training"])
def test_bert(tmp_path: Path, with_heads: bool) -> None:
    """Both ways in which files of BERT are written; a mask; two texts in one."""
    config = bert_config(**BERT)
    whole: Any = randomize(BertForPreTraining(config) if with_heads else BertModel(config))
    path = save(whole, tmp_path / "w.safetensors")
    net = whole.bert if with_heads else whole
    ids, types = random_ids(2, 7, below=99), random_ids(2, 7, below=2, seed=1)
    mask = np.arange(7) < np.array([[7], [4]])
    plain = Reference("bert_base", path, **BERT)(ids=ids)
    wanted = net(longs(ids))
    assert error(plain["hidden_states"], wanted.last_hidden_state) < EXACT
    assert error(plain["pooled"], wanted.pooler_output) < EXACT
    got = Reference("bert_base", path, given=("mask", "token_types"), **BERT)(ids=ids, mask=mask, token_types=types)
    wanted = net(longs(ids), attention_mask=longs(mask), token_type_ids=longs(types))
    assert error(got["hidden_states"], wanted.last_hidden_state) < EXACT
    assert error(got["pooled"], wanted.pooler_output) < EXACT


def test_bert_heads(tmp_path: Path) -> None:
    """Hidden words and next sentence, as it was trained."""
    net: Any = randomize(BertForPreTraining(bert_config(**BERT)))
    path = save(net, tmp_path / "w.safetensors")
    ids = random_ids(2, 7, below=99)
    got = Reference("bert_base", path, pretraining=True, **BERT)(ids=ids)
    wanted = net(longs(ids))
    assert error(got["words"], wanted.prediction_logits) < EXACT
    assert error(got["follows"], wanted.seq_relationship_logits) < EXACT
    assert set(Reference("bert_base", path, **BERT)(ids=ids)) == {"hidden_states", "pooled"}


def test_bert_base_layer(tmp_path: Path) -> None:
    """One layer of full width."""
    net = randomize(BertModel(BertConfig(num_hidden_layers=1, vocab_size=200, **SDPA)))
    reference = Reference("bert_base", save(net, tmp_path / "w.safetensors"), depth=1, vocabulary=200)
    ids = random_ids(1, 16, below=200)
    assert error(reference(ids=ids)["hidden_states"], net(longs(ids)).last_hidden_state) < EXACT


def test_bert_oldest_names(tmp_path: Path) -> None:
    """Files made by TensorFlow's names call gain and bias of a norm gamma and beta."""
    net = randomize(BertModel(bert_config(**BERT)))
    state = {f"bert.{key}": value for key, value in net.state_dict().items()}
    for old, new in (("gamma", "weight"), ("beta", "bias")):
        state = {key.replace(f"LayerNorm.{new}", f"LayerNorm.{old}"): value for key, value in state.items()}
    state |= {"cls.predictions.bias": torch.zeros(99), "bert.embeddings.position_ids": torch.arange(32)[None]}
    path = save_state(state, tmp_path / "w.safetensors")
    ids = random_ids(2, 7, below=99)
    got = Reference("bert_base", path, **BERT)(ids=ids)["pooled"]
    assert error(got, net(longs(ids)).pooler_output) < EXACT


def gpt2(seed: int = 0) -> Any:
    sizes: dict[str, Any] = {"n_layer": 3, "n_embd": 24, "n_head": 3, "vocab_size": 61, "n_positions": 32}
    config = GPT2Config(**sizes, bos_token_id=60, eos_token_id=60, **SDPA)
    return randomize(GPT2LMHeadModel(config), seed)


@pytest.mark.parametrize("head", [True, False], ids=["with head", "decoder only"])
def test_gpt2(tmp_path: Path, head: bool) -> None:
    net = gpt2()
    path = save(net if head else net.transformer, tmp_path / "w.safetensors")
    ids = random_ids(2, 11, below=61)
    assert error(Reference("gpt2", path, **GPT2)(ids=ids)["logits"], net(longs(ids)).logits) < EXACT


def test_gpt2_full_size_layer(tmp_path: Path) -> None:
    config = GPT2Config(n_layer=1, vocab_size=100, bos_token_id=0, eos_token_id=0, **SDPA)
    net = randomize(GPT2LMHeadModel(config))
    path = save(net, tmp_path / "w.safetensors")
    ids = random_ids(1, 16, below=100)
    got = Reference("gpt2", path, depth=1, vocabulary=100)(ids=ids)["logits"]
    assert error(got, net(longs(ids)).logits) < EXACT


@pytest.mark.parametrize("ids", [[[0, 61]], [[-1, 3]]])
def test_ids_out_of_range(ids: list[list[int]]) -> None:
    with pytest.raises(InputError, match=r"ids.*0 to 60"):
        Reference("gpt2", **GPT2)(ids=np.array(ids))


def test_text_too_long() -> None:
    with pytest.raises(InputError, match=r"T must lie from 1 to 32"):
        Reference("gpt2", **GPT2)(ids=np.zeros((1, 33), np.int64))


@pytest.mark.parametrize("gated", [False, True], ids=["1.0", "1.1"])
def test_t5(tmp_path: Path, gated: bool) -> None:
    """Longer than the furthest distance; inner width other than the model's; the tied head scales."""
    options: dict[str, Any] = {"vocab_size": 50, "d_model": 20, "d_kv": 6, "d_ff": 36, "num_layers": 2, "num_heads": 4}
    options |= {"feed_forward_proj": "gated-gelu" if gated else "relu", "tie_word_embeddings": not gated}
    net: Any = randomize(T5ForConditionalGeneration(T5Config(**options, **SDPA)))
    sizes: dict[str, Any] = {"vocabulary": 50, "width": 20, "head_width": 6, "hidden": 36, "depth": 2, "heads": 4}
    path = save(net, tmp_path / "w.safetensors")
    ids, target = random_ids(2, 150, below=50), random_ids(2, 140, below=50, seed=1)
    mask = np.arange(150) < np.array([[150], [97]])
    reference = Reference("t5", path, given=("mask",), v1_1=gated, **sizes)
    got = reference(source=ids, target=target, mask=mask)
    wanted = net(input_ids=longs(ids), attention_mask=longs(mask), decoder_input_ids=longs(target))
    assert error(got["logits"], wanted.logits) < 1e-5  # transformers norms in float32
    assert error(got["memory"], wanted.encoder_last_hidden_state) < 1e-5


@pytest.mark.parametrize("prefix", ["", "text_model."])
def test_clip_text(tmp_path: Path, prefix: str) -> None:
    options: dict[str, Any] = {"vocab_size": 49, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2}
    options |= {"num_attention_heads": 3, "max_position_embeddings": 16, "eos_token_id": 48, "bos_token_id": 0}
    net = randomize(CLIPTextModel(CLIPTextConfig(**options, **SDPA)))
    path = save_state({prefix + key: value for key, value in net.state_dict().items()}, tmp_path / "w.safetensors")
    sizes: dict[str, Any] = {"depth": 2, "width": 24, "heads": 3, "hidden": 40, "vocabulary": 49, "context": 16}
    ids = random_ids(2, 11, below=49)
    got = Reference("clip_text", path, **sizes)(ids=ids)["hidden_states"]
    assert error(got, net(longs(ids)).last_hidden_state) < EXACT


def test_vit(tmp_path: Path) -> None:
    net = randomize(VisionTransformer(size=48, patch=16, depth=2, width=24, heads=3, hidden=40))
    sizes: dict[str, Any] = {"size": 48, "depth": 2, "width": 24, "heads": 3, "hidden": 40}
    image = random_floats(2, 3, 48, 48)
    got = Reference("vit_b16", save(net, tmp_path / "w.safetensors"), **sizes)(image=image)["logits"]
    assert error(got, net(torch.tensor(image).double())) < EXACT
