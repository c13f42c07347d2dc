"""What models of the zoo take of TPUs, by the TPU's own compiler and without one: ``python -m benchmarks.tpu``."""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from netwright.backends import registry
from netwright.backends.api import Options
from netwright.backends.bundle import read_manifest
from netwright.driver.build import Build, Weights, write_bundle
from netwright.driver.model import load

from . import machine
from .report import machine_list, table


@dataclass(frozen=True, slots=True)
class Case:
    """A model at sizes on a topology, in a compute dtype, over a mesh if it does not declare one."""

    model: str
    topology: str
    dims: dict[str, int]
    dtype: str | None = None
    mesh: dict[str, int] | None = None
    rules: dict[str, tuple[str | None, ...]] = field(default_factory=dict)


CASES = (
    Case("resnet18", "v5e:1x1", {"N": 8, "H": 224, "W": 224}, "bfloat16"),
    Case("bert_base", "v5e:1x1", {"N": 32, "T": 128}, "bfloat16"),
    Case("bert_base", "v5e:2x2", {"N": 32, "T": 128}, "bfloat16", {"data": 4}, {"ids": ("data", None)}),
    Case("gpt3", "v5p:4x4x4", {"N": 4, "T": 2048}),
)
PAGE = Path(__file__).parent / "results" / "tpu.md"


def main() -> None:
    """Compile, print the page and, if it has all cases, write it."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.tpu", description=__doc__)
    parser.add_argument("models", nargs="*", help="names of cases (all)")
    options = parser.parse_args()
    load_at_start = machine.facts()
    head = ["model", "chips", "sizes", "dtype", "arguments", "temporaries", "code", "of HBM", "FLOPs", "roofline"]
    lines = list(rows(options.models))
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = (
        f"# TPUs, without one\n\n{now}, `{' '.join(['python', '-m', f'{__package__}.tpu', *sys.argv[1:]])}`\n\n"
        "The entry `main` of each, compiled by libtpu for real chips; numbers are per chip. The roofline is the larger "
        "of FLOPs over the chip's peak and bytes over its bandwidth, by the data sheet: no chip is faster. `took` is "
        "from spec to bundle, without weights, on the machine below.\n\n"
        f"{table([*head, 'took'], lines)}\n\n## Machine\n\n{machine_list(load_at_start)}\n"
    )
    print(text, end="")
    if not options.models:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")


def rows(models: list[str]) -> Iterator[list[str]]:
    """The lines of the table."""
    for case in CASES:
        if models and case.model not in models:
            continue
        print(f"{case.model} for {case.topology}", file=sys.stderr, flush=True)
        yield row(case)


def row(case: Case) -> list[str]:
    """One line."""
    start = time.perf_counter()
    model = load(f"zoo:{case.model}", dims=case.dims, dtype=case.dtype)
    if case.mesh is not None:
        model = model.spreading(case.mesh, case.rules)
    with tempfile.TemporaryDirectory() as folder:
        build = Build("jax", Options(f"tpu:{case.topology}"), weights=False)
        write_bundle(model, Path(folder) / "bundle", build, Weights())
        manifest = read_manifest(Path(folder) / "bundle")
    took = time.perf_counter() - start
    (shown,) = registry.get("jax").describe(manifest)
    place = shown.columns.index("main")
    said = {line[0]: line[place] for line in shown.rows}
    sizes = ", ".join(f"{symbol} = {size}" for symbol, size in case.dims.items())
    return [
        case.model,
        case.topology,
        sizes,
        case.dtype or "as declared",
        said["arguments in HBM"],
        said["temporaries in HBM"],
        said["code in HBM"],
        said["HBM in all"],
        said["FLOPs"],
        f"{said['roofline time']} ({said['bound by']})",
        f"{took:.0f} s",
    ]


if __name__ == "__main__":
    main()
