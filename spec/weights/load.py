"""Weights files to parameters.

A file is read by one layout: the one by which every key and every parameter is accounted for. A model made of
sub-models with files of their own is read from a folder, each file by the layouts and the paths of its own model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np

from ...compiler.ir import Parameter
from .convert import assemble, check_conversion, first_difference
from .errors import WeightsError, shape_text, shown
from .files import confine, open_tensors
from .flat import FlatTensors, flat_order
from .foreign import PICKLED
from .layouts import OWN, FlatLayout, Layout, RuleLayout, parse_layouts
from .mismatch import MismatchError, explain_mismatch
from .plan import Assembly, Plan, make_plan, nearest_plan
from .tensors import Entry, TensorFile

STRUCTURED = (".safetensors", ".npz", ".json", *PICKLED)
"""Of names of files that are not flat, whatever a model declares."""


class Source(Protocol):
    """A model whose parameters may come from a file of their own.

    ``prefix`` is where its paths start in the whole model (empty for the whole), ``layouts`` are those that its
    document declares, ``file`` is relative to the folder of weights, None if its parameters are in the outer one's.
    ``whole`` gives all parameters of that model by its own paths, also those that the whole model does not need: its
    file holds them too.
    """

    @property
    def prefix(self) -> str: ...

    @property
    def layouts(self) -> Mapping[str, Any]: ...

    @property
    def file(self) -> str | None: ...

    @property
    def whole(self) -> Callable[[], Mapping[str, Parameter]] | None: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """A file, the plan by which it is read, and where its parameters stand in the whole model."""

    file: TensorFile
    plan: Plan
    prefix: str = ""


class LoadedWeights(Mapping[str, np.ndarray]):
    """The parameters by path, in the order and the dtypes of the model. Each is read anew when it is asked for.

    A look-up gives a read-only array, which may map the file, and raises `WeightsError` for values that are not
    finite (unless allowed), for tied keys that differ, and for dtypes that do not convert.
    """

    def __init__(self, parameters: Mapping[str, Parameter], readings: Sequence[Reading], finite: bool) -> None:
        self.readings = tuple(readings)
        self._parameters = parameters
        self._finite = finite
        self._places = {
            join(reading.prefix, path): (reading, assemblies)
            for reading in readings
            for path, assemblies in reading.plan.assemblies.items()
        }

    def __getitem__(self, path: str) -> np.ndarray:
        reading, assemblies = self._places[path]
        dtype = self._parameters[path].type.dtype
        array = assemble(reading.file, assemblies[0], path, dtype, self._finite)
        for other in assemblies[1:]:
            tied = assemble(reading.file, other, path, dtype, self._finite)
            at = first_difference(array, tied)
            if at is not None:
                one, two = (" + ".join(map(shown, which.keys)) for which in (assemblies[0], other))
                raise WeightsError(
                    f"{reading.file.path}: {one} and {two} both stand for {shown(path)}, so they must be equal; they "
                    f"differ at {shape_text(at)}: {array[at]} and {tied[at]}"
                )
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def check(self) -> None:
        """Read everything once. Raises `WeightsError` as a look-up does."""
        for path in self:
            self[path]


def join(prefix: str, path: str) -> str:
    """A path below a prefix, which may be empty."""
    return f"{prefix}.{path}" if prefix else path


def load_weights(
    path: str | Path,
    parameters: Mapping[str, Parameter],
    sources: Sequence[Source] = (),
    root: str | Path | None = None,
    *,
    layout: str | None = None,
    allow_nonfinite: bool = False,
) -> LoadedWeights:
    """The weights of a file, an index of shards or a folder, for these parameters.

    ``sources`` are the model (prefix empty) and its sub-models; without them there is only the layout of our own
    paths. ``layout`` names the one to use where several fit. ``root`` as in `open_tensors`. Headers are read and
    matched at once, values later. Raises `WeightsError`, and `SpecError` for a mistake in a declared layout.
    """
    readings = []
    for opened in open_sources(path, parameters, sources, root):
        file, plan = choose(opened, None if opened.prefix else layout)
        for name, assemblies in plan.assemblies.items():
            for key in (key for assembly in assemblies for key in assembly.keys):
                check_conversion(file.entries[key], join(opened.prefix, name), opened.parameters[name].type.dtype)
        readings.append(Reading(file, plan, opened.prefix))
    return LoadedWeights(parameters, readings, not allow_nonfinite)


@dataclass(frozen=True, slots=True)
class Opened:
    """A file beside the parameters that it must hold, by the paths of their own model, and its layouts."""

    path: Path
    prefix: str
    parameters: Mapping[str, Parameter]
    layouts: tuple[Layout, ...]
    tensors: TensorFile | None
    """None for a flat file, which has no keys."""


def open_sources(
    path: str | Path, parameters: Mapping[str, Parameter], sources: Sequence[Source], root: str | Path | None
) -> list[Opened]:
    """The files that a path stands for, each with its share of the parameters. Raises `WeightsError`."""
    path = Path(path)
    outer = next((source for source in sources if not source.prefix), None)
    layouts = parse_layouts(outer.layouts) if outer is not None else ()
    inner = [source for source in sources if source.prefix and source.file is not None]
    if not path.is_dir() or not inner:
        return [_open(path, root, "", parameters, layouts)]
    places = {source.prefix: _place(path, str(source.file)) for source in inner}
    if not any(place.exists() for place in places.values()):
        if not any(path.glob("*.safetensors")):
            names = ", ".join(shown(str(source.file)) for source in inner)
            raise WeightsError(f"{path}: holds no .safetensors file, and no file of a sub-model: {names}")
        return [_open(path, root, "", parameters, layouts)]
    folder = path if root is None else Path(root)
    shares = _shares(parameters, [source.prefix for source in inner])
    opened: list[Opened] = []
    for source in inner:
        share = shares[source.prefix]
        if source.whole is not None:
            share = {**source.whole(), **share}
        place = places[source.prefix]
        if not place.exists() and not place.is_symlink():
            raise WeightsError(f"{path}: the file of {shown(source.prefix)} is not there: {source.file}")
        opened.append(_open(place, folder, source.prefix, share, parse_layouts(source.layouts)))
    rest = shares[""]
    if rest:
        opened.append(_open_rest(path, folder, rest, layouts, {str(source.file) for source in inner}))
    return opened


def _place(folder: Path, name: str) -> Path:
    """The file of a sub-model; its folder, if that is its own, where weights have another name or are split."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name:
        raise WeightsError(f"{shown(name)} is no file below {folder}")
    file = folder / name
    if file.exists() or file.is_symlink() or file.parent == folder or not file.parent.is_dir():
        return file
    return file.parent if any(item.suffix in (".safetensors", *PICKLED) for item in file.parent.glob("*")) else file


def _shares(parameters: Mapping[str, Parameter], prefixes: Sequence[str]) -> dict[str, dict[str, Parameter]]:
    """The parameters of each prefix, by the paths behind it; those of the longest of several. "" has the others."""
    shares: dict[str, dict[str, Parameter]] = {prefix: {} for prefix in ("", *prefixes)}
    longest_first = sorted(set(prefixes), key=len, reverse=True)
    for path, parameter in parameters.items():
        prefix = next((each for each in longest_first if path.startswith(each + ".")), "")
        shares[prefix][path[len(prefix) + 1 :] if prefix else path] = parameter
    return shares


def _open_rest(
    folder: Path, root: Path, rest: Mapping[str, Parameter], layouts: tuple[Layout, ...], taken: set[str]
) -> Opened:
    """The file in the folder itself that holds what the sub-models' files do not."""
    names = sorted(item.name for item in folder.iterdir() if item.suffix == ".safetensors" and item.name not in taken)
    if len(names) != 1:
        found = f"has {', '.join(names[:5])}" if names else "has none"
        some = ", ".join(map(shown, list(rest)[:3]))
        raise WeightsError(
            f"{folder}: the files of the sub-models leave {len(rest)} parameters ({some}, ...) to one more "
            f".safetensors file, the folder {found}"
        )
    return _open(folder / names[0], root, "", rest, layouts)


def _open(
    path: Path,
    root: str | Path | None,
    prefix: str,
    parameters: Mapping[str, Parameter],
    layouts: tuple[Layout, ...],
) -> Opened:
    flat = any(isinstance(layout, FlatLayout) for layout in layouts)
    if path.suffix.lower() == ".weights" and not flat:
        raise WeightsError(f"{path}: a .weights file has no keys, and the model declares no flat layout")
    if flat and path.is_file() and path.suffix.lower() not in STRUCTURED:
        if root is not None:
            confine(path, Path(root))
        return Opened(path, prefix, parameters, layouts, None)
    return Opened(path, prefix, parameters, layouts, open_tensors(path, root))


def plans_of(opened: Opened) -> list[Plan]:
    """A plan per layout of rules, that of our own paths first. None for a flat file."""
    if opened.tensors is None:
        return []
    return plans_for(opened.tensors.entries, opened.parameters, opened.layouts)


def plans_for(
    entries: Mapping[str, Entry], parameters: Mapping[str, Parameter], layouts: Sequence[Layout]
) -> list[Plan]:
    """A plan for these keys per layout of rules, that of our own paths first."""
    rules = [RuleLayout(OWN), *(layout for layout in layouts if isinstance(layout, RuleLayout))]
    return [make_plan(layout, entries, parameters) for layout in rules]


def choose(opened: Opened, layout: str | None = None) -> tuple[TensorFile, Plan]:
    """The tensors and the plan that fits. Raises `WeightsError` if none fits, or several that read differently."""
    if opened.tensors is None:
        return _choose_flat(opened, layout)
    plans = plans_of(opened)
    if layout is not None:
        named = [plan for plan in plans if plan.layout == layout]
        if not named:
            raise WeightsError(
                f"there is no layout {shown(layout)}; they are {', '.join(plan.layout for plan in plans)}"
            )
        plans = named
    fitting = [plan for plan in plans if plan.fits]
    if not fitting:
        entries = opened.tensors.entries
        message = explain_mismatch(str(opened.path), nearest_plan(plans), plans, entries, opened.parameters)
        raise MismatchError(message, entries)
    first = fitting[0]
    for other in fitting[1:]:
        if _effect(other, opened) != _effect(first, opened):
            raise WeightsError(
                f"{opened.path}: the layouts `{first.layout}` and `{other.layout}` both fit, and read it differently; "
                f"one of them has to go from the spec"
            )
    return opened.tensors, first


def _effect(plan: Plan, opened: Opened) -> dict[str, tuple[Assembly, ...]]:
    """What a plan does, apart from its name: to transpose a vector is nothing."""
    return {
        path: tuple(
            replace(each, transpose=each.transpose and opened.parameters[path].type.rank > 1) for each in assemblies
        )
        for path, assemblies in plan.assemblies.items()
    }


def _choose_flat(opened: Opened, name: str | None) -> tuple[TensorFile, Plan]:
    """The flat layout whose size is that of the file; several must give the same order."""
    flats = [each for each in opened.layouts if isinstance(each, FlatLayout) and name in (None, each.name)]
    if not flats:
        raise WeightsError(f"there is no flat layout {shown(str(name))}")
    fitting: list[tuple[TensorFile, Plan]] = []
    refusals: list[WeightsError] = []
    for layout in flats:
        try:
            tensors = FlatTensors(opened.path, layout, opened.parameters)
        except WeightsError as error:
            refusals.append(error)
        else:
            places: dict[str, tuple[Assembly, ...]] = {path: (Assembly((path,)),) for path in opened.parameters}
            plan = Plan(layout.name, places, targets={path: path for path in opened.parameters})
            fitting.append((tensors, plan))
    if not fitting:
        raise refusals[0]
    orders = {(each.header, *flat_order(each, opened.parameters)) for each in flats} if len(fitting) > 1 else set()
    if len(orders) > 1:
        raise WeightsError(
            f"{opened.path}: several flat layouts fit, and read it differently; all but one have to go from the spec"
        )
    return fitting[0]
