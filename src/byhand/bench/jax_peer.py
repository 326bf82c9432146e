"""JAX as a peer of the bench: a training step is one compiled function, in NHWC, the layout that byhand and XLA use."""

import os
from importlib import import_module
from types import ModuleType
from typing import Any, SupportsFloat

import numpy as np

from byhand.bench.layer_calls import LayerCall, layer_calls
from byhand.bench.peer_network import PeerNetwork
from byhand.nn import Model
from byhand.ops.op import Array

JaxArray = Any  # jax.Array: JAX is a peer, never a dependency
Numbers = dict[str, JaxArray]  # by "layer argument"


class Peer:
    """JAX; threads: 1 pins the process to one core, the only setting that JAX obeys; else it uses all cores."""

    package = "jax"

    def __init__(self, threads: int = 1) -> None:
        if threads == 1 and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.environ["JAX_PLATFORMS"] = "cpu"
        self.jax = import_module("jax")
        self.jax.config.update("jax_default_prng_impl", "rbg")  # its fastest, for dropout

    def network(self, model: Model, lr: float, momentum: float) -> "JaxNetwork":
        """Return the model as JAX has it, with the same weights."""
        return JaxNetwork(model, lr, momentum, self.jax)


class JaxNetwork(PeerNetwork):
    """Parameters, states and velocities, and the compiled functions of a step and of the logits."""

    def __init__(self, model: Model, lr: float, momentum: float, jax: ModuleType) -> None:
        self.lr, self.momentum, self.jax, self.mean, self.std = lr, momentum, jax, model.mean, model.std
        self.calls = layer_calls(model, channels_first=False)
        self.input = model.graph.input.name if model.graph.input else ""
        named = {f"{call.name} {part}": value for call in self.calls for part, value in call.values.items()}
        self.parameters = {n: jax.numpy.asarray(v) for n, v in named.items() if not _is_state(n)}
        self.states = {n: jax.numpy.asarray(v) for n, v in named.items() if _is_state(n)}
        self.states |= {n: jax.random.key(0) for n in self.states if n.endswith(" key")}
        self.velocities = {name: jax.numpy.zeros_like(value) for name, value in self.parameters.items()}
        self.update = jax.jit(self._update, donate_argnums=(0, 1, 2))
        self.forward = jax.jit(lambda parameters, states, images: self._logits(parameters, states, images, False)[0])

    def step(self, images: Array, labels: Array) -> SupportsFloat:
        """Do one update."""
        self.parameters, self.states, self.velocities, loss = self.update(
            self.parameters, self.states, self.velocities, images, labels, self.lr
        )
        return loss  # type: ignore[no-any-return]

    def logits(self, images: Array) -> Array:
        """Return the logits."""
        return np.asarray(self.forward(self.parameters, self.states, images))

    def _update(
        self,
        parameters: Numbers,
        states: Numbers,
        velocities: Numbers,
        images: JaxArray,
        labels: JaxArray,
        lr: float,
    ) -> tuple[Numbers, Numbers, Numbers, JaxArray]:
        """Return the parameters, states and velocities after one update, and the loss before it."""

        def loss_of(parameters: Numbers) -> tuple[JaxArray, Numbers]:
            logits, after = self._logits(parameters, states, images, True)
            chances = self.jax.nn.log_softmax(logits)
            return -self.jax.numpy.take_along_axis(chances, labels[:, None], 1).mean(), after

        (loss, states), grads = self.jax.value_and_grad(loss_of, has_aux=True)(parameters)
        velocities = {name: self.momentum * v + grads[name] for name, v in velocities.items()}
        return {name: p - lr * velocities[name] for name, p in parameters.items()}, states, velocities, loss

    def _logits(
        self, parameters: Numbers, states: Numbers, images: JaxArray, training: bool
    ) -> tuple[JaxArray, Numbers]:
        values = {self.input: (images.astype(self.jax.numpy.float32) / 255 - self.mean) / self.std}
        after = dict(states)
        for call in self.calls:
            parts = {part: (after if _is_state(part) else parameters)[f"{call.name} {part}"] for part in call.values}
            values[call.name], changed = self._apply(call, [values[name] for name in call.inputs], parts, training)
            after |= {f"{call.name} {part}": value for part, value in changed.items()}
        return values[self.calls[-1].name], after

    def _apply(
        self, call: LayerCall, inputs: list[JaxArray], parts: Numbers, training: bool
    ) -> tuple[JaxArray, Numbers]:
        """Return one op's result, and the states that it changed."""
        jax, given, (x, *_) = self.jax, call.attributes, inputs
        if call.op == "conv2d":
            y = jax.lax.conv_general_dilated(
                x,
                parts["weight"],
                given["stride"],
                _pairs(given["padding"]),
                rhs_dilation=given["dilation"],
                feature_group_count=given["groups"],
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            return y + parts.get("bias", 0.0), {}
        if call.op == "linear":
            return x @ parts["weight"] + parts.get("bias", 0.0), {}
        if call.op == "max_pool":
            window, stride = (1, *given["kernel"], 1), (1, *given["stride"], 1)
            pads = [(0, 0), *_pairs(given["padding"]), (0, 0)]
            return jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, stride, pads), {}
        if call.op == "batch_norm":
            return self._batch_norm(x, parts, given, training)
        if call.op == "dropout" and training:
            key, now = jax.random.split(parts["key"])
            kept = jax.random.bernoulli(now, 1 - given["rate"], x.shape)
            return jax.numpy.where(kept, x / (1 - given["rate"]), 0.0), {"key": key}
        simple = {
            "relu": jax.nn.relu,
            "flatten": lambda x: x.reshape(len(x), -1),
            "global_avg_pool": lambda x: x.mean((1, 2)),
            "add": lambda x: x + inputs[1],
            "dropout": lambda x: x,
        }
        return simple[call.op](x), {}

    def _batch_norm(
        self, x: JaxArray, parts: Numbers, given: dict[str, Any], training: bool
    ) -> tuple[JaxArray, Numbers]:
        mean, variance, changed = parts["running_mean"], parts["running_var"], {}
        if training:
            mean, variance, count = x.mean((0, 1, 2)), x.var((0, 1, 2)), x.size // x.shape[-1]
            now = {"running_mean": mean, "running_var": variance * count / (count - 1)}
            changed = {part: parts[part] + given["momentum"] * (value - parts[part]) for part, value in now.items()}
        scale = parts["gamma"] * self.jax.lax.rsqrt(variance + given["eps"])
        return (x - mean) * scale + parts["beta"], changed


def _is_state(name: str) -> bool:
    return name.endswith(("running_mean", "running_var", "key"))


def _pairs(padding: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    return [(padding[0], padding[1]), (padding[2], padding[3])]
