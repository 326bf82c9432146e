"""ONNX's operators, each read as calls of byhand's ops: a family a file."""

import byhand.onnx.operators.activation
import byhand.onnx.operators.arithmetic
import byhand.onnx.operators.constant
import byhand.onnx.operators.move
import byhand.onnx.operators.norm
import byhand.onnx.operators.pool
import byhand.onnx.operators.reduce
import byhand.onnx.operators.resize
import byhand.onnx.operators.window  # noqa: F401  (each enters its operators in the table)
from byhand.onnx.operators.table import OPERATORS

__all__ = ["OPERATORS"]
