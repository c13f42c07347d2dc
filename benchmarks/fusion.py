"""NumPy with fusion and layout beside NumPy without them, and onnxruntime: ``python -m benchmarks.fusion``."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

os.environ["CUDA_VISIBLE_DEVICES"] = ""

from netwright.backends import registry, signature
from netwright.driver import build
from netwright.driver.build import Build, Weights
from netwright.driver.devices import footprints
from netwright.driver.export import write_onnx
from netwright.driver.model import Model, load
from netwright.driver.processes import Contender
from netwright.driver.samples import distance, random_inputs

from . import machine, report
from .cases import CASES, Case
from .race import CLOSE, Result, race_options, said, take_turns

WITH, WITHOUT, PEER = "with fusion and layout", "without", "our file in onnxruntime"
CONTENDERS = (WITH, WITHOUT, PEER)
PASSES = frozenset({"layout", "fuse", "schedule"})
"""What the slower of ours goes without."""
UNET = Case("unet", "image 572 x 572", "unet", "", {"N": 1, "H": 32, "W": 32}, ("logits",))
FUSED = (*(case for case in CASES if case.name in ("resnet50", "vgg16", "bert_base")), UNET)
SMALL = (
    replace(FUSED[0], what="image 32 x 32, 8 channels", args={"size": 32, "width": 8, "hidden": 64}),
    replace(FUSED[1], what="image 64 x 64", sizes={"N": 1, "H": 64, "W": 64}),
    replace(UNET, what="image 188 x 188, 8 channels", sizes={"N": 1, "H": 8, "W": 8}, args={"width": 8}),
)


@contextlib.contextmanager
def without_passes() -> Iterator[None]:
    """NumPy as it was before it asked for these passes."""
    backend = type(registry.get("numpy"))
    kept = backend.requires, backend.fusion
    backend.requires, backend.fusion = kept[0] - PASSES, None
    try:
        yield
    finally:
        backend.requires, backend.fusion = kept


def measured(case: Case, options: argparse.Namespace, tell: Callable[[str], None]) -> dict[str, Any]:
    """The results of a case, as JSON data."""
    model = load(f"zoo:{case.zoo}", **case.args)
    weights = Weights(everywhere=True).kept(model)
    inputs = random_inputs(signature.from_json(signature.to_json(model.program)).entries["main"], 0, case.sizes)
    results = {name: Result(name) for name in CONTENDERS}
    memory: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="netwright-benchmark-") as temporary, ExitStack() as stack:
        running: dict[str, Contender] = {}
        for name, result in results.items():
            tell(f"preparing {name}")
            folder = Path(temporary) / name.replace(" ", "-")
            folder.mkdir()
            try:
                kind, subject, memory[name] = prepared(name, model, weights, case, folder)
                running[name] = stack.enter_context(Contender(kind, subject, folder, inputs, "main", options.threads))
                running[name].ready()
            except Exception as error:
                # A fault of one contender is a line in the table.
                result.problem = said(error)
        compare(results, running, Path(temporary))
        ready = [(result, running[name]) for name, result in results.items() if not result.problem]
        take_turns(ready, options.rounds, options.seconds, tell)
    return {**report.case_data(case, list(results.values()), WITHOUT), "memory": memory}


def prepared(
    name: str, model: Model, weights: Weights, case: Case, folder: Path
) -> tuple[str, str, dict[str, int | None] | None]:
    """The kind and subject of a contender, and the bytes of its activations."""
    if name == PEER:
        write_onnx(model, folder / "model.onnx", weights, None, "main")
        return "onnxruntime", str(folder / "model.onnx"), None
    with without_passes() if name == WITHOUT else contextlib.nullcontext():
        build.write_bundle(model, folder / "bundle", Build("numpy"), weights)
        found = footprints(build.compile_program(model, Build("numpy"), weights), case.sizes)["main"]
    return "bundle", str(folder / "bundle"), {"peak_bytes": found.peak, "bound_bytes": found.bound}


def compare(results: dict[str, Result], running: dict[str, Contender], folder: Path) -> None:
    """Set each contender's difference from onnxruntime, and a problem where that is too large."""
    outputs: dict[str, list[np.ndarray]] = {}
    for name, contender in running.items():
        if not results[name].problem:
            outputs[name] = list(contender.outputs(folder / "outputs.npz").values())
    for name, found in outputs.items():
        wanted = outputs.get(PEER, found)
        pairs = [distance(one, other) for one, other in zip(found, wanted, strict=True)]
        error = max(difference / largest for difference, largest in pairs)
        results[name].error = error
        if not error <= CLOSE:
            results[name].problem = f"the outputs differ from onnxruntime's by {error:.1e}"


def page(data: dict[str, Any]) -> str:
    """The page of a run."""
    head = ["model", *CONTENDERS, "peak with", "lower bound", "peak / bound", "peak without"]
    rows = []
    for case in data["cases"]:
        found, memory = case["contenders"], case["memory"]
        ours, before = memory.get(WITH), memory.get(WITHOUT)
        cells = [report.cell(found[name]) for name in CONTENDERS]
        if ours and before:
            ratio = f"{ours['peak_bytes'] / ours['bound_bytes']:.2f}"
            cells += [megabytes(ours["peak_bytes"]), megabytes(ours["bound_bytes"]), ratio]
            cells.append(megabytes(before["peak_bytes"]))
        else:
            cells += ["-"] * 4
        rows.append([f"{case['model']} ({case['what']})", *cells])
    problems = [
        f"- {case['model']}, {name}: {found['problem']}"
        for case in data["cases"]
        for name, found in case["contenders"].items()
        if found["problem"]
    ]
    note = (
        f"Median time of a run at batch 1, float32, {data['threads']} threads each, on {data['machine']['processor']}; "
        "in brackets the time relative to NumPy without fusion, layout and schedule in the same run (below 1 is "
        "faster). Memory is the block that holds all activations and scratch memory of a call; the lower bound is the "
        "largest set of activations that live at once in the order of the program, each result in place of an operand "
        "where that is right."
    )
    parts = [
        f"# NumPy with fusion and layout, and without\n\n{data['date']}, `{data['command']}`\n",
        f"{report.table(head, rows)}\n\n{note}\n",
        *(["\n".join(problems) + "\n"] if problems else []),
        "## Machine\n\n" + report.machine_list(data["machine"]) + "\n",
    ]
    return "\n".join(parts)


def megabytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB"


def main() -> None:
    """Measure, print the page and, if it is of all cases, write it with its data."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.fusion", description=__doc__)
    names = [case.name for case in FUSED]
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"some of {', '.join(names)}, only printed")
    race_options(parser)
    options = parser.parse_args()
    for name in options.models:
        if name not in names:
            parser.error(f"there is no case {name!r} (there are {', '.join(names)})")
    data: dict[str, Any] = {
        "command": " ".join(["python", "-m", f"{__package__}.fusion", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine.facts(),
        "threads": options.threads,
        "rounds": options.rounds,
        "cases": [],
    }
    for case in SMALL if options.small else FUSED:
        if not options.models or case.name in options.models:
            data["cases"].append(
                measured(case, options, lambda words, name=case.name: print(f"{name}: {words}", file=sys.stderr))
            )
    text = page(data)
    print(text, end="")
    if not options.small and not options.models:
        folder = Path(__file__).parent / "results"
        folder.mkdir(exist_ok=True)
        (folder / f"fusion-{options.machine}.md").write_text(text, encoding="utf-8")
        (folder / f"fusion-{options.machine}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
