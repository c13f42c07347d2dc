"""The exceptions that stand for a mistake of a person, or of the world around; all others are defects of ours."""

from __future__ import annotations

from ..backends.api import BackendError
from ..backends.executable import InputError
from ..compiler.evaluate import EvaluationError
from ..compiler.training.program import TrainingError
from ..driver.files import OutputError
from ..driver.processes import ContenderError
from ..driver.training import CheckpointError, DataError, NotFiniteError
from ..spec.diagnostics import SpecError
from ..spec.weights.errors import WeightsError
from .options import UsageError

MISTAKES = (
    BackendError,
    CheckpointError,
    ContenderError,
    DataError,
    EvaluationError,
    InputError,
    NotFiniteError,
    OutputError,
    SpecError,
    TrainingError,
    UsageError,
    WeightsError,
)
