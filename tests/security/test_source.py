"""Emitted modules that somebody changed, the manifest's hash made right: they say what emitters say, or nothing runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from netwright.backends import jax, numpy
from netwright.backends.jax.vocabulary import vocabulary as jax_words
from netwright.backends.numpy.vocabulary import vocabulary as numpy_words
from netwright.backends.source import SourceError, Vocabulary, check_source

EVASIONS = [
    "import os",
    "import numpy.ctypeslib",
    "from json import codecs",
    "from collections import _sys",
    "from collections.abc import sys",
    "from numpy import *",
    "from . import os",
    "from numpy import __builtins__",
    "json.codecs.builtins.eval('1')",
    "threading._os.system('true')",
    "np.f2py.os.system('true')",
    "np.ctypeslib.ctypes.CDLL(None)",
    "np.load('x.npy', allow_pickle=True)",
    "np.lib.npyio.DataSource()",
    "np.lib.stride_tricks.as_strided(np.zeros(1), (9,), (8,))",
    "np.save('x', 1)",
    "np.zeros(1).tofile('x')",
    "np.zeros(1).dump('x')",
    "np.memmap('x', mode='w+')",
    "Path('x').write_text('y')",
    "Path('x').unlink()",
    "Path('x').open()",
    "jax.numpy.load('x.npy')",
    "jax.config.update('a', 1)",
    "jax.pure_callback(print, None)",
    "jax._src.xla_bridge.os",
    "().__class__.__base__.__subclasses__()",
    "'{0.__class__}'.format(1)",
    "'{0.__class__}'.format_map({})",
    "f'{().__class__}'",
    "getattr(np, 'load')",
    "vars(np)",
    "np.__dict__['load']",
    "globals()",
    "__builtins__",
    "__loader__",
    "__import__('os')",
    "open('x')",
    "print('x')",
    "memoryview(b'')",
    "super().x",
    "help()",
    "(lambda: 0).__code__",
    "(lambda: 0).__globals__",
    "(x for x in ()).gi_frame.f_globals",
    "[e.tb_frame for e in ()]",
    "match np:\n    case object(load=f):\n        f('x')",
    "match 1:\n    case int(__class__=c):\n        c",
    "@eval\ndef f(): '1'",
    "@exec\nclass C: pass",
    "class C(metaclass=__import__): pass",
    "class C:\n    x = [c.__subclasses__() for c in ().__class__.__mro__]",
    "def f(x=__import__('os')): pass",
    "def f(x: exec('1')): pass",
    "x: eval('1') = 1",
    "try: pass\nexcept eval('1'): pass",
    "global x",
    "async def f(): await g()",
    "def f(): yield from ()",
    "(y := 1)",
    "del np",
    "type T = eval('1')",
    "0 if 1 else __debug__.__class__",
    "def f(",
    "x\0y",
    "(" * 5000,
    "-" * 100_000 + "1",
]


@pytest.mark.parametrize("words", [numpy_words, jax_words])
@pytest.mark.parametrize("text", EVASIONS)
def test_evasions_are_refused(text: str, words: object) -> None:
    header = "import json\nimport threading\nimport numpy as np\nfrom pathlib import Path\n"
    if words is jax_words:
        header = "import jax\nimport numpy as np\nfrom pathlib import Path\n"
    check_source(header, words())  # type: ignore[operator]
    with pytest.raises(SourceError, match="emitted source"):
        check_source(header + text + "\n", words())  # type: ignore[operator]


@pytest.mark.parametrize(("package", "words"), [(numpy, numpy_words()), (jax, jax_words())], ids=["numpy", "jax"])
def test_every_word_of_a_lowering_is_known(package: object, words: Vocabulary) -> None:
    for path in sorted((Path(package.__file__).parent / "lower").glob("*.py")):  # type: ignore[attr-defined]
        nodes = ast.walk(ast.parse(path.read_text()))
        texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        for chain in re.findall(r"\b(?:np|jnp|lax|jax)((?:\.[a-z_]\w*)+)", "\n".join(texts)):
            assert set(chain.split(".")[1:]) <= words.words, f"{path.name}: {chain}"
