"""YOLOv3 against plain torch: boxes, scores, suppression, and darknet's own weights files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .detection_oracles import Conv, Yolo, suppress
from .running import Reference, error, random_floats, randomize, save

SIZES: dict[str, Any] = {"classes": 5, "width": 4, "limit": 60}


def assert_boxes(net: Yolo, got: dict[str, np.ndarray], image: np.ndarray) -> None:
    """What the model keeps of the oracle's boxes, picture by picture."""
    found = net(torch.tensor(image).double())
    for at, (boxes, scores) in enumerate(zip(*found, strict=True)):
        wanted = suppress(boxes.detach(), scores.detach(), iou=0.45, least=0.25, limit=60)
        count = int(got["count"][at])
        assert count == len(wanted)
        assert got["classes"][at, :count].tolist() == [kind for _, _, kind in wanted]
        assert error(got["scores"][at, :count], [score for _, score, _ in wanted]) < 1e-9
        assert error(got["boxes"][at, :count], [box for box, _, _ in wanted]) < 1e-9
        assert (got["classes"][at, count:] == -1).all()


def test_yolov3(tmp_path: Path) -> None:
    net = randomize(Yolo(5, 4))
    image = random_floats(2, 3, 64, 96)
    assert_boxes(net, Reference("yolov3", save(net, tmp_path / "w.safetensors"), **SIZES)(image=image), image)


def test_darknet_file(tmp_path: Path) -> None:
    """One flat file: a header, then layer by layer, in the order in which the network runs."""
    net = randomize(Yolo(5, 4))
    floats: list[torch.Tensor] = []

    def write(module: Any, *_: Any) -> None:
        if isinstance(module, Conv):
            norm: Any = module.bn
            floats.extend([norm.bias, norm.weight, norm.running_mean, norm.running_var, module.conv.weight])
        else:
            floats.extend([module.bias, module.weight])

    for module in net.modules():
        if isinstance(module, Conv) or (isinstance(module, nn.Conv2d) and module.bias is not None):
            module.register_forward_hook(write)
    image = random_floats(1, 3, 64, 64)
    net(torch.tensor(image).double())
    path = tmp_path / "yolov3.weights"
    numbers = np.concatenate([tensor.detach().float().numpy().ravel() for tensor in floats])
    path.write_bytes(bytes(20) + numbers.astype("<f4").tobytes())
    got = Reference("yolov3", path, **SIZES)(image=image)
    assert_boxes(net, got, image)
