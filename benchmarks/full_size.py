"""Every model of the zoo at full size, compiled and run once on each target: ``python -m benchmarks.full_size``."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netwright.driver.files import write_file
from netwright.driver.memory import gibibytes, physical_memory
from netwright.driver.processes import THREAD_VARIABLES
from netwright.driver.samples import distance

from . import machine
from .full_size_job import FILE, Job
from .full_sizes import FullSize, cases
from .report import machine_list, seconds, table
from .watched import Limits, WatchedError, run

RESULTS = Path(__file__).parent / "results"
TARGETS = ("numpy", "jax", "onnx")
FLOAT = 4
"""Bytes of a parameter in float32."""
LARGE = 2**31
"""Bytes of weights that no single ONNX file holds: such models are exported, too."""

Data = dict[str, Any]


def main() -> None:
    """Measure, and after each step write the page and its data: what was measured before stays in them."""
    options = arguments()
    path = RESULTS / f"full-size-{machine.name()}.json"
    data: Data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"cases": {}}
    data["machine"] = machine.facts()
    chosen = list(cases(options.models))
    unknown = set(options.models) - {case.name for case in chosen}
    if unknown:
        sys.exit(f"no model of the zoo with weights of its own is called {min(unknown)!r}")
    for case in sorted(chosen, key=lambda case: case.parameters):
        old = data["cases"].get(case.name, {})
        if options.missing and _complete(old, case, options.targets):
            continue
        for found in measured(case, options, old):
            data["cases"][case.name] = found
            RESULTS.mkdir(exist_ok=True)
            _write(path, json.dumps(data, indent=1) + "\n")
            _write(path.with_suffix(".md"), page(data))
    print(page(data), end="")


def _write(path: Path, text: str) -> None:
    """Whole or not at all, whenever the run is ended."""
    write_file(path, lambda file: file.write(text.encode()))


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.full_size", description=__doc__)
    parser.add_argument("--models", type=_names, default=(), help="names, with commas between them (all)")
    parser.add_argument("--targets", type=_names, default=TARGETS, help="targets, with commas between them")
    parser.add_argument("--missing", action="store_true", help="only what the page does not have yet")
    parser.add_argument("--threads", type=int, default=1, help="threads of NumPy and onnxruntime (1)")
    parser.add_argument("--memory", type=float, default=0.8, help="share of the machine's memory for a process")
    parser.add_argument("--seconds", type=float, default=1200, help="limit of each process")
    return parser.parse_args()


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def _targets(case: FullSize, targets: Sequence[str]) -> list[str]:
    """The targets of a case: an exported file besides, where its weights do not fit into it."""
    large = "onnx" in targets and case.parameters * FLOAT > LARGE
    return [*targets, FILE] if large else list(targets)


def _complete(old: Data, case: FullSize, targets: Sequence[str]) -> bool:
    return "does_not_fit" in old or set(_targets(case, targets)) <= old.get("targets", {}).keys()


def measured(case: FullSize, options: argparse.Namespace, old: Data) -> Iterator[Data]:
    """The data of a case after each target, what is measured now in the place of what was there before."""
    _tell(f"{case.name} ({case.parameters:,} parameters)")
    found: Data = {"what": case.what, "parameters": case.parameters, "targets": dict(old.get("targets", {}))}
    problem = _too_large(case)
    if problem:
        yield {**found, "does_not_fit": problem}
        return
    with tempfile.TemporaryDirectory(prefix="netwright-full-size-") as name:
        folder = Path(name)
        for target in _targets(case, options.targets):
            _tell(f"{case.name}: {target}")
            found["targets"][target] = {**_steps(case, target, folder, options), "source": machine.source()}
            _compare(found["targets"], folder)
            found["date"] = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
            yield found


def _too_large(case: FullSize) -> str:
    """Why a model cannot run here, by calculation; or nothing."""
    found = case.summary()
    values = next(entry.activation_bytes for entry in found.entries if entry.name == "main")
    room = physical_memory()
    if room is None or found.parameter_bytes + values < room:
        return ""
    return f"{gibibytes(found.parameter_bytes)} of weights, {gibibytes(values)} of values"


def _steps(case: FullSize, target: str, folder: Path, options: argparse.Namespace) -> Data:
    """What compiling and running take; the first step that fails is a problem, and the last."""
    place = folder / target
    place.mkdir()
    result: Data = {}
    for step in ("compile", "run"):
        job = Job(step, case.name, target, str(place), str(place / f"{step}.json"), dict(case.args), dict(case.sizes))
        job.write(place / "job.json")
        command = [sys.executable, "-m", f"{__package__}.full_size_job", str(place / "job.json")]
        limits = Limits(int((physical_memory() or 0) * options.memory), options.seconds)
        try:
            run(command, limits, place / "log.txt", _environment(options.threads))
        except WatchedError as error:
            result["problem"] = f"{step}: {error}"
            break
        report = json.loads(Path(job.report).read_text(encoding="utf-8"))
        result |= {f"{step}_{key}" if key == "peak_bytes" else key: value for key, value in report.items()}
    # Outputs are compared later; the weights need the room of the next ones.
    for path in job.files():
        path.unlink()
    return result


def _environment(threads: int) -> dict[str, str]:
    """So many threads in NumPy and onnxruntime (JAX has its own mind), on nothing but the CPU."""
    bound = dict.fromkeys(THREAD_VARIABLES, str(threads))
    return {**os.environ, **bound, "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}


def _compare(found: dict[str, Data], folder: Path) -> None:
    """Set the difference of each target from the first one, relative to the largest value of each output."""
    first: dict[str, np.ndarray] | None = None
    for target, result in found.items():
        path = folder / target / f"{target}.npz"
        if not path.exists():
            continue
        with np.load(path, allow_pickle=False) as loaded:
            outputs = {name: loaded[name] for name in loaded.files}
        if first is None:
            first = outputs
        else:
            result["difference"] = max((_apart(outputs[name], first[name]) for name in _comparable(first)), default=0.0)


def _comparable(outputs: Mapping[str, np.ndarray]) -> list[str]:
    """The outputs to compare: with random weights many boxes of a detector score the same, and come in any order."""
    return ["scores"] if "scores" in outputs else list(outputs)


def _apart(got: np.ndarray, wanted: np.ndarray) -> float:
    difference, largest = distance(got, wanted)
    return difference / largest


def page(data: Data) -> str:
    """The page of all that was measured so far."""
    fitting = {name: case for name, case in _by_size(data) if "does_not_fit" not in case}
    rows = [_row(name, case) for name, case in fitting.items()]
    problems = [
        f"- {name} on {target}: {result['problem']}"
        for name, case in fitting.items()
        for target, result in case["targets"].items()
        if "problem" in result
    ]
    large = [
        [name, f"{case['parameters']:,}", case["does_not_fit"]] for name, case in _by_size(data) if name not in fitting
    ]
    files = [_file_row(name, case["targets"][FILE]) for name, case in fitting.items() if FILE in case["targets"]]
    head = ["model", "sizes", "parameters", "drawn in", *TARGETS, "difference"]
    parts = [
        "# The zoo at full size\n",
        "Each model of the zoo, batch 1, float32, every parameter drawn at random (seed 0); compiled with free "
        "dimensions, all entries of a model into one bundle, and `main` run once. A cell is: from the spec to the "
        "files, weights written and hashed / the first run, with everything that is made only once / the most memory "
        "that either process held, mapped files included. Times are seconds of the processor, which other processes "
        "disturb little, with one thread in NumPy and onnxruntime; elapsed times are in the data beside this page. "
        "`drawn in` is the time of the random generator, which is not in the cells. `difference` is the largest "
        "between the outputs of numpy and of the other targets, relative to the largest value of the output (of "
        "detectors the scores: with random weights many are equal, and their boxes come in any order).\n",
        f"{table(head, rows)}\n",
        *(["## What failed\n", "\n".join(problems) + "\n"] if problems else []),
        "## Exported files over 2 GiB\n",
        "The entry `main`, with its weights in a second file; checked by `onnx.checker` by its path, then run by "
        "onnxruntime without anything of ours.\n",
        f"{table(['model', 'files', 'exported', 'checked and loaded', 'first run', 'memory', 'difference'], files)}\n",
        "## What does not fit\n",
        f"{table(['model', 'parameters', 'what it would take'], large)}\n",
        f"## Machine\n\n{machine_list(data['machine'])}\n",
    ]
    return "\n".join(parts)


def _by_size(data: Data) -> list[tuple[str, Data]]:
    return sorted(data["cases"].items(), key=lambda pair: pair[1]["parameters"])


def _row(name: str, case: Data) -> list[str]:
    results: Mapping[str, Data] = case["targets"]
    drawn = [result["draw_seconds"] for result in results.values() if "draw_seconds" in result]
    apart = [result["difference"] for result in results.values() if "difference" in result]
    cells = [_cell(results.get(target, {})) for target in TARGETS]
    difference = f"{max(apart):.0e}" if apart else "-"
    return [name, case["what"] or "-", f"{case['parameters']:,}", seconds(max(drawn, default=0)), *cells, difference]


def _cell(result: Data) -> str:
    """Compiling, running and memory of one target."""
    compiled = seconds(result["compile_seconds"]) if "compile_seconds" in result else "-"
    ran = seconds(result["run_seconds"]) if "run_seconds" in result else "-"
    return f"{compiled} / {ran} / {_peak(result)}"


def _peak(result: Data) -> str:
    peaks = [result[key] for key in ("compile_peak_bytes", "run_peak_bytes") if key in result]
    return gibibytes(max(peaks)) if peaks else "-"


def _file_row(name: str, result: Data) -> list[str]:
    if "problem" in result:
        return [name, "-", "-", "-", "-", "-", "-"]
    times = [seconds(result[f"{key}_seconds"]) for key in ("compile", "open", "run")]
    difference = f"{result['difference']:.0e}" if "difference" in result else "-"
    return [name, gibibytes(result["file_bytes"]), *times, _peak(result), difference]


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
