"""One call of an entry, on inputs as they are typed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..backends.executable import Executable, InputError, bind_sizes
from ..compiler.ir import Program
from .inputs import known_sizes, read_inputs
from .memory import check_memory
from .model import nearest
from .samples import check_symbols
from .text import Tokenizers, texts_of

ANSWER = "target"
"""The input of a translator that holds its answer so far."""


@dataclass(frozen=True, slots=True)
class Ran:
    """The outputs by name, the seconds of the call, the values of symbols, and what outputs of token ids say."""

    outputs: Mapping[str, np.ndarray]
    seconds: float
    sizes: Mapping[str, int]
    texts: Mapping[str, list[str]]


def run_entry(
    net: Executable,
    entry: str,
    given: Mapping[str, str],
    seed: int,
    sizes: Mapping[str, int],
    program: Program | None = None,
    tokenizers: Tokenizers | None = None,
) -> Ran:
    """Run ``entry`` on inputs as in `read_inputs`; where its program is known, not beyond this machine's memory.

    Raises InputError, BackendError.
    """
    entries = net.signature.entries
    if entry not in entries:
        raise InputError(f"no entry is called {entry!r}{nearest(entry, entries)} (there are: {', '.join(entries)})")
    promised = entries[entry]
    check_symbols([promised], sizes)
    inputs = read_inputs(promised, given, seed, sizes, tokenizers)
    if program is not None:
        check_memory(program, known_sizes(promised, inputs))
    net.runtime  # noqa: B018  (what is still to be loaded is no part of the call)
    start = time.perf_counter()
    outputs = net.run(entry, **inputs)
    seconds = time.perf_counter() - start
    bound = bind_sizes(promised, {name: np.shape(array) for name, array in inputs.items()})
    # An answer is in the words of the model's `target`, where it has one; a text goes on in its own.
    words = [field for field in entries["main"].inputs if field.name == ANSWER] if "main" in entries else []
    return Ran(outputs, seconds, bound, texts_of([*words, *promised.inputs], outputs, tokenizers))
