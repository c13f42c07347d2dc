"""Training a model: examples, epochs, checkpoints, and what is told of it."""

from .checkpoint import CheckpointError
from .data import DataError
from .loop import INTERRUPTED, NotFiniteError, Progress, Trained, train
from .session import Settings

__all__ = ["INTERRUPTED", "CheckpointError", "DataError", "NotFiniteError", "Progress", "Settings", "Trained", "train"]
