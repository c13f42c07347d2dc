"""Every model of the zoo at the sizes that its source describes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from netwright.compiler.summary import Summary, summarize
from netwright.driver.model import load
from netwright.driver.summary import usual_sizes
from netwright.driver.zoo import rows

DEFAULTS = frozenset({"resnet", "senet", "vgg", "bert", "t5", "llama", "transformer", "vit"})
"""Documents whose own name means one of their variants."""
SIZES: Mapping[str, Mapping[str, int]] = {"recurrent/frnn.yaml": {"T": 100}, "recurrent/rnn.yaml": {"T": 100}}
"""Sizes other than those that a document calls usual: it counts the work of one step."""
ARGS: Mapping[str, Mapping[str, Any]] = {"stable_diffusion": {"steps": 2}}
"""Knobs that are not the default, by name: a loop does the same work in each of its steps."""


@dataclass(frozen=True, slots=True)
class FullSize:
    """A name of the zoo with its knobs, the sizes of its inputs and the number of its parameters."""

    name: str
    parameters: int
    sizes: Mapping[str, int] = field(default_factory=dict)
    args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """Sizes and knobs as text."""
        return ", ".join(f"{name} = {value}" for name, value in {**self.args, **self.sizes}.items() if name != "N")

    def summary(self) -> Summary:
        """What it holds, by calculation."""
        return summarize(load(f"zoo:{self.name}", **self.args).program, usual=self.sizes)


def cases(names: Collection[str] = ()) -> Iterator[FullSize]:
    """The models of these names (all), in the order of the zoo; no weight is allocated."""
    for row in rows():
        if row.parameters is None or row.name in DEFAULTS or (names and row.name not in names):
            continue
        args = ARGS.get(row.name, {})
        sizes = usual_sizes(load(f"zoo:{row.name}", **args))
        yield FullSize(row.name, row.parameters, {**sizes, "N": 1, **SIZES.get(row.document, {})}, args)
