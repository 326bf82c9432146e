"""The ONNX Backend interface: any graph of the operators that byhand knows, run on arrays.

>>> from byhand.onnx import backend
>>> backend.supports_device("CPU")
True
"""

from collections.abc import Mapping
from typing import Any

import onnx
from onnx.backend.base import Backend, BackendRep

from byhand.errors import FileError, UnsupportedError
from byhand.onnx.reader import Reader, told
from byhand.onnx.values import array_of
from byhand.ops import DEFAULT_HAND
from byhand.ops.op import Array


class Prepared(BackendRep):
    """A model that can be run."""

    def __init__(self, model: onnx.ModelProto, hand: str) -> None:
        self.model, self.hand = model, hand

    def run(self, inputs: Any, **settings: Any) -> tuple[Array, ...]:
        """Return the outputs of the graph: inputs in the graph's order, or by name."""
        with told():
            return self._run(inputs)

    def _run(self, inputs: Any) -> tuple[Array, ...]:
        graph = self.model.graph
        held = {tensor.name for tensor in graph.initializer}
        names = [one.name for one in graph.input if one.name not in held]
        if not isinstance(inputs, Mapping):
            every = [one.name for one in graph.input]
            inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
            inputs = dict(zip(every if len(inputs) > len(names) else names, inputs))
        given = {name: array_of(v) if isinstance(v, onnx.TensorProto) else v for name, v in inputs.items()}
        if strange := [name for name, value in given.items() if not hasattr(value, "dtype")]:
            raise UnsupportedError(
                f"the graph's input '{strange[0]}' is no tensor; byhand knows no sequences and no options"
            )
        if missing := [name for name in names if name not in given]:
            raise FileError(f"the graph's input '{missing[0]}' is not given; it takes {', '.join(names)}")
        return tuple(Reader(self.model, self.hand).run(graph, given).values())


class ByhandBackend(Backend):
    """byhand as ONNX's suite asks for it."""

    @classmethod
    def prepare(
        cls, model: onnx.ModelProto, device: str = "CPU", *, hand: str = DEFAULT_HAND, **settings: Any
    ) -> Prepared:
        """Return a model that can be run, with a hand."""
        return Prepared(model, hand)

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **settings: Any) -> tuple[Array, ...]:
        """Return what a model makes of inputs."""
        return cls.prepare(model, device, **settings).run(inputs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Tell whether byhand runs on a device: on "CPU" only."""
        return device.partition(":")[0].upper() == "CPU"


prepare, run_model, supports_device = ByhandBackend.prepare, ByhandBackend.run_model, ByhandBackend.supports_device
run_node, is_compatible = ByhandBackend.run_node, ByhandBackend.is_compatible
