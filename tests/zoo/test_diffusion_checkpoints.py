"""Stable Diffusion's checkpoints in the forms in which they are published, and what is wrong with others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from netwright.driver.build import Weights
from netwright.driver.model import Model, load
from netwright.spec.weights.errors import WeightsError

from .diffusion_oracles import CONTEXT, FILES, SIZES, save_checkpoint, small

Tensors = dict[str, np.ndarray]
OLD_NAMES = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


@pytest.fixture(scope="module")
def model() -> Model:
    return load("zoo:stable_diffusion", **SIZES)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(small(), tmp_path_factory.mktemp("published"))


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """A copy that a test may harm."""
    return Path(shutil.copytree(published, tmp_path / "sd"))


def edit(folder: Path, net: str, change: Callable[[Tensors], Tensors]) -> None:
    path = folder / FILES[net]
    tensors = change(load_file(path))
    path.unlink()
    save_file(tensors, path)


def old_names(folder: Path) -> None:
    """The autoencoder's attention as it was called at first."""

    def rename(tensors: Tensors) -> Tensors:
        for new, old in OLD_NAMES.items():
            tensors = {key.replace(new, old): value for key, value in tensors.items()}
        return tensors

    edit(folder, "vae", rename)


def prefixed(tensors: Tensors) -> Tensors:
    return {key if key.startswith("text_model.") else f"text_model.{key}": value for key, value in tensors.items()}


def bare(tensors: Tensors) -> Tensors:
    return {key.removeprefix("text_model."): value for key, value in tensors.items()}


def placed(name: str, tensors: Tensors) -> Tensors:
    return {**tensors, f"{name}embeddings.position_ids": np.arange(CONTEXT)[None]}


def sharded(folder: Path) -> None:
    path = folder / FILES["unet"]
    tensors = load_file(path)
    path.unlink()
    where: dict[str, str] = {}
    for at, keys in enumerate((list(tensors)[::2], list(tensors)[1::2])):
        name = f"diffusion_pytorch_model-{at + 1:05}-of-00002.safetensors"
        save_file({key: tensors[key] for key in keys}, path.parent / name)
        where |= dict.fromkeys(keys, name)
    (path.parent / f"{path.name}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def renamed(folder: Path) -> None:
    path = folder / FILES["unet"]
    path.rename(path.with_name("diffusion_pytorch_model.non_ema.safetensors"))


FORMS: dict[str, Callable[[Path], None]] = {
    "as it is": lambda folder: None,
    "old names": old_names,
    "text model, prefixed": lambda folder: edit(folder, "text_encoder", prefixed),
    "text model, prefixed, with places": lambda f: edit(
        f, "text_encoder", lambda t: placed("text_model.", prefixed(t))
    ),
    "text model, bare": lambda folder: edit(folder, "text_encoder", bare),
    "text model, bare, with places": lambda folder: edit(folder, "text_encoder", lambda t: placed("", bare(t))),
    "in shards": sharded,
    "another name": renamed,
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(model: Model, published: Path, folder: Path, form: str) -> None:
    FORMS[form](folder)
    wanted, got = (Weights(path).parameters(model) for path in (published, folder))
    assert list(got) == list(wanted)
    assert all(np.array_equal(got[path], wanted[path]) for path in wanted)


def test_halves(model: Model, published: Path, folder: Path) -> None:
    for net in FILES:
        edit(folder, net, lambda tensors: {key: value.astype(np.float16) for key, value in tensors.items()})
    wanted, got = (Weights(path).parameters(model) for path in (published, folder))
    assert all(np.array_equal(got[path], wanted[path].astype(np.float16).astype(np.float32)) for path in wanted)


def without(tensors: Tensors) -> Tensors:
    return {key: value for key, value in tensors.items() if key != "decoder.conv_in.weight"}


def only_a_pickle(folder: Path) -> None:
    (folder / FILES["unet"]).unlink()
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(b"PK")


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no vae": (
        lambda folder: shutil.rmtree(folder / "vae"),
        "the file of `vae` is not there: vae/diffusion_pytorch_model.safetensors",
    ),
    "an empty folder": (lambda folder: (folder / FILES["unet"]).unlink(), "the file of `unet` is not there: unet/"),
    "nothing": (
        lambda folder: tuple(map(Path.unlink, folder.glob("*/*"))),
        "no file of a sub-model: `text_encoder/model.safetensors`, `unet/diffusion_pytorch_model.safetensors`",
    ),
    "a pickle": (only_a_pickle, "pickles are not read"),
    "a key less": (lambda folder: edit(folder, "vae", without), "missing: 1 parameter\n    `decoder.conv_in.weight`"),
    "a key more": (
        lambda folder: edit(folder, "unet", lambda tensors: {**tensors, "add.weight": np.zeros(2, np.float32)}),
        "surplus: 1 key\n    `add.weight`",
    ),
    "another model's": (
        lambda folder: shutil.copy(folder / FILES["vae"], folder / FILES["unet"]),
        "unet/diffusion_pytorch_model.safetensors does not fit the model",
    ),
    "cut off": (
        lambda folder: (folder / FILES["unet"]).write_bytes((folder / FILES["unet"]).read_bytes()[:9000]),
        "unet/diffusion_pytorch_model.safetensors: ",
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_refused(model: Model, folder: Path, harm: str) -> None:
    change, message = HARMS[harm]
    change(folder)
    with pytest.raises(WeightsError) as refused:
        Weights(folder).parameters(model)
    assert message in str(refused.value)
