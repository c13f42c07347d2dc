"""Checkpoints under the key names of the files that are public, one test for each kind of file.

Files are written by the library that publishes in that form, where it is one; older forms are written key by key.
What counts is what the model then computes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet2DModel
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from .attention_oracles import VisionTransformer
from .detection_oracles import Yolo
from .running import EXACT, Reference, error, random_floats, random_ids, randomize, save_state

State = dict[str, Tensor]
Change = Callable[[State], State]
SDPA: dict[str, Any] = {"attn_implementation": "sdpa"}
ROUNDED = 1e-5
"""Where the oracle computes norms or angles in float32."""


def same(state: State) -> State:
    return state


def with_prefix(prefix: str) -> Change:
    return lambda state: {prefix + key: value for key, value in state.items()}


def renamed(names: Mapping[str, str]) -> Change:
    """Parts of keys in the place of others, in this order."""

    def change(state: State) -> State:
        for now, old in names.items():
            state = {key.replace(now, old): value for key, value in state.items()}
        return state

    return change


def with_keys(**tensors: Tensor) -> Change:
    """Further keys; two underscores stand for a dot."""
    return lambda state: state | {key.replace("__", "."): value for key, value in tensors.items()}


def with_copies(**keys: str) -> Change:
    """Further names for tensors that are there."""
    return lambda state: state | {key.replace("__", "."): state[of.replace("__", ".")] for key, of in keys.items()}


def without_keys(*ends: str) -> Change:
    return lambda state: {key: value for key, value in state.items() if not key.endswith(ends)}


def both(*changes: Change) -> Change:
    def change(state: State) -> State:
        for each in changes:
            state = each(state)
        return state

    return change


def publish(net: Any, folder: Path, change: Change = same, **options: Any) -> Path:
    """The folder that the library writes; with a change, its one file with other keys."""
    net.float().save_pretrained(folder, **options)
    net.double()
    if change is same:
        return folder
    (file,) = folder.glob("*.safetensors")
    return save_state(change(load_file(file)), folder / "changed.safetensors")


def keys_of(folder: Path) -> set[str]:
    found: set[str] = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            found |= set(opened.keys())
    return found


def longs(array: np.ndarray) -> Tensor:
    return torch.tensor(array.astype(np.int64))


def doubles(array: np.ndarray) -> Tensor:
    return torch.tensor(array).double()


# ---- BERT

BERT: dict[str, Any] = {"depth": 2, "width": 24, "heads": 3, "hidden": 40, "vocabulary": 99, "context": 32}
OLDEST = renamed({"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"})


def bert(kind: Any) -> Any:
    sizes: dict[str, Any] = {"vocab_size": 99, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
    sizes |= {"intermediate_size": 40, "max_position_embeddings": 32}
    return randomize(kind(transformers.BertConfig(**sizes, **SDPA)))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (transformers.BertModel, same),
        (transformers.BertModel, with_keys(embeddings__position_ids=torch.arange(32)[None])),
        (transformers.BertForPreTraining, same),
        (transformers.BertForPreTraining, OLDEST),
        (transformers.BertForPreTraining, with_keys(bert__embeddings__position_ids=torch.arange(32)[None])),
    ],
    ids=["encoder", "encoder, old", "with heads", "gamma and beta", "with heads, old"],
)
def test_bert(tmp_path: Path, kind: Any, change: Change) -> None:
    net = bert(kind)
    ids = random_ids(2, 7, below=99)
    got = Reference("bert_base", publish(net, tmp_path, change), **BERT)(ids=ids)
    wanted = (net.bert if kind is transformers.BertForPreTraining else net)(longs(ids))
    assert error(got["hidden_states"], wanted.last_hidden_state) < EXACT
    assert error(got["pooled"], wanted.pooler_output) < EXACT


DECODER = {"cls__predictions__decoder__weight": "bert__embeddings__word_embeddings__weight"}
BIAS = {"cls__predictions__decoder__bias": "cls__predictions__bias"}


@pytest.mark.parametrize(
    "change",
    [same, with_copies(**DECODER, **BIAS), both(without_keys("decoder.weight", "decoder.bias"), OLDEST)],
    ids=["as saved", "both names of tied ones", "as first published"],
)
def test_bert_heads(tmp_path: Path, change: Change) -> None:
    net = bert(transformers.BertForPreTraining)
    ids = random_ids(2, 7, below=99)
    got = Reference("bert_base", publish(net, tmp_path, change), pretraining=True, **BERT)(ids=ids)
    wanted = net(longs(ids))
    assert error(got["words"], wanted.prediction_logits) < EXACT
    assert error(got["follows"], wanted.seq_relationship_logits) < EXACT


# ---- GPT, GPT-2: matrices are (in, out)

GPT: dict[str, Any] = {"depth": 2, "width": 24, "heads": 3, "vocabulary": 61, "context": 32, "new_tokens": 4}
CAUSAL = torch.ones(1, 1, 32, 32).tril()


def with_masks(prefix: str, masked: bool = True) -> Change:
    """The causal mask of every layer, which files hold that were saved before it was left out."""
    masks = {f"{prefix}h.{at}.attn.bias": CAUSAL for at in range(2)}
    if masked:
        masks |= {f"{prefix}h.{at}.attn.masked_bias": torch.tensor(-1e4) for at in range(2)}
    return lambda state: state | masks


@pytest.mark.parametrize(
    ("whole", "change"),
    [
        (True, same),
        (True, both(with_masks("transformer."), with_copies(lm_head__weight="transformer__wte__weight"))),
        (False, same),
        (False, with_masks("")),
    ],
    ids=["with head", "with head, old", "decoder", "decoder, as published"],
)
def test_gpt2(tmp_path: Path, whole: bool, change: Change) -> None:
    sizes: dict[str, Any] = {"n_layer": 2, "n_embd": 24, "n_head": 3, "vocab_size": 61, "n_positions": 32}
    net: Any = randomize(transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **SDPA)))
    ids = random_ids(2, 9, below=61)
    path = publish(net if whole else net.transformer, tmp_path, change)
    assert error(Reference("gpt2", path, **GPT)(ids=ids)["logits"], net(longs(ids)).logits) < EXACT


@pytest.mark.parametrize(
    ("whole", "change"),
    [
        (True, same),
        (False, both(with_masks("", masked=False), with_keys(position_ids=torch.arange(32)))),
    ],
    ids=["with head", "decoder, as published"],
)
def test_gpt1(tmp_path: Path, whole: bool, change: Change) -> None:
    sizes: dict[str, Any] = {"n_layer": 2, "n_embd": 24, "n_head": 3, "vocab_size": 61, "n_positions": 32}
    net: Any = randomize(transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig(**sizes)))
    for block in net.transformer.h:
        block.attn.bias = CAUSAL.double()
    ids = random_ids(2, 9, below=61)
    path = publish(net if whole else net.transformer, tmp_path, change)
    assert error(Reference("gpt1", path, **GPT)(ids=ids)["logits"], net(longs(ids)).logits) < EXACT


# ---- T5

T5: dict[str, Any] = {"vocabulary": 50, "width": 20, "head_width": 6, "hidden": 36, "depth": 2, "heads": 4}
TIES = {f"{side}__embed_tokens__weight": "shared__weight" for side in ("encoder", "decoder")}
UNUSED = "decoder__block__0__layer__1__EncDecAttention__relative_attention_bias__weight"


@pytest.mark.parametrize(
    ("gated", "change"),
    [
        (False, same),
        (False, both(with_copies(**TIES, lm_head__weight="shared__weight"), with_keys(**{UNUSED: torch.ones(32, 4)}))),
        (True, same),
        (True, with_copies(**TIES)),
    ],
    ids=["1.0", "1.0, old", "1.1", "1.1, old"],
)
def test_t5(tmp_path: Path, gated: bool, change: Change) -> None:
    options: dict[str, Any] = {"vocab_size": 50, "d_model": 20, "d_kv": 6, "d_ff": 36, "num_layers": 2, "num_heads": 4}
    options |= {"feed_forward_proj": "gated-gelu" if gated else "relu", "tie_word_embeddings": not gated}
    net: Any = transformers.T5ForConditionalGeneration(transformers.T5Config(**options, **SDPA))
    if gated:
        net.lm_head = nn.Linear(20, 50, bias=False)  # tied in transformers 5, whatever its options say
    net = randomize(net)
    path = save_state(change(net.state_dict()), tmp_path / "w.safetensors") if gated else publish(net, tmp_path, change)
    ids, target = random_ids(2, 9, below=50), random_ids(2, 5, below=50, seed=1)
    got = Reference("t5", path, v1_1=gated, **T5)(source=ids, target=target)["logits"]
    assert error(got, net(input_ids=longs(ids), decoder_input_ids=longs(target)).logits) < ROUNDED


# ---- ViT

VIT: dict[str, Any] = {"size": 48, "depth": 2, "width": 24, "heads": 3, "hidden": 40, "classes": 11}


def test_vit_of_transformers(tmp_path: Path) -> None:
    """In memory the keys are others than in files."""
    sizes: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "num_labels": 11}
    sizes |= {"intermediate_size": 40, "image_size": 48, "patch_size": 16}
    net: Any = randomize(transformers.ViTForImageClassification(transformers.ViTConfig(**sizes, **SDPA)))
    folder = publish(net, tmp_path)
    assert "vit.encoder.layer.0.attention.attention.query.weight" in keys_of(folder)
    image = random_floats(2, 3, 48, 48)
    got = Reference("vit_b16", folder, eps=1e-12, **VIT)(image=image)["logits"]
    assert error(got, net(doubles(image)).logits) < EXACT


TIMM = renamed(
    {
        "encoder.layers.encoder_layer_": "blocks.",
        "ln_": "norm",
        "self_attention.in_proj_": "attn.qkv.",
        "self_attention.out_proj": "attn.proj",
        "mlp.0": "mlp.fc1",
        "mlp.3": "mlp.fc2",
        "encoder.pos_embedding": "pos_embed",
        "encoder.ln": "norm",
        "class_token": "cls_token",
        "conv_proj": "patch_embed.proj",
        "heads.head": "head",
    }
)


@pytest.mark.parametrize("change", [same, TIMM], ids=["torchvision", "timm"])
def test_vit_with_packed_projections(tmp_path: Path, change: Change) -> None:
    net = randomize(VisionTransformer(size=48, patch=16, depth=2, width=24, heads=3, hidden=40))
    path = save_state(change(dict(net.state_dict())), tmp_path / "w.safetensors")
    image = random_floats(2, 3, 48, 48)
    got = Reference("vit_b16", path, **{**VIT, "classes": 1000})(image=image)["logits"]
    assert error(got, net(doubles(image))) < EXACT


# ---- CLIP: either half by itself, or out of the whole

CLIP: dict[str, Any] = {"depth": 2, "width": 24, "heads": 3, "hidden": 40}
TEXT: dict[str, Any] = {**CLIP, "vocabulary": 49, "context": 16}
IMAGE: dict[str, Any] = {**CLIP, "size": 42}


def clip() -> Any:
    layers: dict[str, Any] = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2}
    layers |= {"num_attention_heads": 3, "projection_dim": 12}
    text = {**layers, "vocab_size": 49, "max_position_embeddings": 16, "eos_token_id": 48, "bos_token_id": 0}
    image = {**layers, "image_size": 42, "patch_size": 14}
    config: Any = transformers.CLIPConfig(text_config=text, vision_config=image, projection_dim=12, **SDPA)
    return randomize(transformers.CLIPModel(config))


@pytest.mark.parametrize("old", [False, True], ids=["as saved", "with position ids"])
def test_both_halves_of_clip(tmp_path: Path, old: bool) -> None:
    net = clip()
    places = with_keys(
        text_model__embeddings__position_ids=torch.arange(16)[None],
        vision_model__embeddings__position_ids=torch.arange(10)[None],
    )
    path = publish(net, tmp_path, places if old else same)
    assert old or {"logit_scale", "text_projection.weight", "text_model.final_layer_norm.bias"} < keys_of(path)
    ids, image = random_ids(2, 11, below=49), random_floats(2, 3, 42, 42)
    got = Reference("clip_text", path, **TEXT)(ids=ids)["hidden_states"]
    assert error(got, net.text_model(longs(ids)).last_hidden_state) < EXACT
    got = Reference("clip_image", path, **IMAGE)(image=image)["pooled"]
    assert error(got, net.vision_model(doubles(image)).pooler_output) < EXACT


@pytest.mark.parametrize(
    "change",
    [
        same,
        with_keys(embeddings__position_ids=torch.arange(16)[None]),
        both(with_prefix("text_model."), with_keys(text_model__embeddings__position_ids=torch.arange(16)[None])),
    ],
    ids=["as saved", "with position ids", "as published"],
)
def test_clip_text(tmp_path: Path, change: Change) -> None:
    whole = clip()
    net: Any = randomize(transformers.CLIPTextModel(whole.config.text_config))
    ids = random_ids(2, 11, below=49)
    got = Reference("clip_text", publish(net, tmp_path, change), **TEXT)(ids=ids)["hidden_states"]
    assert error(got, net(longs(ids)).last_hidden_state) < EXACT


@pytest.mark.parametrize(
    "change",
    [
        same,
        with_keys(embeddings__position_ids=torch.arange(10)[None]),
        both(with_prefix("vision_model."), with_keys(vision_model__embeddings__position_ids=torch.arange(10)[None])),
    ],
    ids=["as saved", "with position ids", "as published"],
)
def test_clip_image(tmp_path: Path, change: Change) -> None:
    whole = clip()
    net: Any = randomize(transformers.CLIPVisionModel(whole.config.vision_config))
    image = random_floats(2, 3, 42, 42)
    got = Reference("clip_image", publish(net, tmp_path, change), **IMAGE)(image=image)["pooled"]
    assert error(got, net(doubles(image)).pooler_output) < EXACT


# ---- Llama

LLAMA: dict[str, Any] = {**GPT, "heads": 4, "kv_heads": 2, "head_width": 8, "hidden": 40}


def llama(tied: bool = False) -> Any:
    names: dict[str, Any] = {"num_hidden_layers": 2, "hidden_size": 24, "num_attention_heads": 4, "vocab_size": 61}
    names |= {"num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 40, "max_position_embeddings": 32}
    rope: dict[str, Any] = {"rope_theta": 10000.0, "rope_type": "default"}
    config: Any = transformers.LlamaConfig(
        **names, rope_parameters=rope, rms_norm_eps=1e-5, tie_word_embeddings=tied, **SDPA
    )
    net: Any = randomize(transformers.LlamaForCausalLM(config))
    net.model.rotary_emb = type(net.model.rotary_emb)(config)  # frequencies are no weights
    return net


FREQUENCIES = with_keys(**{f"model__layers__{at}__self_attn__rotary_emb__inv_freq": torch.ones(4) for at in range(2)})


@pytest.mark.parametrize(
    ("tied", "change", "options"),
    [
        (False, same, {}),
        (False, FREQUENCIES, {}),
        (False, same, {"max_shard_size": "20KB"}),
        (True, same, {}),
        (True, both(FREQUENCIES, with_copies(lm_head__weight="model__embed_tokens__weight")), {}),
    ],
    ids=["plain", "old", "in shards", "tied", "tied, under both names"],
)
def test_llama(tmp_path: Path, tied: bool, change: Change, options: dict[str, Any]) -> None:
    net = llama(tied)
    path = publish(net, tmp_path, change, **options)
    if options:
        assert len(list(path.glob("*.safetensors"))) > 1
        path /= "model.safetensors.index.json"
    if tied and change is same:
        assert "lm_head.weight" not in keys_of(path)
    ids = random_ids(2, 9, below=61)
    got = Reference("llama", path, tied=tied, **LLAMA)(ids=ids)["logits"]
    assert error(got, net(longs(ids)).logits) < ROUNDED


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_llama_in_16_bits(tmp_path: Path, dtype: torch.dtype) -> None:
    """Exactly the numbers of the file, as many as there are in shards."""
    net = llama().to(dtype)
    net.save_pretrained(tmp_path, max_shard_size="20KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1
    parameters = Reference("llama", tmp_path, **LLAMA).parameters
    for key, tensor in net.state_dict().items():
        np.testing.assert_array_equal(parameters[key], tensor.double().numpy())


# ---- diffusion

UNET: dict[str, Any] = {"widths": [8, 16], "attends": [True, False], "heads": 2, "text_width": 16, "groups": 4}
VAE: dict[str, Any] = {"widths": [8, 16, 16, 16], "groups": 4, "resnets": 1}
DDPM: dict[str, Any] = {"size": 16, "widths": [8, 16], "attends": [False, True], "resnets": 1, "groups": 4}
OLD_ATTENTION = renamed({"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"})


def test_sd_unet(tmp_path: Path) -> None:
    levels: dict[str, Any] = {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "block_out_channels": (8, 16),
    }
    sizes: dict[str, Any] = {"layers_per_block": 1, "attention_head_dim": 2, "norm_num_groups": 4}
    net: Any = UNet2DConditionModel(8, cross_attention_dim=16, **levels, **sizes)
    randomize(net)
    latent, text, time = random_floats(2, 4, 8, 16), random_floats(2, 7, 16), np.array([3.0, 871.0])
    path = publish(net, tmp_path)
    got = Reference("sd_unet", path, resnets=1, **UNET)(latent=latent, time=time, text=text)["noise"]
    assert error(got, net(doubles(latent), torch.tensor(time), doubles(text)).sample) < ROUNDED


@pytest.mark.parametrize("change", [same, OLD_ATTENTION], ids=["as saved", "as published"])
@pytest.mark.parametrize("half", ["sd_vae", "sd_vae_encoder", "sd_vae_decoder"])
def test_sd_vae(tmp_path: Path, half: str, change: Change) -> None:
    levels: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (8, 16, 16, 16),
    }
    net: Any = AutoencoderKL(**levels, layers_per_block=1, latent_channels=4, norm_num_groups=4)
    randomize(net)
    path = publish(net, tmp_path, change)
    reference = Reference(half, path, **VAE)
    if half != "sd_vae_encoder":
        latent = random_floats(1, 4, 2, 3)
        wanted = (net.decode(doubles(latent) / 0.18215).sample / 2 + 0.5).clamp(0, 1)
        assert error(reference(latent=latent)["image"], wanted) < EXACT
    if half != "sd_vae_decoder":
        image = random_floats(1, 3, 16, 24)
        wanted = net.encode(2 * doubles(image) - 1).latent_dist.mean * 0.18215
        entry = "encode" if half == "sd_vae" else "main"
        assert error(reference(entry, image=image)["latent"], wanted) < EXACT


@pytest.mark.parametrize("change", [same, OLD_ATTENTION], ids=["as saved", "as published"])
def test_ddpm(tmp_path: Path, change: Change) -> None:
    levels: dict[str, Any] = {
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (8, 16),
    }
    form: dict[str, Any] = {"flip_sin_to_cos": False, "freq_shift": 1, "downsample_padding": 0, "norm_eps": 1e-6}
    sizes: dict[str, Any] = {"sample_size": 16, "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": None}
    net: Any = UNet2DModel(in_channels=3, out_channels=3, **levels, **form, **sizes)
    randomize(net)
    image, time = random_floats(2, 3, 16, 16), np.array([3.0, 871.0])
    got = Reference("ddpm", publish(net, tmp_path, change), **DDPM)(image=image, time=time)["noise"]
    assert error(got, net(doubles(image), torch.tensor(time)).sample) < ROUNDED


# ---- torchvision's AlexNet, which is not that of the paper


class Slim(nn.Module):
    """Krizhevsky (2014), One weird trick for parallelizing convolutional neural networks; keys as in torchvision."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        plan = [(3, width, 11, 4, 2), (width, 3 * width, 5, 1, 2), (3 * width, 6 * width, 3, 1, 1)]
        plan += [(6 * width, 4 * width, 3, 1, 1), (4 * width, 4 * width, 3, 1, 1)]
        layers: list[nn.Module] = []
        for at, (channels, filters, kernel, stride, padding) in enumerate(plan):
            layers += [nn.Conv2d(channels, filters, kernel, stride, padding), nn.ReLU()]
            layers += [] if at in (2, 3) else [nn.MaxPool2d(3, 2)]
        self.features = nn.Sequential(*layers)
        first, second = nn.Linear(4 * width * 36, hidden), nn.Linear(hidden, hidden)
        self.classifier = nn.Sequential(
            nn.Dropout(), first, nn.ReLU(), nn.Dropout(), second, nn.ReLU(), nn.Linear(hidden, 1000)
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(self.features(image).flatten(1))


def test_alexnet_of_torchvision(tmp_path: Path) -> None:
    net = randomize(Slim(width=6, hidden=20))
    path = save_state(net.state_dict(), tmp_path / "w.safetensors")
    assert {"features.10.weight", "classifier.6.bias"} < keys_of(tmp_path)
    image = random_floats(1, 3, 224, 224)
    got = Reference("alexnet_slim", path, width=6, hidden=20)(image=image)["logits"]
    assert error(got, net(doubles(image))) < EXACT


# ---- detection


def test_yolov3_with_its_anchors(tmp_path: Path) -> None:
    """They are constants of the network, and lie in files under one name or two."""
    net: nn.Module = randomize(Yolo(5, 4))
    anchors = {"model.28.anchors": torch.ones(3, 3, 2), "model.28.anchor_grid": torch.ones(3, 1, 3, 1, 1, 2)}
    path = save_state({**net.state_dict(), **anchors}, tmp_path / "w.safetensors")
    plain = save_state(net.state_dict(), tmp_path / "plain.safetensors")
    sizes: dict[str, Any] = {"classes": 5, "width": 4}
    loaded, wanted = (Reference("yolov3", file, **sizes).parameters for file in (path, plain))
    assert all(np.array_equal(loaded[key], wanted[key]) for key in wanted)


def test_yolov8n_of_the_whole_detector(tmp_path: Path) -> None:
    """Saved from the object that holds the network."""
    plain = Reference("yolov8n", classes=5, width=8).parameters
    state = {f"model.{key}": torch.tensor(np.asarray(value)) for key, value in plain.items()}
    path = save_state(state, tmp_path / "w.safetensors")
    loaded = Reference("yolov8n", path, classes=5, width=8).parameters
    assert all(np.allclose(loaded[key], plain[key], rtol=1e-6, atol=0) for key in plain)
