"""ONNX operators, each read as calls of byhand's ops: a family a file, the same families as in `writers`.

A new operator is one function with `@reader("Name")` in the file of its family. A new file is imported here.
"""

import byhand.onnx.readers.activation
import byhand.onnx.readers.arithmetic
import byhand.onnx.readers.constant
import byhand.onnx.readers.conv
import byhand.onnx.readers.norm
import byhand.onnx.readers.pool
import byhand.onnx.readers.reduce
import byhand.onnx.readers.resize
import byhand.onnx.readers.shape
import byhand.onnx.readers.slicing  # noqa: F401  (each registers its operators)
from byhand.onnx.registry import READERS

__all__ = ["READERS"]
