"""Random first values of parameters.

Each parameter has a Philox generator of its own, keyed by the SHA-256 of seed and path: the same values on every
target, whatever other parameters there are and in whatever order they are drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from math import prod, sqrt

import numpy as np

from .ir.init import (
    Constant,
    He,
    KaimingUniform,
    Normal,
    Ones,
    Orthogonal,
    Range,
    Uniform,
    Xavier,
    Zeros,
    fans,
    initializer,
)
from .ir.program import Parameter, Program
from .ir.types import DType

_BLOCK = 1 << 20
"""Elements drawn at a time."""

Draw = Callable[[np.random.Generator, int], np.ndarray]


def initial_value(parameter: Parameter, seed: int, *, everywhere: bool = False) -> np.ndarray:
    """The first value of a parameter, in its dtype.

    ``everywhere`` is for tests and for `verify`: where an initializer is constant, the values vary around it (gains and
    variances stay positive), since all-zero biases and all-one gains hide wrong wiring. Draws in float32, block by
    block. Raises `ValueError` for a type with unknown sizes or a bad initializer.
    """
    if not parameter.type.is_static:
        raise ValueError(f"parameter {parameter.path}: {parameter.type} has a size that is not known")
    shape = tuple(int(size) for size in parameter.type.shape)  # type: ignore[arg-type]
    generator = _generator(seed, parameter.path)
    try:
        kind = initializer(parameter.init)
    except ValueError as error:
        raise ValueError(f"parameter {parameter.path}: {error}") from error
    dtype = parameter.type.dtype
    match kind:
        case Zeros():
            return _constant(0.0, shape, dtype, generator, everywhere)
        case Ones():
            return _constant(1.0, shape, dtype, generator, everywhere)
        case Constant(value=value):
            return _constant(value, shape, dtype, generator, everywhere)
        case Normal(std=std):
            return _fill(shape, dtype, generator, _normal(std))
        case Uniform(bound=bound):
            return _fill(shape, dtype, generator, _uniform(-bound, bound))
        case Xavier(fan_in=given_in, fan_out=given_out):
            fan_in, fan_out = fans(shape)
            bound = sqrt(6 / ((given_in or fan_in) + (given_out or fan_out)))
            return _fill(shape, dtype, generator, _uniform(-bound, bound))
        case He(fan_in=given):
            return _fill(shape, dtype, generator, _normal(sqrt(2 / (given or fans(shape)[0]))))
        case KaimingUniform(fan_in=given):
            bound = 1 / sqrt(given or fans(shape)[0])
            return _fill(shape, dtype, generator, _uniform(-bound, bound))
        case Orthogonal():
            return _orthogonal(shape, generator).astype(dtype.numpy)
        case Range():
            return np.arange(prod(shape)).reshape(shape).astype(dtype.numpy)


class RandomParameters(Mapping[str, np.ndarray]):
    """Every public parameter of a program by path, drawn when asked for and not kept."""

    def __init__(self, parameters: Mapping[str, Parameter], seed: int, everywhere: bool = False) -> None:
        self._parameters = parameters
        self._seed = seed
        self._everywhere = everywhere

    def __getitem__(self, path: str) -> np.ndarray:
        return initial_value(self._parameters[path], self._seed, everywhere=self._everywhere)

    def __contains__(self, path: object) -> bool:
        return path in self._parameters

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)


def random_parameters(program: Program, seed: int, *, everywhere: bool = False) -> Mapping[str, np.ndarray]:
    """First values of all public parameters, lazily; see `initial_value`."""
    return RandomParameters(program.parameters, seed, everywhere)


def _generator(seed: int, path: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}\0{path}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def _normal(std: float) -> Draw:
    def draw(generator: np.random.Generator, count: int) -> np.ndarray:
        values = generator.standard_normal(count, dtype=np.float32)
        values *= np.float32(std)
        return values

    return draw


def _uniform(low: float, high: float) -> Draw:
    def draw(generator: np.random.Generator, count: int) -> np.ndarray:
        values = generator.random(count, dtype=np.float32)
        values *= np.float32(high - low)
        values += np.float32(low)
        return values

    return draw


def _fill(shape: tuple[int, ...], dtype: DType, generator: np.random.Generator, draw: Draw) -> np.ndarray:
    result = np.empty(shape, dtype.numpy)
    flat = result.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        block[...] = draw(generator, block.size).astype(dtype.numpy, copy=False)
    return result


def _constant(
    value: float, shape: tuple[int, ...], dtype: DType, generator: np.random.Generator, everywhere: bool
) -> np.ndarray:
    if not everywhere or not dtype.is_float:
        return np.full(shape, value, dtype.numpy)
    if value == 0:
        return _fill(shape, dtype, generator, _normal(0.1))
    return _fill(shape, dtype, generator, _uniform(0.5 * value, 1.5 * value))


def _orthogonal(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    if len(shape) < 2:
        raise ValueError("an orthogonal initializer needs two axes or more")
    rows, columns = shape[0], int(np.prod(shape[1:]))
    tall = generator.standard_normal((max(rows, columns), min(rows, columns)), dtype=np.float32)
    q, r = np.linalg.qr(tall)
    # The signs of R's diagonal are LAPACK's choice; without this the result would not be uniform.
    q *= np.where(np.diagonal(r) < 0, np.float32(-1), np.float32(1))
    return np.ascontiguousarray(q.T if rows < columns else q).reshape(shape)
