"""The run itself: epochs, batches, turns of players, measures, early stopping, checkpoints, interruption."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from ...backends.bundle import write_safetensors
from ...backends.executable import bind_sizes
from ...compiler.training.plan import Learner
from ..files import OutputError, write_file
from ..model import Model
from . import checkpoint
from .blame import first_not_finite
from .curve import write_curve
from .data import Examples, order_of
from .feed import fed
from .rates import rate_at
from .session import CHECKPOINT, CURVE, METRICS, WEIGHTS, Session, Settings, open_session

INTERRUPTED = "interrupted"
"""How a run has ended that did not come to its end."""


class NotFiniteError(Exception):
    """The loss is no finite number any more. One clear message, with the node where that begins."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Told after each step: where the run is, the mean of each measure over the epoch so far, the learning rate.

    ``weights`` gives the model's parameters by path as they are after this step.
    """

    epoch: int
    epochs: int
    batch: int
    batches: int
    measures: Mapping[str, float]
    rate: float
    weights: Callable[[], Mapping[str, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run gives: the model's weights by path, the measures of each epoch, and why it ended: `INTERRUPTED`, or
    in words."""

    weights: Mapping[str, np.ndarray]
    epochs: Sequence[Mapping[str, Any]]
    ended: str
    seconds: float


Tell = Callable[[Progress], None]


def train(model: Model, data: Path | Mapping[str, np.ndarray], settings: Settings, tell: Tell | None = None) -> Trained:
    """Train a model on examples: a ``.npz`` file, or arrays by the input that takes them.

    The first Ctrl-C ends the run after the step that is under way, and saves; ``ended`` says so.

    Raises SpecError, WeightsError, DataError, TrainingError, CheckpointError, NotFiniteError, BackendError and
    OutputError.
    """
    session = open_session(model, data, settings)
    folder = settings.folder
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
        _sweep(folder)
    return _Run(session, model.name, tell or (lambda progress: None)).run()


def _sweep(folder: Path) -> None:
    """Remove what a killed run was writing."""
    for name in (WEIGHTS, CHECKPOINT, METRICS, CURVE):
        for left in folder.glob(f".{name}.*"):
            left.unlink(missing_ok=True)


@dataclass(slots=True)
class _Run:
    """A run under way."""

    session: Session
    name: str
    tell: Tell
    stopped: bool = False
    saved: float = field(default_factory=time.monotonic)
    anchor: tuple[int, int, int, dict[str, np.ndarray]] | None = None
    """Epoch, batch, turn and states of a moment to go over from when a loss is not finite."""

    def run(self) -> Trained:
        session, position = self.session, self.session.position
        start = time.perf_counter()
        session.net.set_states(session.states)
        self._save()
        session.history.write()
        with _interruption(self):
            while position.epoch < session.epochs and not position.finished and not self.stopped:
                self._epoch()
                position.finished = position.batch == 0 and self._is_over()
                self._save()
            weights = self._weights(final=True)
            if session.settings.folder is not None:
                write_file(session.settings.folder / WEIGHTS, lambda file: write_safetensors(file, weights))
                write_curve(session.settings.folder / CURVE, session.history, f"{self.name}, {session.settings.target}")
        return Trained(weights, session.history.epochs, self._ended(), time.perf_counter() - start)

    def _ended(self) -> str:
        session = self.session
        if session.position.finished and session.plan.stop is not None:
            return f"{self._monitor()} has not become better for {session.plan.stop.patience} epochs"
        if session.position.epoch < session.epochs:
            return INTERRUPTED
        return f"{session.epochs} epochs are done"

    # ---- an epoch

    def _epoch(self) -> None:
        session, position = self.session, self.session.position
        start = time.perf_counter()
        count = -(-session.examples.count // session.batch)
        for number, batch in enumerate(self._batches(position.epoch)):
            if number < position.batch:
                continue
            measures, rate = self._step(batch, count)
            position.batch, position.turn = number + 1, position.turn + 1
            size = len(next(iter(batch.values())))
            for name, value in measures.items():
                position.sums[name] = position.sums.get(name, 0.0) + value * size
                position.seen[name] = position.seen.get(name, 0) + size
            means = self._means()
            self.tell(Progress(position.epoch + 1, session.epochs, number + 1, count, means, rate, self._weights))
            if number + 1 < count:
                if self.stopped:
                    return
                if time.monotonic() - self.saved > session.settings.save_every:
                    self._save()
        epoch = {"epoch": position.epoch + 1, **self._means(), **self._validated(), "learning_rate": rate}
        session.history.add({**epoch, "seconds": round(time.perf_counter() - start, 3)})
        self._keep_best(epoch)
        position.epoch, position.batch = position.epoch + 1, 0
        position.sums.clear()
        position.seen.clear()

    def _batches(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        session = self.session
        order = order_of(session.examples.count, session.settings.seed, epoch) if session.plan.shuffle else None
        return session.examples.batches(session.batch, order)

    def _means(self) -> dict[str, float]:
        position = self.session.position
        return {name: total / position.seen[name] for name, total in position.sums.items()}

    # ---- a step

    def _learner(self, turn: int) -> Learner:
        order = [learner for learner in self.session.plan.learners for _ in range(learner.steps)]
        return order[turn % len(order)]

    def _inputs(self, batch: Mapping[str, np.ndarray], turn: int, count: int) -> tuple[dict[str, np.ndarray], float]:
        session, learner = self.session, self._learner(turn)
        rate = rate_at(learner.schedule, turn, count)
        return fed(session.net.signature.entries[learner.entry], batch, rate, session.settings.seed, turn), rate

    def _step(self, batch: Mapping[str, np.ndarray], count: int) -> tuple[dict[str, float], float]:
        """One step; gives its measures, by the player's name where there are several, and its rate."""
        turn = self.session.position.turn
        learner = self._learner(turn)
        inputs, rate = self._inputs(batch, turn, count)
        outputs = self.session.net.run(learner.entry, **inputs)
        measures = {name: float(np.asarray(value)) for name, value in outputs.items()}
        if not math.isfinite(measures.get("loss", 0.0)):
            raise NotFiniteError(self._blamed(measures["loss"], count))
        if learner.name and "loss" in measures:
            # Each player has a loss of its own; the metrics are those of the model.
            measures = {f"{learner.name}_loss": measures.pop("loss"), **measures}
        return measures, rate

    def _blamed(self, loss: float, count: int) -> str:
        """Goes over the steps since the last anchor, and looks into the first one that gives what is not finite."""
        session, position = self.session, self.session.position
        what = f"the loss is {loss} in epoch {position.epoch + 1}, batch {position.batch + 1} of {count}"
        assert self.anchor is not None, "every run begins with one"
        epoch, done, turn, states = self.anchor
        session.net.reset()
        session.net.set_states(states)
        while True:
            for number, batch in enumerate(self._batches(epoch)):
                if number < done:
                    continue
                learner = self._learner(turn)
                inputs, rate = self._inputs(batch, turn, count)
                before = session.net.states
                session.net.run(learner.entry, **inputs)
                last = (epoch, number) == (position.epoch, position.batch)
                if last or not all(np.isfinite(array).all() for array in session.net.states.values()):
                    sizes = bind_sizes(
                        session.net.signature.entries[learner.entry],
                        {name: each.shape for name, each in inputs.items()},
                    )
                    entry = session.program.entries[learner.entry]
                    where = first_not_finite(entry, {**session.given, **before, **inputs}, sizes)
                    when = "" if last else f" in epoch {epoch + 1}, batch {number + 1}"
                    return f"{what}; {where}{when}; a lower learning rate than {rate:g}, or `clip`, may help"
                turn += 1
            epoch, done = epoch + 1, 0

    # ---- measures, the best, the end

    def _validated(self) -> dict[str, float]:
        """Loss and metrics on what is set apart, while nothing is learned."""
        session = self.session
        if session.apart is None or "evaluate" not in session.net.entries:
            return {}
        return {f"validation_{name}": value for name, value in self._evaluated(session.apart).items()}

    def _evaluated(self, examples: Examples) -> dict[str, float]:
        session = self.session
        entry = session.net.signature.entries["evaluate"]
        sums: dict[str, float] = {}
        for batch in examples.batches(session.batch):
            outputs = session.net.run("evaluate", **fed(entry, batch, 0.0, session.settings.seed, 0))
            size = len(next(iter(batch.values())))
            for name, value in outputs.items():
                sums[name] = sums.get(name, 0.0) + float(np.asarray(value)) * size
        return {name: total / examples.count for name, total in sums.items()}

    def _monitor(self) -> str:
        """The measure that early stopping watches: of the examples set apart where there are some."""
        stop = self.session.plan.stop
        assert stop is not None
        return f"validation_{stop.monitor}" if self.session.apart is not None else stop.monitor

    def _keep_best(self, epoch: Mapping[str, Any]) -> None:
        stop, position = self.session.plan.stop, self.session.position
        if stop is None:
            return
        value = epoch[self._monitor()]
        score = value if stop.better == "higher" else -value
        if score == score and (position.best is None or score > position.best):
            position.best, position.best_epoch = score, position.epoch + 1
            self.session.best = self._weights()

    def _is_over(self) -> bool:
        stop, position = self.session.plan.stop, self.session.position
        return stop is not None and position.epoch - position.best_epoch >= stop.patience

    def _weights(self, final: bool = False) -> dict[str, np.ndarray]:
        """The model's parameters as they are now; the best ones at the end, if that is asked for."""
        session = self.session
        stop = session.plan.stop
        if final and stop is not None and stop.restore_best and session.best:
            return dict(session.best)
        states = session.net.states
        return {path: np.asarray(states.get(path, session.given[path])) for path in session.kept}

    # ---- checkpoints

    def _remember(self) -> None:
        position = self.session.position
        self.anchor = (position.epoch, position.batch, position.turn, self.session.net.states)

    def _save(self) -> None:
        self._remember()
        self.saved = time.monotonic()
        session = self.session
        if session.settings.folder is not None and self.anchor is not None:
            path = session.settings.folder / CHECKPOINT
            checkpoint.save(path, session.position, self.anchor[3], session.best)


@contextmanager
def _interruption(run: _Run) -> Iterator[None]:
    """The first Ctrl-C lets the step end, a second one is as ever. Elsewhere than in the main thread it is as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        run.stopped = True
        signal.signal(signal.SIGINT, before)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
