"""How a weights file maps to a model, as data: what a person looks at when a file does not fit, or writes a layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...compiler.ir import Parameter
from .errors import WeightsError
from .load import Opened, Source, choose, open_sources, plans_of
from .mismatch import MismatchError
from .plan import Plan, nearest_plan
from .tensors import Entry


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file against its share of the model's parameters.

    ``prefix`` is where these stand in the whole model. ``plans`` say what each layout makes of the keys; ``chosen`` is
    the one that fits, None if there is none, or no single one: ``problem`` says why.
    """

    path: Path
    prefix: str
    parameters: Mapping[str, Parameter]
    entries: tuple[Entry, ...]
    plans: tuple[Plan, ...]
    chosen: Plan | None
    problem: str | None
    mismatch: bool = False
    """Whether the problem is that the file is another model's."""

    @property
    def nearest(self) -> Plan | None:
        """The plan that fits, or nearly does; None for a flat file that does not fit."""
        return self.chosen or (nearest_plan(self.plans) if self.plans else None)


def match_report(
    path: str | Path,
    parameters: Mapping[str, Parameter],
    sources: Sequence[Source] = (),
    root: str | Path | None = None,
) -> tuple[FileReport, ...]:
    """As `load_weights`, but a file that does not fit is reported. Raises `WeightsError` for a damaged one."""
    return tuple(_report(opened) for opened in open_sources(path, parameters, sources, root))


def _report(opened: Opened) -> FileReport:
    plans = tuple(plans_of(opened))
    try:
        tensors, chosen = choose(opened)
    except WeightsError as error:
        entries = () if opened.tensors is None else tuple(opened.tensors.entries.values())
        wrong = isinstance(error, MismatchError)
        return FileReport(opened.path, opened.prefix, opened.parameters, entries, plans, None, str(error), wrong)
    entries = tuple(tensors.entries.values())
    return FileReport(opened.path, opened.prefix, opened.parameters, entries, plans or (chosen,), chosen, None)
