"""ONNX: networks that others trained go in, byhand's go out; `byhand.onnx.backend` runs any graph of their operators.

    load.py      a file -> a Model; file.py leaves large numbers there, reader.py walks the graph
    use.py       what an operator sees; values.py what flows through the graph
    operators/   ONNX's operators as calls of byhand's ops, a family a file
    save.py      a Model -> a file; nodes.py is each op as ONNX's operators
    backend.py   the interface by which ONNX's own suite runs against byhand (`byhand bench onnx-suite`)

>>> from byhand import onnx
>>> sorted(onnx.__all__)
['load', 'save']
"""

try:
    from byhand.onnx.load import load
    from byhand.onnx.save import save
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("onnx", "google"):
        raise
    raise ModuleNotFoundError(
        "byhand.onnx needs the package onnx: run  pip install 'byhand[onnx]'", name="onnx"
    ) from None

__all__ = ["load", "save"]
