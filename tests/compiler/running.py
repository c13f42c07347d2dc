"""Programs from text, run by the meanings of their ops on random inputs."""

from __future__ import annotations

import hashlib

import numpy as np

from netwright.compiler.evaluate import evaluate
from netwright.compiler.initialize import random_parameters
from netwright.compiler.ir import DType, Entry, Program, TensorType
from netwright.compiler.ir.dims import substitute
from netwright.compiler.ir.text import parse_program

LOOP_AND_BRANCH = """entry "main" [T] {
      input %0 "c": float32[8]
      input %1 "xs": float32[T, 8]
      input %2 "b": bool[]
      %3 = scan(%0, %1) {carries: 1, length: T} : float32[8] {
        input %4: float32[8]
        input %5: float32[8]
        %6 = add(%4, %5) : float32[8]
        output %6
      }
      %7 = cond(%2, %3) : float32[8] {
        input %8: float32[8]
        output %8
      } {
        input %9: float32[8]
        %10 = mul(%9, %9) : float32[8]
        output %10
      }
      output "y" %7
    }"""
"""A sum over T rows of 8; then it, or its square."""


def program(text: str) -> Program:
    """The program of sections without their title."""
    return parse_program(f'program "case"\n{text}')


def sizes_of(entry: Entry) -> dict[str, int]:
    """A small size for each symbol, all different."""
    return {symbol.name: min(symbol.high, max(symbol.low, 2 + at)) for at, symbol in enumerate(entry.symbols)}


def random_array(name: str, type: TensorType, sizes: dict[str, int], range: tuple[int, int] | None) -> np.ndarray:
    """Values that depend on the name alone: normal floats, small whole numbers, fair bools."""
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    shape = tuple(int(substitute(size, sizes)) for size in type.shape)  # type: ignore[arg-type]
    if type.dtype.is_float:
        return generator.standard_normal(shape).astype(type.dtype.numpy)
    if type.dtype is DType.BOOL:
        return generator.integers(0, 2, shape).astype(bool)
    low, high = range or (0, 3)
    return generator.integers(low, high + 1, shape).astype(type.dtype.numpy)


def run(program: Program, wide: bool = True) -> dict[str, np.ndarray]:
    """Every output and updated state of every entry, on inputs that depend on their names alone."""
    parameters = random_parameters(program, 0, everywhere=True)
    given = [parameters[path] for path in program.prepare_inputs]
    packed = evaluate(program.prepare, given, {}, program.functions, wide)
    weights = {**parameters, **dict(zip(program.packed, packed, strict=True))}
    results: dict[str, np.ndarray] = {}
    for name, entry in program.entries.items():
        sizes = sizes_of(entry)
        arrays = [random_array(port.name, port.type, sizes, port.range) for port in entry.inputs]
        arrays += [weights[path] for path in entry.params]
        arrays += [random_array(state, program.state[state].type, sizes, None) for state in entry.states]
        found = evaluate(entry.graph, arrays, sizes, program.functions, wide)
        results |= {f"{name}.{key}": array for key, array in zip((*entry.outputs, *entry.updates), found, strict=True)}
    return results


def assert_same(before: Program, after: Program, tolerance: float = 1e-6) -> None:
    """Both programs compute the same, to ``tolerance`` of the largest value."""
    wanted, got = run(before), run(after)
    assert wanted.keys() == got.keys()
    for name, array in wanted.items():
        scale = np.abs(array[np.isfinite(array)]).max(initial=1.0) if array.dtype.kind == "f" else 1
        np.testing.assert_allclose(got[name], array, rtol=0, atol=tolerance * scale, err_msg=name)
