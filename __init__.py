"""netwright compiles neural networks that are written as YAML.

    import netwright as nw

    model = nw.load("zoo:lenet5", classes=26)       # a spec with its knobs set
    net = nw.compile(model, target="numpy")         # a program for a target, with weights
    net(image=picture)["probabilities"]             # arrays in and out by name
    net.save("lenet5")                              # a bundle that runs again anywhere
    nw.export_onnx(model, "lenet5.onnx")

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import VERSION as __version__

if TYPE_CHECKING:
    from .backends.api import BackendError
    from .backends.executable import Executable, InputError
    from .driver.api import compile, export_onnx, gradients, load, lower, open, summary, train, verify
    from .driver.model import Model
    from .spec.diagnostics import SpecError
    from .spec.weights.errors import WeightsError

_HOMES = {
    "BackendError": "backends.api",
    "Executable": "backends.executable",
    "InputError": "backends.executable",
    "Model": "driver.model",
    "SpecError": "spec.diagnostics",
    "WeightsError": "spec.weights.errors",
    **dict.fromkeys(
        ("compile", "export_onnx", "gradients", "load", "lower", "open", "summary", "train", "verify"), "driver.api"
    ),
}

__all__ = [
    "BackendError",
    "Executable",
    "InputError",
    "Model",
    "SpecError",
    "WeightsError",
    "__version__",
    "compile",
    "export_onnx",
    "gradients",
    "load",
    "lower",
    "open",
    "summary",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
