"""ONNX: networks that others trained go in, byhand's go out; `byhand.onnx.backend` runs any graph of their operators.

>>> from byhand import onnx
>>> sorted(onnx.__all__)
['load', 'save']
"""

try:
    from byhand.onnx.load import load
    from byhand.onnx.save import save
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] not in ("onnx", "google"):
        raise
    raise ModuleNotFoundError(
        "byhand.onnx needs the package onnx: run  pip install 'byhand[onnx]'", name="onnx"
    ) from None

__all__ = ["load", "save"]
