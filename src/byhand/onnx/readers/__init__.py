"""ONNX's operators, each read as calls of byhand's ops: a family a file."""

import byhand.onnx.readers.activation
import byhand.onnx.readers.arithmetic
import byhand.onnx.readers.constant
import byhand.onnx.readers.conv
import byhand.onnx.readers.norm
import byhand.onnx.readers.pool
import byhand.onnx.readers.reduce
import byhand.onnx.readers.resize
import byhand.onnx.readers.shape  # noqa: F401  (each enters its operators in the table)
from byhand.onnx.readers.table import OPERATORS

__all__ = ["OPERATORS"]
