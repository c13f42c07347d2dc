"""Optimizers, each as the graph of one step. Where libraries differ they are those of torch.optim.

Every class names its source. w are the weights, g their gradient, r the learning rate, t the number of the step,
counted from 1. ``weight_decay`` d adds d w to g, unless a class says otherwise.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ..ops import functional as fn
from ..ops.arithmetic import expm1
from ..ops.tensor import Tensor

Share = Annotated[float, Field(ge=0, lt=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Slots = dict[str, Tensor]


class Optimizer(BaseModel):
    """Base. ``slots`` are what it remembers of each parameter, 0 at first; ``numbers`` what it remembers once, 1 at
    first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    source: ClassVar[str]
    numbers: ClassVar[tuple[str, ...]] = ()
    weight_decay: Amount = 0.0

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of what it remembers of each parameter."""
        return ()

    def advance(self, step: Tensor, numbers: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What all parameters share in this step, by name; the next values of ``numbers`` are among it.

        ``step`` is t as a float scalar.
        """
        return {}

    @abstractmethod
    def move(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, shared: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        """The next weights and the next value of each slot."""

    def decayed(self, w: Tensor, g: Tensor) -> Tensor:
        """The gradient with the pull of the weight decay."""
        return g + w * self.weight_decay if self.weight_decay else g


class Sgd(Optimizer):
    """w -= r g; with momentum m: b = m b + g, w -= r b; Nesterov's: w -= r (g + m b)."""

    name = "sgd"
    source = (
        "Sutskever, Martens, Dahl, Hinton (2013), On the Importance of Initialization and Momentum; torch.optim.SGD"
    )
    momentum: Share = 0.0
    nesterov: bool = False

    @property
    def slots(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def move(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, shared: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        g = self.decayed(w, g)
        if not self.momentum:
            return w - g * rate, {}
        moved = slots["momentum"] * self.momentum + g
        return w - (g + moved * self.momentum if self.nesterov else moved) * rate, {"momentum": moved}


class Adagrad(Optimizer):
    """v += g^2, w -= r g / (sqrt(v) + eps)."""

    name = "adagrad"
    source = "Duchi, Hazan, Singer (2011), Adaptive Subgradient Methods; torch.optim.Adagrad"
    eps: Amount = 1e-10

    @property
    def slots(self) -> tuple[str, ...]:
        return ("squares",)

    def move(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, shared: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        g = self.decayed(w, g)
        squares = slots["squares"] + g * g
        return w - g / (fn.sqrt(squares) + self.eps) * rate, {"squares": squares}


class Adadelta(Optimizer):
    """v = d v + (1 - d) g^2, s = sqrt(u + eps) / sqrt(v + eps) g, u = d u + (1 - d) s^2, w -= r s."""

    name = "adadelta"
    source = "Zeiler (2012), ADADELTA: An Adaptive Learning Rate Method; torch.optim.Adadelta"
    decay: Share = 0.9
    eps: Amount = 1e-6

    @property
    def slots(self) -> tuple[str, ...]:
        return ("squares", "steps")

    def move(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, shared: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        g = self.decayed(w, g)
        squares = slots["squares"] * self.decay + g * g * (1 - self.decay)
        step = fn.sqrt(slots["steps"] + self.eps) / fn.sqrt(squares + self.eps) * g
        steps = slots["steps"] * self.decay + step * step * (1 - self.decay)
        return w - step * rate, {"squares": squares, "steps": steps}


class Rmsprop(Optimizer):
    """v = d v + (1 - d) g^2, w -= r g / (sqrt(v) + eps); with momentum m: b = m b + g / (...), w -= r b."""

    name = "rmsprop"
    source = "Hinton (2012), Neural Networks for Machine Learning, lecture 6; torch.optim.RMSprop"
    decay: Share = 0.99
    eps: Amount = 1e-8
    momentum: Share = 0.0

    @property
    def slots(self) -> tuple[str, ...]:
        return ("squares", "momentum") if self.momentum else ("squares",)

    def move(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, shared: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        g = self.decayed(w, g)
        squares = slots["squares"] * self.decay + g * g * (1 - self.decay)
        step = g / (fn.sqrt(squares) + self.eps)
        if not self.momentum:
            return w - step * rate, {"squares": squares}
        moved = slots["momentum"] * self.momentum + step
        return w - moved * rate, {"squares": squares, "momentum": moved}


class Adam(Optimizer):
    """m = a m + (1 - a) g, v = b v + (1 - b) g^2, w -= r m' / (sqrt(v') + eps).

    a and b are ``beta1`` and ``beta2``; m' = m / (1 - a^t) and v' = v / (1 - b^t) correct for the start at 0.
    """

    name = "adam"
    source = "Kingma, Ba (2015), Adam: A Method for Stochastic Optimization; torch.optim.Adam"
    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: Amount = 1e-8

    @property
    def slots(self) -> tuple[str, ...]:
        return ("mean", "squares")

    def advance(self, step: Tensor, numbers: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {"of_mean": started(self.beta1, step), "of_squares": started(self.beta2, step)}

    def averages(self, g: Tensor, slots: Slots, shared: Mapping[str, Tensor]) -> tuple[Tensor, Slots]:
        """The corrected root mean square of gradients, and the next averages."""
        mean = slots["mean"] * self.beta1 + g * (1 - self.beta1)
        squares = slots["squares"] * self.beta2 + g * g * (1 - self.beta2)
        size = fn.sqrt(squares / shared["of_squares"]) + self.eps
        return size, {"mean": mean, "squares": squares}

    def move(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, shared: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        size, slots = self.averages(self.decayed(w, g), slots, shared)
        return w - slots["mean"] / size * (rate / shared["of_mean"]), slots


class Adamw(Adam):
    """Adam, whose weight decay d acts on the weights by themselves: w -= r d w before the step."""

    name = "adamw"
    source = "Loshchilov, Hutter (2019), Decoupled Weight Decay Regularization; torch.optim.AdamW"
    weight_decay: Amount = 1e-2

    def decayed(self, w: Tensor, g: Tensor) -> Tensor:
        return g

    def move(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, shared: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        return super().move(w - w * (rate * self.weight_decay), g, slots, rate, shared)


class Nadam(Adam):
    """Adam with Nesterov's momentum, a schedule of momenta u_t = a (1 - 0.96^(t c) / 2) with c ``momentum_decay``.

    w -= r ((1 - u_t) / (1 - p_t) g + u_(t+1) / (1 - p_t u_(t+1)) m) / (sqrt(v') + eps), with p_t = u_1 ... u_t.
    """

    name = "nadam"
    source = "Dozat (2016), Incorporating Nesterov Momentum into Adam; torch.optim.NAdam"
    numbers = ("product",)
    momentum_decay: Amount = 4e-3

    def advance(self, step: Tensor, numbers: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        now, after = self._momentum(step), self._momentum(step + 1)
        product = numbers["product"] * now
        return {
            **super().advance(step, numbers),
            "product": product,
            "of_gradient": (1 - now) / (1 - product),
            "of_average": after / (1 - product * after),
        }

    def _momentum(self, step: Tensor) -> Tensor:
        return self.beta1 - fn.exp(step * (self.momentum_decay * math.log(0.96))) * (self.beta1 / 2)

    def move(
        self, w: Tensor, g: Tensor, slots: Slots, rate: Tensor, shared: Mapping[str, Tensor]
    ) -> tuple[Tensor, Slots]:
        g = self.decayed(w, g)
        size, slots = self.averages(g, slots, shared)
        step = g * (rate * shared["of_gradient"]) + slots["mean"] * (rate * shared["of_average"])
        return w - step / size, slots


def started(decay: float, step: Tensor) -> Tensor:
    """1 - decay^t: how much of a running average that began at 0 is there by now. Exact where it is small."""
    if decay == 0:
        return step.like(1)
    return -expm1(step * math.log(decay))


OPTIMIZERS: dict[str, type[Optimizer]] = {
    each.name: each for each in (Sgd, Adagrad, Adadelta, Rmsprop, Adam, Adamw, Nadam)
}


def optimizer(kind: str, **settings: Any) -> Optimizer:
    """An optimizer by name; None among ``settings`` leaves the default. Raises `pydantic.ValidationError`."""
    return OPTIMIZERS[kind](**{key: value for key, value in settings.items() if value is not None})
