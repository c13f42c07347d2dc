"""What calls hold beside weights, and the least that they could: ``python -m benchmarks.memory``. Nothing is run."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from netwright.backends import registry
from netwright.compiler import pipeline
from netwright.compiler.footprint import Footprint, footprint
from netwright.driver.build import Build, compilation
from netwright.driver.collector import paused
from netwright.driver.model import load

from . import machine
from .report import machine_list, table

CASES: tuple[tuple[str, dict[str, int]], ...] = (
    ("resnet50", {"N": 1, "H": 224, "W": 224}),
    ("resnet50", {"N": 32, "H": 224, "W": 224}),
    ("vgg16", {"N": 1}),
    ("vgg16", {"N": 32}),
    ("bert_base", {"N": 1, "T": 128}),
    ("bert_base", {"N": 32, "T": 128}),
    ("unet", {"N": 1, "H": 16, "W": 16}),
    ("unet", {"N": 1, "H": 32, "W": 32}),
    ("googlenet", {"N": 1}),
    ("yolov3", {"N": 1, "R": 13, "C": 13}),
    ("gpt2", {"N": 1, "T": 128}),
)
TARGETS = ("numpy", "triton")
LEFT_OUT = frozenset({"layout", "fuse", "schedule"})
"""Passes that the plain form of a target goes without."""
PAGE = Path(__file__).parent / "results" / "memory.md"


def main() -> None:
    """Count, print the page and, if it has all cases and targets, write it."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.memory", description=__doc__)
    parser.add_argument("--targets", nargs="+", default=TARGETS, help="whose plans (numpy triton)")
    parser.add_argument("models", nargs="*", help="names of cases (all)")
    options = parser.parse_args()
    lines = list(rows(options.targets, options.models))
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    command = " ".join(["python", "-m", f"{__package__}.memory", *sys.argv[1:]])
    head = ["model", "sizes", "target", "values", "held", "times", "without passes", "saved"]
    text = (
        f"# Memory of activations\n\n{now}, `{command}`\n\n"
        "MB that a call holds beside weights, inputs, outputs and states, by the emitted program's own plan. "
        "`values` is the lower bound: the largest set of values that live at once in the order of the program, each "
        "result in place of an operand where that is right. `held` is the block that is allocated, with what kernels "
        "need besides; a target that makes the parts of a concatenation in place can hold less than `values`. "
        f"`without passes` is the same target without {', '.join(sorted(LEFT_OUT))}.\n\n"
        f"{table(head, lines)}\n\n## Machine\n\n{machine_list(machine.facts())}\n"
    )
    print(text, end="")
    if not options.models and tuple(options.targets) == TARGETS:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")


def rows(targets: tuple[str, ...], models: list[str]) -> Iterator[list[str]]:
    """The lines of the table."""
    for name, sizes in CASES:
        if models and name not in models:
            continue
        for target in targets:
            if registry.get(target).unavailable() is not None:
                continue
            print(f"{name} for {target}", file=sys.stderr, flush=True)
            found = held(name, sizes, target)
            plain = held(name, sizes, target, LEFT_OUT)
            shown = ", ".join(f"{symbol} = {size}" for symbol, size in sizes.items())
            if found.peak is None or plain.peak is None or found.ratio is None:
                continue
            saved = f"{1 - found.peak / plain.peak:.0%}"
            yield [name, shown, target, mb(found.bound), mb(found.peak), f"{found.ratio:.3f}", mb(plain.peak), saved]


def held(name: str, sizes: dict[str, int], target: str, without: frozenset[str] = frozenset()) -> Footprint:
    """The memory of the first entry of a model of the zoo on a target."""
    model = load(f"zoo:{name}")
    backend, context = compilation(model, Build(target))
    context = replace(context, requires=context.requires - without)
    with paused():
        program = pipeline.run(model.program, context)
    first, entry = next(iter(program.entries.items()))
    chosen = {symbol.name: max(1, symbol.low) for each in program.entries.values() for symbol in each.symbols} | sizes
    buffers = backend.buffers(program, chosen)
    return footprint(entry, chosen, None if buffers is None else buffers[first])


def mb(size: int) -> str:
    """Bytes in millions."""
    return f"{size / 1e6:.2f}"


if __name__ == "__main__":
    main()
