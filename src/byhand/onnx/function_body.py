"""ONNX operators defined by other operators: the body of a function operator, for a node's opset and input types."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import defs, helper

from byhand.onnx.node_context import DOMAINS, NodeContext
from byhand.onnx.symbol import OnnxValue, Symbol


def function_body(node: NodeContext, inputs: list[OnnxValue | None]) -> onnx.FunctionProto | None:
    """Return ONNX's definition of a node's operator by others, or None where it has none."""
    if node.proto.domain not in DOMAINS or not defs.has(node.op_type):
        return None
    try:
        schema: Any = defs.get_schema(node.op_type, node.opset)
    except defs.SchemaError:
        return None
    body = b""
    if version := _newest(schema.function_opset_versions, node.opset):
        body = schema.get_function_with_opset_version(version)
    if not body and (version := _newest(schema.context_dependent_function_opset_versions, node.opset)):
        proto, types = _resolved(node).SerializeToString(), [_type_of(value) for value in inputs]
        body = schema.get_context_dependent_function_with_opset_version(version, proto, types)
    return onnx.FunctionProto.FromString(body) if body else None


def default_attributes(op_type: str, opset: int) -> dict[str, Any]:
    """Return the attributes of an ONNX operator that have a default value."""
    schema = defs.get_schema(op_type, opset)
    defaults = {name: attribute.default_value for name, attribute in schema.attributes.items()}
    return {name: helper.get_attribute_value(proto) for name, proto in defaults.items() if proto.name}


def _newest(versions: list[int], opset: int) -> int:
    """Return the newest version that an opset includes, or 0."""
    return max((version for version in versions if version <= opset), default=0)


def _resolved(node: NodeContext) -> onnx.NodeProto:
    """Return a node whose attributes no longer refer to those of a function."""
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    del proto.attribute[:]
    values = {attribute.name: node.attribute_value(attribute) for attribute in node.proto.attribute}
    proto.attribute.extend(helper.make_attribute(name, value) for name, value in values.items() if value is not None)
    return proto


def _type_of(value: OnnxValue | None) -> bytes:
    """Return a value's serialized TypeProto; what depends on the image is float32."""
    if value is None:
        return b""
    dtype = np.dtype(np.float32) if isinstance(value, Symbol) else value.dtype
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_type_proto(kind, value.shape).SerializeToString()  # type: ignore[no-any-return]
