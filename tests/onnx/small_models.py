"""Small ONNX models, and byhand models with random norms and biases."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import byhand as bh


def value_info(name, shape, elem_type=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, elem_type, shape)


def make_model(nodes, initializers=(), x=("N", 3, 8, 8), opset=18, outputs=("y",), kind=TensorProto.FLOAT):
    """Return a model of nodes from "x" to the outputs, with initializers by name."""
    body = helper.make_graph(
        list(nodes),
        "g",
        [value_info("x", x, kind)],
        [value_info(name, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in dict(initializers).items()],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def write_model(model, folder, name="model.onnx"):
    """Write a model to a file."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def random_array(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def randomized_model(name, gain=1.5, **settings):
    """Return a new model of an architecture with random norms and biases; gain: the largest gamma."""
    model, rng = bh.models.create(name, **settings), np.random.default_rng(3)
    for key, values in (model.parameters | vars(model.state)).items():
        if key.endswith(("gamma", "running_var")):
            values[...] = rng.uniform(0.5, gain if key.endswith("gamma") else 1.5, values.shape)
        elif key.endswith(("bias", "beta", "running_mean")):
            values[...] = 0.1 * rng.standard_normal(values.shape)
    return model
