"""Runs the launches of a plan: in the interpreter, or on a GPU with the config that the tuner chose."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from . import facts
from .kernel import Config, Kernel
from .memory import Tensors

LEAST_SIDE = 16
"""What `tl.dot` takes at least."""

Grid = Callable[[Mapping[str, int]], tuple[int, ...]]


MOST_CHOSEN = 2**14
"""Launches whose config is remembered here; the tuner remembers the others by the class of their sizes."""


class Launcher(ABC):
    """What plans call ``run``. ``truth`` is what loops on the host ask."""

    def __init__(self, kernels: Mapping[str, Kernel], functions: Mapping[str, Any], tensors: Tensors) -> None:
        self.tensors = tensors
        self.kernels = {id(function): kernels[name] for name, function in functions.items()}

    def truth(self, tensor: Any) -> bool:
        """Whether the first element is not 0. Waits for the device."""
        return bool(tensor.reshape(-1)[0].item())

    @abstractmethod
    def __call__(self, function: Any, arguments: Sequence[Any], grid: Grid, wide: bool = False) -> None:
        """Starts a kernel on the device that holds the arguments, in the order of its declaration, sizes last. ``grid``
        gives the programs from the config's constants; ``wide``: offsets within a tensor pass 32 bits."""


class Interpreted(Launcher):
    """Runs kernels in the interpreter, on the CPU."""

    def __call__(self, function: Any, arguments: Sequence[Any], grid: Grid, wide: bool = False) -> None:
        kernel = self.kernels[id(function)]
        config = kernel.interpreted
        extent = grid(config.constants)
        if 0 in extent:
            return
        config = replace(config, constants=fitted(config.constants, grid, extent))
        constants = facts.constants(kernel, config, wide=wide, interpreted=True)
        # Lanes outside a mask compute with whatever is there.
        with np.errstate(all="ignore"):
            function[extent](*arguments, **constants)


def fitted(constants: Mapping[str, int], grid: Grid, extent: tuple[int, ...]) -> dict[str, int]:
    """The constants with tiles no larger than the work of this run: a side that counts in the grid is halved as long as
    that takes no more programs."""
    found = dict(constants)
    for name in constants:
        counts = grid({**found, name: 1}) != extent
        while counts and found[name] > LEAST_SIDE and grid({**found, name: found[name] // 2}) == extent:
            found[name] //= 2
    return found


class Compiled(Launcher):
    """Runs kernels on a GPU. ``choose`` gives the place of a kernel's config."""

    def __init__(
        self,
        kernels: Mapping[str, Kernel],
        functions: Mapping[str, Any],
        tensors: Tensors,
        choose: Callable[[Kernel, Callable[[int], None], Mapping[str, int], Sequence[Any], bool], int],
    ) -> None:
        super().__init__(kernels, functions, tensors)
        self.choose = choose
        self.chosen: dict[tuple[int, tuple[Any, ...]], Config] = {}

    def __call__(self, function: Any, arguments: Sequence[Any], grid: Grid, wide: bool = False) -> None:
        kernel = self.kernels[id(function)]
        names = [argument.name for argument in kernel.arguments if argument.kind == "int"]
        sizes = arguments[len(arguments) - len(names) :]
        first = kernel.configs[0]
        extent = grid(first.constants)
        if 0 in extent:
            return
        key = (id(function), (*sizes, wide, extent))
        if key not in self.chosen:
            place = 0
            if len(kernel.configs) > 1:

                def launch(which: int) -> None:
                    self._start(function, kernel, kernel.configs[which], arguments, grid, wide)

                known = dict(zip(names, map(int, sizes), strict=True))
                known |= {f"grid{axis}": int(size) for axis, size in enumerate(extent)}
                place = self.choose(kernel, launch, known, arguments, wide)
            if len(self.chosen) >= MOST_CHOSEN:
                self.chosen.clear()
            self.chosen[key] = kernel.configs[place]
        self._start(function, kernel, self.chosen[key], arguments, grid, wide)

    def _start(
        self, function: Any, kernel: Kernel, config: Config, arguments: Sequence[Any], grid: Grid, wide: bool
    ) -> None:
        constants = facts.constants(kernel, config, wide=wide)
        function[grid(config.constants)](*arguments, **constants, **facts.options(config))
