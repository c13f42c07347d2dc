"""Tokens that models of the zoo generate, on every target, against the whole text read anew for each token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from netwright.backends.executable import Executable
from netwright.driver.build import Build, Weights, compile_model
from netwright.driver.export import write_onnx
from netwright.driver.model import load

from .running import EXACT, Reference, error, random_ids, randomize, save
from .test_agreement import TARGETS
from .text_oracles import drawn, greedy, longs, of_torch

SDPA: dict[str, Any] = {"attn_implementation": "sdpa"}
SMALL: dict[str, Any] = {"depth": 2, "width": 24, "heads": 3, "vocabulary": 61, "context": 32, "new_tokens": 7}
LLAMA: dict[str, Any] = {**SMALL, "heads": 4, "kv_heads": 2, "head_width": 8, "hidden": 40}
PLAIN: dict[str, Any] = {"temperature": 1.0, "seed": 0}
CLEAR = 1e-4
"""A decision by more than this comes out the same on every target."""


def gpt2(depth: int = 2, context: int = 32, seed: int = 0) -> Any:
    sizes: dict[str, Any] = {"n_layer": depth, "n_embd": 24, "n_head": 3, "vocab_size": 61, "n_positions": context}
    return randomize(GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=60, eos_token_id=60, **SDPA)), seed)


def filled(tokens: Any, count: int, stop: int) -> np.ndarray:
    """transformers ends a batch when its last text ends; ours has a fixed length."""
    rows = np.asarray(tokens)
    return np.pad(rows, ((0, 0), (0, count - rows.shape[1])), constant_values=stop)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], np.ndarray, np.ndarray]:
    """GPT-2 with room for 64 tokens after 6: its file, its sizes, prompts, and what transformers makes of them.

    None of its decisions is close.
    """
    net = gpt2(depth=3, context=72, seed=2)
    path = save(net, tmp_path_factory.mktemp("gpt2") / "w.safetensors")
    ids = random_ids(2, 6, below=60)
    wanted = net.generate(longs(ids), max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=60)[:, 6:]
    scores = np.sort(net(longs(np.concatenate([ids, wanted], 1))).logits.detach().numpy()[:, 5:-1], -1)
    assert (scores[..., -1] - scores[..., -2]).min() > CLEAR
    args = {**SMALL, "depth": 3, "context": 72, "new_tokens": 64, "stop": -1}
    return path, args, ids, wanted.numpy()


def test_64_tokens(long: Any) -> None:
    """With the cache, without it, and by transformers: the same."""
    path, args, ids, wanted = long
    assert len(np.unique(wanted)) > 8, "more than a few tokens again and again"
    reference = Reference("gpt2", path, **args)
    got = reference("generate", ids=ids, **PLAIN)
    assert np.array_equal(got["tokens"], wanted)
    assert got["count"].tolist() == [64, 64]
    assert np.array_equal(greedy(lambda texts: reference(ids=texts)["logits"], ids, 64), wanted)


@pytest.mark.parametrize("target", ["numpy", "jax", "onnx"])
def test_64_tokens_on_targets(long: Any, target: str) -> None:
    path, args, ids, wanted = long
    net = compile_model(load("zoo:gpt2", **args), Build(target), Weights(path=path))
    assert np.array_equal(net.run("generate", ids=ids, **PLAIN)["tokens"], wanted)


@pytest.mark.parametrize(("seed", "stop"), [(3, 34), (4, 29)], ids=["some go on", "all end early"])
def test_stop(tmp_path: Path, seed: int, stop: int) -> None:
    """A text that has ended is filled with its stop, while others go on."""
    net = gpt2(3, seed=seed)
    args = {**SMALL, "depth": 3, "new_tokens": 9, "stop": stop}
    ids = random_ids(6, 6, below=60)
    got = Reference("gpt2", save(net, tmp_path / "w.safetensors"), **args)("generate", ids=ids, temperature=0.7, seed=0)
    found = net.generate(longs(ids), max_new_tokens=9, do_sample=False, eos_token_id=stop, pad_token_id=stop)[:, 6:]
    wanted = filled(found, 9, stop)
    assert np.array_equal(got["tokens"], wanted)
    assert got["count"].tolist() == (wanted != stop).sum(1).tolist()


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, np.ndarray, np.ndarray]:
    """A file of GPT-2, a token that ends the first text early, prompts, and what is drawn from the oracle."""
    net = gpt2(seed=1)
    path = save(net, tmp_path_factory.mktemp("gpt2") / "w.safetensors")
    ids = random_ids(2, 5, below=60)
    scores = of_torch(lambda texts: net(texts).logits)
    stop = int(drawn(scores, ids, 7, None, 0.8, 5, 0.9)[0][0, 2])
    wanted, narrowest = drawn(scores, ids, 7, stop, 0.8, 5, 0.9)
    assert narrowest > CLEAR
    assert (wanted != stop).sum(1).tolist() == [2, 7]
    return path, stop, ids, wanted


@pytest.mark.parametrize("target", ("reference", *TARGETS))
def test_sampling(sampled: Any, target: str) -> None:
    """A seed gives the same tokens on every target, those that jax's generator draws; one text ends early."""
    path, stop, ids, wanted = sampled
    model = load("zoo:gpt2", **SMALL, top_k=0, top_p=0.9, stop=stop)
    got = compile_model(model, Build(target), Weights(path=path)).run("generate", ids=ids, temperature=0.8, seed=5)
    assert np.array_equal(got["tokens"], wanted)
    assert got["count"].tolist() == [2, 7]


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_nucleus(share: float) -> None:
    """Only tokens of the smallest set that reaches the share are drawn, and several of them are."""
    reference = Reference("gpt_lecture", **{**SMALL, "new_tokens": 1, "top_p": share})
    ids = random_ids(1, 5, below=61)
    logits = reference(ids=ids)["logits"]
    got = [int(reference("generate", ids=ids, temperature=0.7, seed=seed)["tokens"][0, 0]) for seed in range(40)]
    wanted = [int(drawn(lambda _: logits, ids, 1, None, 0.7, seed, share)[0][0, 0]) for seed in range(40)]
    assert got == wanted
    assert len(set(got)) > 1


def test_top_k() -> None:
    """Of the three likeliest tokens each is drawn, and no other."""
    reference = Reference("gpt2", **{**SMALL, "new_tokens": 1, "top_k": 3})
    ids = random_ids(1, 5, below=61)
    likeliest = set(np.argsort(-reference(ids=ids)["logits"][0, -1])[:3].tolist())
    got = {int(reference("generate", ids=ids, temperature=9.0, seed=seed)["tokens"][0, 0]) for seed in range(40)}
    assert got == likeliest


def served(net: Executable, ids: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """What a server does: reads the prompt, then token by token."""
    token = net.run("prefill", ids=ids)["logits"].argmax(-1)
    yield token
    for _ in range(count - 1):
        token = net.run("decode", token=token)["logits"].argmax(-1)
        yield token


@pytest.mark.parametrize("target", TARGETS)
def test_prefill_and_decode(target: str) -> None:
    """The entries of a server give what `generate` gives, which leaves their states alone."""
    args = {**SMALL, "depth": 1, "new_tokens": 4, "stop": -1}
    net = compile_model(load("zoo:gpt2", **args), Build(target), Weights(seed=3, everywhere=True))
    ids = random_ids(2, 5, below=61)
    wanted = net.run("generate", ids=ids, **PLAIN)["tokens"]
    assert np.array_equal(np.stack(list(served(net, ids, 4)), 1), wanted)
    assert np.array_equal(net.run("generate", ids=ids, **PLAIN)["tokens"], wanted)
    assert net.states["at"] == 8


@pytest.mark.parametrize("name", ["gpt1", "gpt2", "gpt_lecture", "llama"])
def test_cache(name: str) -> None:
    """Prompt and tokens one by one give what the whole text gives, the second prompt too."""
    reference = Reference(name, **(LLAMA if name == "llama" else SMALL))
    ids = random_ids(2, 12, below=61)
    whole = reference(ids=ids)["logits"]
    assert error(reference("prefill", ids=ids[:, :5])["logits"], whole[:, 4]) < EXACT
    for at in range(5, 8):
        assert error(reference("decode", token=ids[:, at])["logits"], whole[:, at]) < EXACT
    assert error(reference("prefill", ids=ids[:, 8:])["logits"], whole[:, 11]) < EXACT
    assert reference.net.states["at"] == 12


@pytest.mark.parametrize("gated", [False, True], ids=["1.0", "1.1"])
def test_t5(tmp_path: Path, gated: bool) -> None:
    """Answers that are longer than the nearest distances, from padded texts, as transformers gives them."""
    options: dict[str, Any] = {"vocab_size": 50, "d_model": 20, "d_kv": 6, "d_ff": 36, "num_layers": 2, "num_heads": 4}
    options |= {"feed_forward_proj": "gated-gelu" if gated else "relu", "tie_word_embeddings": not gated}
    options |= {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    net: Any = randomize(T5ForConditionalGeneration(T5Config(**options, **SDPA)))
    sizes: dict[str, Any] = {"vocabulary": 50, "width": 20, "head_width": 6, "hidden": 36, "depth": 2, "heads": 4}
    ids, mask = random_ids(2, 9, below=50), np.arange(9) < np.array([[9], [6]])
    found = net.generate(longs(ids), attention_mask=longs(mask), max_new_tokens=40, do_sample=False, use_cache=False)
    wanted = filled(found[:, 1:], 40, 1)
    wanted[np.cumsum(wanted == 1, 1) > 0] = 1  # padded there, stopped here
    path = save(net, tmp_path / "w.safetensors")
    reference = Reference("t5", path, given=("mask",), v1_1=gated, new_tokens=40, **sizes)
    got = reference("generate", source=ids, mask=mask, **PLAIN)
    assert np.array_equal(got["tokens"], wanted)
    assert got["count"].tolist() == (wanted != 1).sum(1).tolist()
    # Word by word through the cache is the whole answer at once.
    target = np.concatenate([np.zeros((2, 1), np.int64), wanted[:, :-1]], 1)
    logits = reference(source=ids, mask=mask, target=target)["logits"]
    live = np.arange(40) <= got["count"][:, None]
    assert np.array_equal(logits.argmax(-1)[live], wanted[live])


@pytest.mark.parametrize(
    ("name", "inputs", "args"),
    [
        ("gpt2", {"ids": random_ids(2, 5, below=60)}, {**SMALL, "top_k": 9, "top_p": 0.9, "stop": 60}),
        ("t5", {"source": random_ids(2, 7, below=60)}, {**SMALL, "head_width": 6, "hidden": 36}),
        (
            "seq2seq_attention",
            {"source": random_ids(2, 5, below=23)},
            {"source_vocabulary": 23, "target_vocabulary": 19, "new_tokens": 6, "embedding": 6, "hidden": 8},
        ),
    ],
)
def test_exported(tmp_path: Path, name: str, inputs: dict[str, np.ndarray], args: dict[str, Any]) -> None:
    """`generate` as one file, run by onnxruntime alone."""
    args = {key: value for key, value in args.items() if (name, key) != ("t5", "context")}
    model = load(f"zoo:{name}", **args)
    weights = Weights(seed=3, everywhere=True).kept(model)
    given = {**inputs, "temperature": 0.9, "seed": 4}
    wanted = compile_model(model, Build("reference"), weights).run("generate", **given)
    write_onnx(model, tmp_path / "generate.onnx", weights, None, "generate")
    session = onnxruntime.InferenceSession(str(tmp_path / "generate.onnx"), providers=["CPUExecutionProvider"])
    typed = {"temperature": np.float32(0.9), "seed": np.int64(4)}
    got = dict(zip(wanted, session.run(None, {**inputs, **{k: np.array(v) for k, v in typed.items()}}), strict=True))
    for key, value in wanted.items():
        assert np.array_equal(got[key], value), key
