"""Our kernels beside torch on a GPU: ``python -m benchmarks.gpu``.

Ends with code 1 and a line that says why where there is no GPU.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from netwright.backends import bundle, signature
from netwright.backends.api import Options
from netwright.driver.build import Build, Weights, write_bundle
from netwright.driver.files import write_npz
from netwright.driver.model import load
from netwright.driver.processes import Contender, ContenderError, cores
from netwright.driver.samples import distance, random_inputs

from . import machine, report
from .cases import CASES, ON_GPU, SMALL, Case
from .race import Result, Tell, said, take_turns

RESULTS = Path(__file__).parent / "results"
OURS, EAGER, COMPILED = "our triton", "torch eager", "torch.compile"
CONTENDERS = (OURS, EAGER, COMPILED)
MODES = {EAGER: "eager", COMPILED: "max-autotune"}
CLOSE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
"""The largest difference from torch's outputs in float32, relative to their largest value, of one that is timed."""
THREADS = 8


@dataclass(frozen=True, slots=True)
class Setting:
    """A case at a batch and in a float type, on a device by torch's name of it."""

    case: Case
    batch: int
    dtype: str
    device: str = "cuda"

    @property
    def title(self) -> str:
        return f"{self.case.name}, batch {self.batch}, {self.dtype}"

    @property
    def sizes(self) -> dict[str, int]:
        return {**self.case.sizes, "N": self.batch}


def main() -> None:
    """Measure, print the page and, if it is of all cases, write it with its data."""
    options = arguments()
    # Kernels run on the device, whatever the environment was set for before.
    os.environ.pop("TRITON_INTERPRET", None)
    facts = gpu_facts()
    if facts is None:
        print(f"{__package__}.gpu needs an NVIDIA GPU that torch can use; there is none here", file=sys.stderr)
        raise SystemExit(1)
    data: dict[str, Any] = {
        "command": " ".join(["python", "-m", f"{__package__}.gpu", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": {**facts, **machine.facts()},
        "rounds": options.rounds,
        "cases": [],
    }
    for setting in settings(options):
        results = measured(setting, options)
        data["cases"].append(case_data(setting, results))
    text = page(data)
    print(text, end="")
    if not options.small and not options.models:
        stem = f"gpu-{file_name(facts['GPU'])}"
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{stem}.md").write_text(text, encoding="utf-8")
        (RESULTS / f"{stem}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def gpu_facts() -> dict[str, str] | None:
    """The GPU as a reader wants it named; None if torch finds none. Asked in a process that ends: contenders need the
    device's memory."""
    code = (
        "import json, torch, triton\n"
        "facts = torch.cuda.get_device_properties(0)\n"
        "print(json.dumps({'GPU': facts.name, 'its memory': f'{facts.total_memory / 2**30:.0f} GiB',"
        " 'capability': f'{facts.major}.{facts.minor}', 'CUDA of torch': torch.version.cuda,"
        " 'triton': triton.__version__}))"
    )
    done = machine.python(code)
    return dict(json.loads(done)) if done else None


def file_name(product: str) -> str:
    """The product in characters that suit a file name."""
    return "-".join(re.findall(r"[a-z0-9]+", product.lower()))


def settings(options: argparse.Namespace) -> Iterator[Setting]:
    """All that is to be measured, a model at a time."""
    for case in SMALL if options.small else (*CASES, *ON_GPU):
        if options.models and case.name not in options.models:
            continue
        for dtype in options.dtypes:
            for batch in options.batches:
                yield Setting(case, batch, dtype)


def measured(setting: Setting, options: argparse.Namespace) -> list[Result]:
    """The results of a setting; one that cannot even be set up is a problem of all its contenders."""

    def tell(message: str) -> None:
        print(f"{setting.title}: {message}", file=sys.stderr, flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix="netwright-benchmark-") as folder:
            return race(setting, Path(folder), options.rounds, options.seconds, tell)
    except Exception as error:
        # Whatever it is, the other settings are worth their minutes.
        tell(said(error))
        return [Result(name, problem=said(error)) for name in CONTENDERS]


def race(setting: Setting, folder: Path, rounds: int, seconds: float, tell: Tell) -> list[Result]:
    """The results of all contenders: compared with torch in float32, then timed in turns.

    A contender that fails, or whose outputs differ, has a problem and no times. Raises SpecError.
    """
    case = setting.case
    plain = load(f"zoo:{case.zoo}", **case.args)
    weights = Weights(everywhere=True).kept(plain)
    entry = signature.from_json(signature.to_json(plain.program)).entries["main"]
    inputs = random_inputs(entry, 0, setting.sizes)
    with open(folder / "weights.safetensors", "wb") as file:
        bundle.write_safetensors(file, weights.parameters(plain))
    write_npz(folder / "inputs.npz", inputs)
    wanted = _wanted(setting, inputs, folder, tell)
    results = [Result(name) for name in CONTENDERS]
    with ExitStack() as stack:
        running: dict[str, Contender] = {}
        for place, result in enumerate(results):
            tell(f"preparing {result.name}")
            (folder / str(place)).mkdir()
            try:
                contender = stack.enter_context(_start(setting, result.name, inputs, folder, folder / str(place)))
                contender.ready()
                _compare(setting, result, contender.outputs(folder / "outputs.npz"), wanted)
            except Exception as error:
                # A fault of one contender, of ours too, is a line in the table.
                result.problem = said(error)
            else:
                running[result.name] = contender
        ready = [(result, running[result.name]) for result in results if not result.problem]
        take_turns(ready, rounds, seconds, tell)
    return results


def _wanted(setting: Setting, inputs: Mapping[str, np.ndarray], folder: Path, tell: Tell) -> dict[str, np.ndarray]:
    """What torch gives in float32, by the names of our outputs. Raises ContenderError."""
    tell("asking torch")
    (folder / "wanted").mkdir()
    exact = replace(setting, dtype="float32")
    with _start(exact, EAGER, inputs, folder, folder / "wanted") as contender:
        contender.ready()
        found = contender.outputs(folder / "outputs.npz")
    return dict(zip(setting.case.outputs, found.values(), strict=False))


def _start(setting: Setting, name: str, inputs: Mapping[str, np.ndarray], folder: Path, own: Path) -> Contender:
    """A contender's process. Raises BackendError if there is nothing that it could run."""
    case = setting.case
    args: dict[str, Any] = {"device": setting.device, "dtype": setting.dtype}
    kind, subject = f"{__package__}.peers.device_torch", case.peer
    if name == OURS:
        kind, subject = f"{__package__}.peers.device_ours", str(own / "bundle")
        model = load(f"zoo:{case.zoo}", dtype=setting.dtype, **case.args)
        device = "interpreter" if setting.device == "cpu" else setting.device
        write_bundle(model, own / "bundle", Build("triton", Options(device)), Weights(everywhere=True))
    else:
        weights = str(folder / "weights.safetensors")
        args |= {"args": dict(case.peer_args), "weights": weights, "mode": MODES[name]}
    return Contender(kind, subject, own, inputs, "main", min(THREADS, cores()), args)


def _compare(
    setting: Setting, result: Result, found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]
) -> None:
    """Set the error. Raises ContenderError where it is too large."""
    by_name = found if result.name == OURS else dict(zip(wanted, found.values(), strict=False))
    errors = []
    for name, value in wanted.items():
        difference, largest = distance(by_name[name], value)
        errors.append(difference / largest)
    result.error = max(errors)
    if not result.error <= CLOSE[setting.dtype]:
        raise ContenderError(f"the outputs differ from torch's in float32 by {result.error:.1e}")


def case_data(setting: Setting, results: Sequence[Result]) -> report.Data:
    """A setting as JSON data. Ratios are of medians, to torch.compile."""
    found = report.case_data(setting.case, results, base=COMPILED)
    return {**found, "batch": setting.batch, "dtype": setting.dtype}


def page(data: report.Data) -> str:
    """The page of a run: the table, what went wrong, and the machine."""
    rows, problems = [], []
    for case in data["cases"]:
        title = f"{case['model']} ({case['what']})"
        cells = [report.cell(case["contenders"][name]) for name in CONTENDERS]
        errors = [case["contenders"][name]["difference_from_torch"] for name in CONTENDERS]
        shown = " / ".join("-" if error is None else f"{error:.0e}" for error in errors)
        rows.append([title, str(case["batch"]), case["dtype"], *cells, shown])
        for name in CONTENDERS:
            problem = case["contenders"][name]["problem"]
            if problem:
                problems.append(f"- {case['model']}, batch {case['batch']}, {case['dtype']}, {name}: {problem}")
    head = ["model", "batch", "type", *CONTENDERS, "differences"]
    note = (
        f"Median time of a call with inputs and outputs on {data['machine']['GPU']}, CUDA graphs for all; in brackets"
        f" the time relative to {COMPILED} (max-autotune) in the same run (below 1 is faster). Contenders take turns."
        " Float32 is full float32, no TF32. The differences are of each contender's outputs from torch's in float32,"
        " relative to their largest value."
    )
    parts = [f"# Models on a GPU\n\n{data['date']}, `{data['command']}`\n", report.table(head, rows), "", note, ""]
    parts += [*problems, ""] if problems else []
    parts += ["## Machine\n", report.machine_list(data["machine"]), ""]
    return "\n".join(parts)


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.gpu", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="some of the cases, only printed; by default all")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32], metavar="N", help="batches (1 32)")
    parser.add_argument(
        "--dtypes", nargs="+", default=list(CLOSE), choices=list(CLOSE), metavar="T", help="float types"
    )
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contender (15)")
    parser.add_argument("--seconds", type=float, default=20, help="no further round of a setting after that long (20)")
    parser.add_argument("--small", action="store_true", help="small models, only printed, to try the benchmark itself")
    options = parser.parse_args()
    known = [case.name for case in (*CASES, *ON_GPU)]
    for name in options.models:
        if name not in known:
            parser.error(f"there is no case {name!r} (there are {', '.join(known)})")
    if options.rounds < 1 or min(options.batches) < 1:
        parser.error("--rounds and --batches are 1 or more")
    return options


if __name__ == "__main__":
    main()
