"""LeNet-5 learns scikit-learn's handwritten digits: ``python -m benchmarks.digits FOLDER``.

Writes the examples, trains on numpy and jax, tests on pictures that were not learned from, and compares the labels
with those of the exported ONNX file in onnxruntime. ``--ship`` puts the weights into the zoo and the pictures of the
tour into the samples.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from sklearn.datasets import load_digits

import netwright as nw
from netwright.driver.files import write_npz
from netwright.driver.training import Progress
from netwright.driver.training.session import CHECKPOINT, WEIGHTS

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "zoo" / "convolutional" / "lenet5.safetensors"
SAMPLES = ROOT / "cli" / "samples"
MODEL = "zoo:lenet5"
TEST_EVERY, TEST_FIRST = 5, 3
"""Every fifth picture is for testing, from the fourth on."""
SIDE, BORDER = 28, 2
"""Pixels of a digit's side, and of the border around it: LeNet-5 looks beyond the strokes."""
MOVES = ((0, 0), (0, 2), (0, -2), (2, 0), (-2, 0))
"""Where a picture to learn from stands: rows down and columns to the right. None leaves the frame."""
ENOUGH = 0.98

Part = Mapping[str, np.ndarray]


def picture(image: np.ndarray) -> Image.Image:
    """One of scikit-learn's pictures, ``[8, 8]`` with ink from 0 to 16, as 32x32 pixels: white ink on black."""
    small = Image.fromarray(np.round(image * (255 / 16)).astype(np.uint8))
    large = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return Image.fromarray(np.pad(large, BORDER))


def is_test(count: int) -> np.ndarray:
    """Which of the pictures are for testing."""
    return np.arange(count) % TEST_EVERY == TEST_FIRST


def examples() -> tuple[Part, Part]:
    """The part to learn from, each picture at five places, and the part to test with.

    ``image`` is float32 ``[N, 1, 32, 32]`` as `run` reads picture files, ink 1 and paper 0; ``label`` is int64 ``[N]``.
    """
    data = load_digits()
    images = np.stack([np.asarray(picture(image), np.float32)[None] / np.float32(255) for image in data.images])
    labels = data.target.astype(np.int64)
    testing = is_test(len(images))
    moved = [np.roll(images[~testing], move, (2, 3)) for move in MOVES]
    learning = {"image": np.concatenate(moved), "label": np.tile(labels[~testing], len(MOVES))}
    return learning, {"image": images[testing], "label": labels[testing]}


def first_of_each() -> list[Image.Image]:
    """The first picture of each digit among those for testing, 0 to 9."""
    data = load_digits()
    testing = np.flatnonzero(is_test(len(data.target)))
    places = [testing[data.target[testing] == digit][0] for digit in range(10)]
    return [picture(data.images[place]) for place in places]


def main() -> None:
    """Ends with code 1 if a target reads too few of the pictures, or the file reads others."""
    options = arguments()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    learning, testing = examples()
    for name, part in (("digits", learning), ("digits_test", testing)):
        write_npz(folder / f"{name}.npz", part)
    print(f"{len(learning['label']):,} examples to learn from, {len(testing['label'])} to test with", flush=True)
    fine = [learned(target, folder, testing) for target in options.targets]
    if options.ship:
        shutil.copyfile(folder / options.targets[0] / WEIGHTS, SHIPPED)
        for digit, shown in enumerate(first_of_each()):
            shown.save(SAMPLES / f"digit_{digit}.png", optimize=True)
    sys.exit(0 if all(fine) else 1)


def learned(target: str, folder: Path, testing: Part) -> bool:
    """Train on one target, or take what is there; tell how well it reads. True if that is well enough."""
    run = folder / target
    if not (run / WEIGHTS).exists():
        done = nw.train(MODEL, folder / "digits.npz", target, folder=run, tell=tell, resume=(run / CHECKPOINT).exists())
        print(f"{target}: {done.ended}, {done.seconds:.0f} s")
    read = nw.compile(MODEL, target, weights=run / WEIGHTS)(image=testing["image"])["probabilities"].argmax(1)
    accuracy = float((read == testing["label"]).mean())
    nw.export_onnx(MODEL, run / "lenet5.onnx", weights=run / WEIGHTS)
    session = onnxruntime.InferenceSession(os.fspath(run / "lenet5.onnx"), providers=["CPUExecutionProvider"])
    (exported,) = session.run(None, {session.get_inputs()[0].name: testing["image"]})
    differ = int((exported.argmax(1) != read).sum())
    print(
        f"{target}: {accuracy:.2%} of the test pictures are read; the ONNX file reads {differ} differently", flush=True
    )
    return accuracy >= ENOUGH and not differ


def tell(now: Progress) -> None:
    """A line for each epoch."""
    if now.batch == now.batches:
        measures = "  ".join(f"{name} {value:.4f}" for name, value in now.measures.items())
        print(f"  epoch {now.epoch}/{now.epochs}  {measures}", flush=True)


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.digits", description=__doc__)
    parser.add_argument("folder", type=Path, help="gets the examples, and a folder for each target; resumed if there")
    parser.add_argument("--targets", nargs="+", default=["numpy", "jax"], help="where to train (numpy jax)")
    parser.add_argument("--ship", action="store_true", help="the first target's weights go into the zoo")
    return parser.parse_args()


if __name__ == "__main__":
    main()
