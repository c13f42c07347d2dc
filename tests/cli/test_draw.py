"""Boxes and classes drawn over a picture, pictures that were made: pixels where they belong, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Cli

DETECTOR = """\
netwright: 1
name: detector
inputs:
  image: {type: 'float[N, 3, 40, 60]', from: {image: {}}}
constants:
  boxes: {type: 'float[1, 3, 4]', value: [[[10, 5, 30, 25], [-50, 20, 200, 35], [0, 0, inf, 1]]]}
  scores: {type: 'float[1, 3]', value: [[0.9, 0.5, 0.4]]}
  classes: {type: 'int64[1, 3]', value: [[2, 7, 1]]}
  count: {type: 'int64[1]', value: [3]}
graph:
  - {name: none, value: reduce_sum(image) * 0}
outputs: {boxes: boxes + none, scores: scores + 0, classes: classes + 0, count: count + 0}
"""
SEGMENTER = """\
netwright: 1
name: segmenter
inputs:
  image: {type: 'float[N, 1, H, W]', from: {image: {}}}
graph:
  - {name: inner, value: "image[:, :, 2:-2, 2:-2]"}
  - {op: concat, name: logits, in: [0.5 - inner, inner - 0.5], axis: 1}
outputs: {logits: logits}
"""
MAKER = """\
netwright: 1
name: maker
inputs:
  x: {type: 'float[N, 1, 2, 2]', from: {random: {distribution: normal}}}
graph:
  - {name: image, value: x + 0}
outputs: {image: image}
"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    array = np.zeros((40, 60, 3), np.uint8)
    array[10:20, 20:40] = 255
    path = tmp_path / "photo.png"
    Image.fromarray(array).save(path)
    return path


def test_boxes(cli: Cli, tmp_path: Path, photo: Path) -> None:
    spec = tmp_path / "detector.yaml"
    spec.write_text(DETECTOR)
    assert "3 boxes" in cli("run", spec, "-i", f"image={photo}", "--draw", tmp_path / "out.png").fine()
    before, after = (np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (photo, tmp_path / "out.png"))
    assert after.shape == before.shape
    changed = np.abs(after - before).sum(-1) > 0
    assert changed[5, 10:31].all() and changed[5:26, 10].all() and changed[25, 10:31].all()
    assert changed[20, 40:60].all()  # a box that is wider than the picture
    assert not changed[30:34, 40:60].any() and not changed[:4].any()


def test_classes(cli: Cli, tmp_path: Path, photo: Path) -> None:
    """Bright pixels are class 1; the map is four pixels smaller and lies in the middle."""
    spec = tmp_path / "segmenter.yaml"
    spec.write_text(SEGMENTER)
    assert "2 classes" in cli("run", spec, "-i", f"image={photo}", "--draw", tmp_path / "out.png").fine()
    before, after = (np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (photo, tmp_path / "out.png"))
    changed = np.abs(after - before).sum(-1) > 0
    assert changed[10:20, 20:40].all()
    assert changed.sum() == 200


def test_refusals(cli: Cli, tmp_path: Path, spec: Path, photo: Path) -> None:
    message = cli("run", spec, "-i", "x=[[1, 2, 3, 4, 5]]", "--draw", tmp_path / "out.png").refused()
    assert "--draw needs a picture among the inputs" in message
    assert "should end in .png" in cli("run", spec, "-i", "x=random", "--draw", tmp_path / "out.jpg").refused()
    message = cli("run", "zoo:lenet5", "-i", f"image={photo}", "--draw", tmp_path / "out.png").refused()
    assert "neither boxes, scores, classes, count nor scores [1, classes, height, width]" in message
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("given", "pixels"),
    [
        ("[[[[0, 0.2], [1, 2]]]]", [[0, 51], [255, 255]]),
        ("[[[[-1, 0.2], [1, 0]]]]", [[0, 153], [255, 128]]),
        ("[[[[0, 0], [1, 0]]], [[[0, 0], [0, 1]]]]", [[0, 0, 0, 0], [255, 0, 0, 255]]),
    ],
)
def test_a_picture_that_was_made(cli: Cli, tmp_path: Path, given: str, pixels: list[list[int]]) -> None:
    """From 0 to 1, from -1 to 1, and two in a row."""
    spec = tmp_path / "maker.yaml"
    spec.write_text(MAKER)
    said = cli("run", spec, "-i", f"x={given}", "--draw", tmp_path / "out.png").fine()
    assert ("2 pictures" if len(pixels[0]) > 2 else "the picture") in said
    assert np.asarray(Image.open(tmp_path / "out.png")).tolist() == pixels


def test_what_is_no_picture(cli: Cli, tmp_path: Path) -> None:
    spec = tmp_path / "maker.yaml"
    spec.write_text(MAKER)
    given = tmp_path / "x.npy"
    np.save(given, np.full((1, 1, 2, 2), np.nan, np.float32))
    refused = cli("run", spec, "-i", f"x={given}", "--draw", tmp_path / "out.png").refused()
    assert "some that are not finite" in refused
    refused = cli("run", spec, "-o", tmp_path / "out.png").refused()
    assert f"--draw {tmp_path / 'out.png'} writes a picture" in refused.replace("\n", "")
