"""The exceptions that stand for a mistake of a person, or of the world around; all others are defects of ours."""

from __future__ import annotations

from ..backends.api import BackendError
from ..backends.executable import InputError
from ..compiler.evaluate import EvaluationError
from ..driver.files import OutputError
from ..driver.processes import ContenderError
from ..spec.diagnostics import SpecError
from ..spec.weights.errors import WeightsError
from .options import UsageError

MISTAKES = (
    BackendError,
    ContenderError,
    EvaluationError,
    InputError,
    OutputError,
    SpecError,
    UsageError,
    WeightsError,
)
