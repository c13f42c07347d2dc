"""Training steps in plain JAX, jitted, as one writes them by hand: weights in a dict, Adam written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from safetensors.numpy import load_file

from netwright.driver.contenders.job import Job

Arrays = dict[str, jax.Array]
Network = Callable[[Arrays, jax.Array], tuple[jax.Array, Arrays]]
"""From weights and inputs to logits, and running statistics as they are next."""


def make(job: Job) -> Callable[[], Mapping[str, np.ndarray]]:
    """Steps of the network ``job.subject`` from the weights in ``job.args``; gives the losses of the first two."""
    network = NETWORKS[job.subject]
    arrays = {name: jnp.asarray(array) for name, array in load_file(job.args["weights"]).items()}
    running = {name: array for name, array in arrays.items() if "running_" in name}
    weights = {name: array for name, array in arrays.items() if name not in running}
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = [weights, running, zeros, jax.tree.map(jnp.zeros_like, weights), jnp.zeros((), jnp.int32)]
    x, label = job.inputs().values()
    rate = job.args["rate"]

    def loss_of(weights: Arrays, running: Arrays, x: jax.Array, label: jax.Array) -> tuple[jax.Array, Arrays]:
        logits, running = network({**weights, **running}, x)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], 1)
        return -chosen.mean(), running

    def step(state: list, x: jax.Array, label: jax.Array) -> tuple[jax.Array, list]:
        weights, running, mean, squares, count = state
        (loss, running), grads = jax.value_and_grad(loss_of, has_aux=True)(weights, running, x, label)
        count = count + 1
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, grads)
        squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, grads)
        of_mean, of_squares = 1 - 0.9**count, 1 - 0.999**count
        weights = jax.tree.map(
            lambda w, m, v: w - rate * (m / of_mean) / (jnp.sqrt(v / of_squares) + 1e-8), weights, mean, squares
        )
        return loss, [weights, running, mean, squares, count]

    compiled = jax.jit(step, donate_argnums=0)
    losses: list[float] = []

    def run() -> Mapping[str, np.ndarray]:
        nonlocal state
        loss, state = compiled(state, x, label)
        jax.block_until_ready(state)
        if len(losses) < 2:
            losses.append(float(loss))
        return {"losses": np.asarray(losses)}

    return run


def conv(x: jax.Array, w: jax.Array, stride: int = 1, padding: int = 0) -> jax.Array:
    """A convolution of ``[N, C, H, W]``."""
    pads = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(x, w, (stride, stride), pads, dimension_numbers=("NCHW", "OIHW", "NCHW"))


def pool(x: jax.Array) -> jax.Array:
    """The largest of each 2x2."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def linear(w: Arrays, name: str, x: jax.Array) -> jax.Array:
    """``x`` times the transposed weight, plus the bias."""
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def lenet5(w: Arrays, x: jax.Array) -> tuple[jax.Array, Arrays]:
    """LeNet-5 with tanh and max pooling."""
    for name in ("conv1", "conv2"):
        x = pool(jnp.tanh(conv(x, w[f"{name}.weight"]) + w[f"{name}.bias"][:, None, None]))
    x = x.reshape(len(x), -1)
    for name in ("fc1", "fc2"):
        x = jnp.tanh(linear(w, name, x))
    return linear(w, "fc3", x), {}


def resnet18(w: Arrays, x: jax.Array) -> tuple[jax.Array, Arrays]:
    """ResNet-18 whose first convolution is 3x3, without stride and pooling."""
    running: Arrays = {}

    def norm(name: str, x: jax.Array) -> jax.Array:
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
        count = x.size // x.shape[1]
        for key, value in (("running_mean", mean), ("running_var", variance * count / (count - 1))):
            running[f"{name}.{key}"] = 0.9 * w[f"{name}.{key}"] + 0.1 * lax.stop_gradient(value)
        scale = w[f"{name}.weight"] * lax.rsqrt(variance + 1e-5)
        return x * scale[:, None, None] + (w[f"{name}.bias"] - mean * scale)[:, None, None]

    x = jax.nn.relu(norm("bn1", conv(x, w["conv1.weight"], padding=1)))
    for stage in range(4):
        for unit in range(2):
            name, stride = f"layer{stage + 1}.{unit}", 2 if stage and not unit else 1
            y = jax.nn.relu(norm(f"{name}.bn1", conv(x, w[f"{name}.conv1.weight"], stride, 1)))
            y = norm(f"{name}.bn2", conv(y, w[f"{name}.conv2.weight"], padding=1))
            if f"{name}.downsample.0.weight" in w:
                x = norm(f"{name}.downsample.1", conv(x, w[f"{name}.downsample.0.weight"], stride))
            x = jax.nn.relu(x + y)
    return linear(w, "fc", x.mean((2, 3))), running


def lstm(w: Arrays, x: jax.Array) -> tuple[jax.Array, Arrays]:
    """An LSTM of 128 units; a linear layer reads the mean of its states."""
    inner = w["lstm.weight_hh_l0"].T
    gates = x @ w["lstm.weight_ih_l0"].T + (w["lstm.bias_ih_l0"] + w["lstm.bias_hh_l0"])

    def cell(state: tuple[jax.Array, jax.Array], gates: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        h, c = state
        into, forget, new, out = jnp.split(gates + h @ inner, 4, -1)
        c = jax.nn.sigmoid(forget) * c + jax.nn.sigmoid(into) * jnp.tanh(new)
        h = jax.nn.sigmoid(out) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((len(x), inner.shape[0]))
    _, states = lax.scan(cell, (zero, zero), gates.transpose(1, 0, 2))
    return linear(w, "fc", states.mean(0)), {}


NETWORKS: dict[str, Network] = {"lenet5": lenet5, "resnet18": resnet18, "lstm": lstm}
