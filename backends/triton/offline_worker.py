"""The process that compiles kernels: ``python -m netwright.backends.triton.offline_worker``, started by `offline`.

It reads one JSON object from standard input (the file of the module and the jobs), and writes a JSON object per line:
``{"begin": n}`` before job n, then ``{"done": n, ...}`` with what came out, or with a ``problem``. A process of its
own, since a Triton that interprets cannot compile, and LLVM ends its process where it gives up.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, TextIO

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

_REGISTERS = re.compile(r"Used (\d+) registers")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_WARP = 32


def main() -> None:
    """Compile what standard input asks for."""
    request = json.load(sys.stdin)
    # What Triton and its tools print goes to the error output; answers keep the real one for themselves.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    module = _module(Path(request["module"]))
    for number, job in enumerate(request["jobs"]):
        _answer(answers, {"begin": number})
        _answer(answers, {"done": number, **_compiled(module, job)})


def _answer(stream: TextIO, what: dict[str, Any]) -> None:
    stream.write(json.dumps(what) + "\n")
    stream.flush()


def _module(path: Path) -> Any:
    """The emitted module, whose text was checked by who wrote it there."""
    spec = importlib.util.spec_from_file_location("kernels", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _compiled(module: Any, job: dict[str, Any]) -> dict[str, Any]:
    """The job's first choice that fits into the shared memory of a block."""
    wanted = 0
    for number, choice in enumerate(job["choices"]):
        try:
            found = _choice(module, job, choice)
        except Exception as error:
            # Any fault of the compiler is the fault of this kernel, and of no other.
            return {"problem": f"{type(error).__name__}: {_said(error)}"}
        wanted = int(found["shared_bytes"])
        if wanted <= job["shared_limit"]:
            return {"choice": number, **found}
    return {"problem": f"it needs {wanted} bytes of shared memory, a block has {job['shared_limit']}"}


def _choice(module: Any, job: dict[str, Any], choice: dict[str, Any]) -> dict[str, Any]:
    function = getattr(module, job["kernel"])
    names = list(function.arg_names)
    source = ASTSource(
        function,
        signature={name: job["signature"].get(name, "constexpr") for name in names},
        constexprs=choice["constants"],
        attrs={(names.index(name),): [["tt.divisibility", number]] for name, number in job["aligned"].items()},
    )
    log = io.StringIO()
    with contextlib.redirect_stdout(log):
        kernel = triton.compile(
            source, target=GPUTarget("cuda", job["capability"], _WARP), options=dict(choice["options"])
        )
    registers, stack = _REGISTERS.search(log.getvalue()), _STACK.search(log.getvalue())
    if registers is None or stack is None:
        raise ValueError("ptxas said nothing of registers")
    return {
        "cubin": base64.b64encode(kernel.asm["cubin"]).decode(),
        "symbol": kernel.metadata.name,
        "registers": int(registers[1]),
        "spill_bytes": int(stack[2]) + int(stack[3]),
        "shared_bytes": int(kernel.metadata.shared),
        "warps": int(kernel.metadata.num_warps),
        "stages": int(kernel.metadata.num_stages),
    }


def _said(error: Exception) -> str:
    """What an error says that is of use: the line of the kernel and the last words."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " / ".join(lines[:1] + lines[-1:]) if len(lines) > 1 else "".join(lines)


if __name__ == "__main__":
    main()
