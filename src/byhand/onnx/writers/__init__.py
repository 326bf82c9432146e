"""byhand's ops, each written as ONNX operators: a family a file, the same families as in `readers`.

A new op is one function with `@writer("name")` in the file of its family. A new file is imported here.
"""

import byhand.onnx.writers.activation
import byhand.onnx.writers.arithmetic
import byhand.onnx.writers.conv
import byhand.onnx.writers.norm
import byhand.onnx.writers.pool
import byhand.onnx.writers.reduce
import byhand.onnx.writers.resize
import byhand.onnx.writers.shape
import byhand.onnx.writers.slicing  # noqa: F401  (each registers its ops)
from byhand.onnx.registry import NOT_WRITTEN, WRITERS

__all__ = ["NOT_WRITTEN", "WRITERS"]
