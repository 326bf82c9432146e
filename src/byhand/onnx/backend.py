"""The ONNX Backend interface: runs any graph of the operators that byhand reads, on arrays.

>>> from byhand.onnx import backend
>>> backend.supports_device("CPU")
True
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep

from byhand.errors import FileError, UnsupportedError
from byhand.onnx.file_errors import file_errors
from byhand.onnx.graph_reader import GraphReader
from byhand.onnx.tensor_data import array_of
from byhand.ops import DEFAULT_HAND
from byhand.ops.op import Array


class PreparedModel(BackendRep):
    """An ONNX model that can be run."""

    def __init__(self, model: onnx.ModelProto, hand: str) -> None:
        self.model, self.hand = model, hand

    def run(self, inputs: Any, **settings: Any) -> tuple[Array, ...]:
        """Return the outputs of the graph; inputs: one array, a sequence in the graph's order, or a mapping by name."""
        with file_errors():
            return self._run(inputs)

    def _run(self, inputs: Any) -> tuple[Array, ...]:
        graph = self.model.graph
        stored = {tensor.name for tensor in graph.initializer}
        every = [value.name for value in graph.input]
        required = [name for name in every if name not in stored]
        if not isinstance(inputs, Mapping):
            inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
            inputs = dict(zip(every if len(inputs) > len(required) else required, inputs))
        arrays = {name: array_of(v) if isinstance(v, onnx.TensorProto) else v for name, v in inputs.items()}
        for name, array in arrays.items():
            if not isinstance(array, (np.ndarray, np.generic)):
                raise UnsupportedError(
                    f"the graph's input '{name}' is no tensor; byhand has no sequences and no optionals"
                )
        for name in required:
            if name not in arrays:
                raise FileError(f"the graph's input '{name}' is missing; it takes {', '.join(required)}")
        outputs: Mapping[str, Any] = GraphReader(self.model, self.hand).run(graph, arrays)
        return tuple(outputs.values())


class ByhandBackend(Backend):
    """byhand as a backend of ONNX's own test suite (`byhand bench onnx-suite`)."""

    @classmethod
    def prepare(
        cls, model: onnx.ModelProto, device: str = "CPU", *, hand: str = DEFAULT_HAND, **settings: Any
    ) -> PreparedModel:
        """Return a model that a hand can run."""
        return PreparedModel(model, hand)

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **settings: Any) -> tuple[Array, ...]:
        """Return the outputs of a model."""
        return cls.prepare(model, device, **settings).run(inputs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Tell whether byhand runs on a device: on "CPU" only."""
        return device.partition(":")[0].upper() == "CPU"


prepare = ByhandBackend.prepare
run_model = ByhandBackend.run_model
run_node = ByhandBackend.run_node
supports_device = ByhandBackend.supports_device
is_compatible = ByhandBackend.is_compatible
