"""Weights: files of tensors, how their keys map to our paths, and loading them."""

from __future__ import annotations

from .errors import WeightsError
from .files import open_tensors
from .load import LoadedWeights, Source, load_weights
from .matching import PathPattern, PatternError
from .report import FileReport, match_report
from .tensors import Entry, TensorFile

__all__ = [
    "Entry",
    "FileReport",
    "LoadedWeights",
    "PathPattern",
    "PatternError",
    "Source",
    "TensorFile",
    "WeightsError",
    "load_weights",
    "match_report",
    "open_tensors",
]
