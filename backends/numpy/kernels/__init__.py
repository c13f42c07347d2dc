"""The functions that emitted programs are made of: real code here, its source copied into the module."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from . import (
    attention,
    binding,
    channels_last,
    conv,
    elementwise,
    filtered,
    index,
    memory,
    model,
    random,
    tiles,
    window,
    winograd,
)

MODULES = (
    *(elementwise, index, window, binding, memory, tiles),
    *(conv, channels_last, winograd, filtered, attention, random, model),
)
KERNELS: dict[str, Callable[..., Any]] = {kernel.__name__: kernel for module in MODULES for kernel in module.KERNELS}

IMPORTS = """import itertools
import json
import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count, environ, getpid
from pathlib import Path

import numpy as np
from safetensors import safe_open

try:
    from os import sched_getaffinity
except ImportError:
    sched_getaffinity = None
"""


@cache
def source(name: str) -> tuple[str, frozenset[str]]:
    """The source of a kernel, and the other kernels that it names."""
    text = textwrap.dedent(inspect.getsource(KERNELS[name])).rstrip()
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    return text, frozenset((used & KERNELS.keys()) - {name})


def sources(names: Iterable[str]) -> str:
    """The source of kernels and of all that they use, in the order in which the modules declare them."""
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo.extend(source(name)[1])
    return "\n\n\n".join(source(name)[0] for name in KERNELS if name in wanted)
